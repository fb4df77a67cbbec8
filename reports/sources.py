class UnreadableSourceError(ValueError): pass
