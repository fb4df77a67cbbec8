"""The answer written down, for people and for programs.

- `words`: the answer in sentences, and numbers as people read them.
- `figures`, `pictures`: the figures, and which of them a report has.
- `pages`: Markdown, from templates. `html`: the same as one file.
- `verdict`: `verdict.json`.
- `report`, `tuning`, `plan`: the documents as a whole.
- `publish`: the report in W&B.
"""
