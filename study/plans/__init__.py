"""Studies that decide what to train next.

- `planfile`: what is decided before the first run, and stays so.
- `seeds`: how many seeds, by interim analyses with alpha spending.
- `tuning`: fair tuning of each condition, and its best on held-out seeds.
- `outcomes`: what runs came to, as analyses take it.
- `record`: what Optuna's dashboard and plots show of it. `urls`: storage URLs as they may be printed.
"""
