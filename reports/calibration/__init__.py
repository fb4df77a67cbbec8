"""The test of the tests: how often each label that a reader can see is wrong, on studies of known truth.

- `studies`: synthetic studies, and what is true of them.
- `labels`: how often the report's labels are wrong on them, and how often they are given where they are right.
- `mechanisms`: how often the mechanism's readings are wrong, on synthetic gaps.
- `across`: how often the mean over designs is wrong: `python -m reports.calibration.across` prints the table.
- `interim`: how often the sequential procedure errs: `python -m reports.calibration.interim` prints the table.
"""
