"""The comparison of anyone's trainers: commands are run and watched, unchanged, and their differences are named.

- `arms`, `planfile`: what is compared, from the command line or a YAML file.
- `launching`: runs, each in a process and a folder of its own.
- `probe`: the package that watches a run from inside it. It is for Python 3.9 on, with the standard library alone.
- `recordings`: what the probe wrote.
- `parts`: optimizers of one run that have together the tensors of one of the other.
- `matching`, `gaps`: the tensors of two runs that correspond, and how far they are apart at each step.
- `reading`: the mechanism, by the controls: identical, round-off, real, late, unpaired or unseen.
- `naming`: what differs in a step, by its gradients.
- `look`: all of this with one seed.
- `metrics`, `outcomes`: full runs of all seeds, and their outcomes as a table.
- `words`: what was found, as text and as JSON.
"""
