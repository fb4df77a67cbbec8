"""The errors of environments and perturbations. Each text is one line."""


class UnsuitableEnvironmentError(ValueError):
    """The environment can't be made, has another name, or hasn't flat observations, continuous actions and an end."""


class EnvironmentFailedError(RuntimeError):
    """An environment raised an error, returned a malformed value, or took too long."""


class MalformedError(ValueError):
    """An environment returned a malformed value. The text says which."""


class TookTooLongError(Exception):
    """A call took longer than it may. The text says how long it may take."""


class NoChangeError(ValueError):
    """A perturbation changes no bit."""
