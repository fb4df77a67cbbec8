"""The answer: from runs, whoever made them, to a report. It knows nothing of torch, nor of how runs are trained.

- `sources`: runs, from a `ledger`, a `table` or W&B (`wandb_runs`); what they are is in `runs`.
- `statistics`: tests and intervals, as small pure functions on arrays.
- `attribution`: effects, pairs and the verdict: which part is which, and how sure.
- `divergence`: when and how fast runs came apart, from their fingerprints.
- `figures`: the pictures.
- `words`, `verdict`: the answer for people, and for programs.
- `report`: the whole, written down; `publish` puts it into W&B.
"""
