"""What README and docs say came out is what the published verdicts have."""

import importlib.util
from types import ModuleType

import pytest

from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_results", ROOT / "docs" / "write_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_are_those_of_the_verdicts(writer: ModuleType) -> None:
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == writer.results()


def test_the_readme_has_the_table_of_the_verdict(writer: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == writer.with_table(readme)
    effect = writer.published("*/verdict.json")["pendulum"]["designs"][0]["factors"]["parameterization"]["mean"]
    assert f"| difference | {writer.decided(effect)} |" in readme
