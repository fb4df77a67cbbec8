"""Studies that decide what to train next.

- `planfile`: keeps what is decided before the first run.
- `seeds`: adds seeds until the effects are decided, by interim analyses with alpha spending.
- `tuning`: tunes each condition with the same budget, and compares the best on held-out seeds.
- `outcomes`: runs' outcomes, as analyses take them.
- `record`: a study for Optuna's dashboard and plots. `urls`: storage URLs as they may be printed.
"""
