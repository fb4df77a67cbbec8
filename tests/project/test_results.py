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


def test_what_the_readme_says_in_words_is_what_the_verdicts_have(writer: ModuleType) -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    designs = {name: found["designs"][0] for name, found in writer.published("*/verdict.json").items()}
    engine = designs["engines"]["factors"]["engine"]
    answers = engine["mechanism"]["reading"], engine["mean"]["conclusion"], engine["spread"]["conclusion"]
    assert answers == ("round-off", "equivalent", "undecided")
    assert (
        f"was asked by the project's own method on {designs['engines']['n_seeds']} seeds: the same mathematics up to "
        "rounding, and an *equivalent* return; whether runs vary more is undecided" in readme
    )
    assert f"The reference study on Pendulum-v1 has {designs['pendulum']['n_seeds']} seeds, half of them in" in readme
    last = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"docs/results.md has the study of {designs['pendulum']['n_seeds']} seeds." in last
