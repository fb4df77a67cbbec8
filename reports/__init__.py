"""The answer: from runs, whoever made them, to a report. It knows nothing of torch, nor of how runs are trained.

- `sources`: a ledger or a table, read as runs.
- `statistics`: tests and intervals, as small pure functions on arrays.
- `attribution`: effects, pairs and the verdict: which part is which, and how sure.
- `divergence`: when and how fast runs came apart, from their fingerprints.
- `figures`: the pictures.
- `report`: the whole, written down.
"""
