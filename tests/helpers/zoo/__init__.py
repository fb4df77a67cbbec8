"""Real trainers with planted changes, bugs and harmless ones, for `study compare` to tell apart.

`python -m tests.helpers.zoo train TRAINER CHANGE SEED ENVIRONMENT` trains once.
`python -m tests.helpers.zoo judge FOLDER` compares all changes on all trainers and environments, and writes
`docs/compare/zoo.csv`.

`pytest tests/helpers/zoo/verify.py` looks, in five minutes and without `study compare`, whether each change first acts
when and on what its entry says.
"""
