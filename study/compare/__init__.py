"""Anyone's trainers compared: commands are run and watched, unchanged, and what differs between them is read.

- `arms`, `planfile`: what is compared, from the command line or a YAML file.
- `launching`: runs, each in a process and a folder of its own.
- `probe`: what watches a run from inside. It is for Python 3.9 on, with the standard library alone.
- `recordings`: what the probe wrote.
- `matching`, `gaps`: which tensor of one run is which of another's, and how far they are apart at each step.
- `reading`: identical, round-off, real, late, unpaired or unseen, by the controls.
- `naming`: what differs in a step, by its gradients.
- `look`: all of this with one seed.
- `words`: what was found, as text and as JSON.
"""
