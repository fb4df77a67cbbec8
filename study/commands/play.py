"""`study play`."""

import dataclasses
from pathlib import Path

from tyro.conf import Positional

from study.config.run_config import LARGEST_SEED
from study.errors import ConfigError
from study.options import Omittable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Play:
    """Evaluate a trained policy, which acts by its mean, or record a video of it."""

    run_id: Positional[str]
    """the run's id, or how it begins: a folder in the run store"""
    episodes: int = 10
    """how many episodes"""
    seed: Omittable[int | None] = None
    """seed of the first episode, the others follow; by default those of the run's own evaluation"""
    video: Omittable[Path | None] = None
    """a folder for a video of the first episode (`pip install "rl-roundoff[video]"`)"""
    runs_dir: Path = Path("runs")
    """where runs are kept: the run store"""

    def run(self) -> None:
        """Evaluate, and print each episode's return.

        Raises:
            ConfigError: An option can't be used, or the run has no policy.
        """
        if self.episodes < 1:
            raise ConfigError(f"--episodes must be at least 1, not {self.episodes}")
        if self.seed is not None and not 0 <= self.seed <= LARGEST_SEED:
            raise ConfigError(f"--seed must be between 0 and 2**53, not {self.seed}")
        path = self._policy()
        from agents.records import EVALUATION_SEED
        from agents.saved import load_policy
        from study import playing

        try:
            policy = load_policy(path)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        first = EVALUATION_SEED if self.seed is None else self.seed
        returns = playing.evaluate(policy, range(first, first + self.episodes))
        for seed, earned in enumerate(returns, first):
            print(f"seed {seed}: return {earned:.6g}")
        print(f"{path.parent}: mean return {returns.mean():.6g} of {self.episodes} episodes")
        if self.video is not None:
            print(playing.record(policy, first, self.video))

    def _policy(self) -> Path:
        found = sorted(path for path in self.runs_dir.glob("*/config.json") if path.parent.name.startswith(self.run_id))
        if not found:
            raise ConfigError(f"{self.runs_dir} has no run {self.run_id}: give the name of one of its folders")
        if len(found) > 1:
            names = " and ".join(path.parent.name for path in found[:2])
            raise ConfigError(f"{self.run_id} is the beginning of {len(found)} runs, such as {names}: give more of it")
        path = found[0].with_name("policy.pt")
        if not path.is_file():
            raise ConfigError(
                f"{path} isn't there: the run has failed, hasn't ended, or was trained before policies were kept"
            )
        return path
