"""The commands of `study`, a file each: a dataclass whose fields are the options, and which runs.

To add one, write its file and name it in `Command`. Torch and W&B are imported only where a command needs them.
"""

from study.commands.bench import Bench
from study.commands.calibrate import Calibrate
from study.commands.check import Check
from study.commands.compare import Compare
from study.commands.compare_policies import ComparePolicies
from study.commands.convert import Convert
from study.commands.play import Play
from study.commands.probe import Probe
from study.commands.report import Report
from study.commands.reproduce import Reproduce
from study.commands.seeds import Seeds
from study.commands.sweep import Sweep
from study.commands.train import Train
from study.commands.tune import Tune

Command = (
    Probe
    | Check
    | Train
    | Sweep
    | Seeds
    | Tune
    | Compare
    | ComparePolicies
    | Play
    | Report
    | Reproduce
    | Calibrate
    | Bench
    | Convert
)
