"""Facts that several of the project's files must state alike."""

import re
import tomllib
from typing import Any

import yaml

import study
from tests.helpers.paths import ROOT


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_ruff_before_commits_is_the_locked_one() -> None:
    locked = re.search(r"^ruff==(\S+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    assert locked
    assert [each["rev"] for each in read(".pre-commit-config.yaml")["repos"]] == [f"v{locked[1]}"]


def test_the_citation_has_the_version() -> None:
    assert read("CITATION.cff")["version"] == study.__version__


def test_ci_runs_the_pythons_of_the_classifiers() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    named = [each.rpartition(" ")[2] for each in classifiers if re.search(r":: 3\.\d+$", each)]
    job = read(".github/workflows/ci.yml")["jobs"]["test"]
    assert job["strategy"]["matrix"]["python-version"] == named
    assert job["steps"][-1]["run"] == ".ci/run"
