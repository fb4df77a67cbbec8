"""The answer: from runs, whoever made them, to a report. It knows nothing of torch, nor of how runs are trained.

- `sources`: runs, from a ledger, a table or W&B, as one table.
- `statistics`: tests and intervals, as small pure functions on arrays.
- `layout`, `attribution`: what there is to compare, and which part is which: effects, pairs and the verdict.
- `divergence`: when and how fast runs came apart, from their fingerprints.
- `price`: how much of a training return's difference is the price of exploration noise.
- `section`: all of this for one design, with the `circumstances` in which its runs were made.
- `relations`: what two designs say together: where amplification comes from, and the compensated design.
- `report`: the whole, written down by what is in `writing`.
- `plan`: how many seeds each conclusion needs.
- `tuning`: whether a difference survives fair tuning.
- `calibration`: the test of the tests, on studies of known truth; `peeking`: the same where every look is paid for.
"""
