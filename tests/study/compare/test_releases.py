"""Two releases of a library, in two virtual environments, as `study compare` sees them."""

import site
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from study.cli import main

TRAIN = """
import sys

from stable_baselines3 import PPO

PPO("MlpPolicy", "Pendulum-v1", seed=int(sys.argv[1]), n_steps=256).learn(1024)
"""


def make_environment(folder: Path, release: str) -> Path:
    """Make an environment of this one's packages with another Stable-Baselines3, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (own / "packages.pth").write_text("\n".join(site.getsitepackages()))
    package = f"stable-baselines3=={release}"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
        "--target",
        str(own),
        package,
    ]
    subprocess.run(install, check=True)
    return python


@pytest.mark.slow
def test_two_releases_that_train_alike_are_identical(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    arms = [
        f"--arm={name}={make_environment(tmp_path / name, release)} {tmp_path}/train.py {{seed}}"
        for name, release in (("old", "2.7.0"), ("new", "2.9.2"))
    ]
    with pytest.raises(SystemExit) as ended:
        main(["compare", *arms, "--seeds=0", "--first-look", f"-o={tmp_path / 'compared'}"])
    said = capsys.readouterr().out
    assert ended.value.code == 0, said
    assert "new against old: identical in 100 optimizer steps" in said
    assert "stable_baselines3 2.7.0 against 2.9.2" in said
