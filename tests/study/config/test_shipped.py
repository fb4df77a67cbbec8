"""Sweeps and search spaces that come with the package: found by name, from a checkout and from a wheel."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from study.config import shipped
from study.config.shipped import SHIPPED, find_space, find_sweep
from study.errors import ConfigError
from tests.helpers.paths import ROOT


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped files, of which two end alike, and another current directory."""
    folder = tmp_path / "sweeps"
    for name in ("thread", "why/dose", "why/scale", "how/scale"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(f"name: {name}\nmethod: grid\n")
    (folder / "spaces").mkdir()
    (folder / "spaces" / "ppo.yaml").write_text("gamma: {type: float, low: 0.9, high: 1.0}\n")
    monkeypatch.setattr(shipped, "SHIPPED", folder)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


@pytest.mark.parametrize(
    ("name", "found"),
    [("thread", "thread"), ("why/dose", "why/dose"), ("dose", "why/dose"), ("how/scale", "how/scale")],
)
def test_a_sweep_is_found_by_its_name(few: Path, name: str, found: str) -> None:
    assert find_sweep(Path(name)) == few / f"{found}.yaml"


def test_a_path_that_exists_wins(few: Path) -> None:
    Path("thread").write_text("method: grid\n")
    assert find_sweep(Path("thread")) == Path("thread")
    assert find_sweep(few / "thread.yaml") == few / "thread.yaml"


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("thraed", ". Did you mean 'thread'?"),
        ("sweeps/thread.yaml", ". Did you mean 'thread'?"),
        ("ppo", "; choose from how/scale, thread, why/dose, why/scale"),
    ],
)
def test_an_unknown_sweep_has_the_nearest_names(name: str, end: str) -> None:
    with pytest.raises(ConfigError) as error:
        find_sweep(Path(name))
    assert str(error.value) == f"{name}: there is no such file, nor a sweep of that name{end}"


@pytest.mark.usefixtures("few")
def test_an_end_of_two_names_is_neither() -> None:
    with pytest.raises(ConfigError, match=r"^scale: there is no such file, nor a sweep of that name\. Did you mean"):
        find_sweep(Path("scale"))


def test_a_space_is_found_by_its_name(few: Path) -> None:
    assert find_space(Path("ppo")) == few / "spaces" / "ppo.yaml"
    with pytest.raises(ConfigError, match=r"nor a search space of that name; choose from spaces/ppo$"):
        find_space(Path("thread"))


def test_a_wheel_has_every_sweep_and_finds_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("agents", "reports", "study", "sweeps"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    shutil.rmtree(source)
    copied = tmp_path / "installed" / "study" / "sweeps"
    wanted = {path.relative_to(SHIPPED): path.read_bytes() for path in SHIPPED.glob("**/*.yaml")}
    assert wanted
    assert {path.relative_to(copied): path.read_bytes() for path in copied.glob("**/*.yaml")} == wanted
    find = "from pathlib import Path; from study.config.shipped import find_sweep; print(find_sweep(Path('thread')))"
    environment = {"PYTHONPATH": str(tmp_path / "installed")}
    found = subprocess.run(
        [sys.executable, "-c", find], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{copied / 'thread.yaml'}\n"
