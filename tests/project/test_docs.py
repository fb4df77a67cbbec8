"""README and docs: links lead somewhere, commands print what is shown, and facts are those of the program."""

import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient

from reports.documents import report
from reports.sources import Reading
from study.cli import _parse
from tests.helpers.paths import ROOT
from tests.helpers.synthetic import study

PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "sweeps" / "README.md", *(ROOT / "docs").rglob("*.md")]
)

PARSED_ALONE = {
    "train": "minutes of training, some with modules of the reader's",
    "sweep sweeps/thread.yaml": "minutes of training, some on a cluster",
    "sweep thread": "minutes of training",
    "seeds": "minutes of training",
    "tune": "minutes of training",
    "compare --arm old=python ppo.py --seed {seed} --arm new=python ppo_refactored.py --seed {seed} --seeds": "minutes",
    "compare --arm old=uv": "other versions of torch from PyPI",
    "compare --arm one": "two threads",
    "report table.csv": "tables of the reader's",
    "report sb3:": "logs of the reader's",
    "report tb:": "logs of the reader's",
    "report wandb:": "W&B, with a key",
    "report runs --sweep thread": "a run store that takes minutes to train",
    "report reports/published": "test_published_tables.py makes these again",
    "reproduce": "a minute of training, and the versions and processor of the published runs",
    "bench": "minutes, and other packages",
    "calibrate": "hours",
}
"""The beginnings of commands that can't be executed here, and why: their options are parsed alone."""

TRAINED = ("study sweep", "study report runs")
"""Commands that print numbers of trained runs, which other processors compute otherwise: the words are compared."""

VARIES = r"\d[\d.]*e[-+]\d+|(?<=step )\d+(?=:)|(?<=largest in )\S+|(?<=up to )\d+(?= times)"
"""What is of round-off's size, or follows from it: other processors compute it otherwise."""


class Shown(NamedTuple):
    """A command of a page, the folder in which it is called, and the output that the page shows; None if it doesn't."""

    page: Path
    folder: str
    command: str
    output: str | None


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def shown(page: Path) -> Iterator[Shown]:
    """Return the commands of a page: lines after `$ `, with their output, or lines of a block without any `$ `."""
    for block in blocks(page):
        text = block.replace("\\\n", "")
        folder = "."
        if "$ " not in text:
            lines = [re.sub(r"  +#.*", "", line) for line in text.splitlines()]
            yield from (Shown(page, folder, line, None) for line in lines if line.startswith(("study ", "python ")))
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("cd "):
                folder = command.removeprefix("cd ")
            else:
                yield Shown(page, folder, command, output)


def words(command: str) -> list[str]:
    return shlex.split(command.partition(" > ")[0])[1:]


def is_parsed_alone(command: str) -> bool:
    return command.startswith("study ") and " ".join(words(command)).startswith(tuple(PARSED_ALONE))


COMMANDS = [each for page in PAGES for each in shown(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_pages_name_tests_that_exist() -> None:
    named = {name for page in PAGES for name in re.findall(r"\btests/[\w/]+\.py", page.read_text(encoding="utf-8"))}
    assert len(named) > 5
    assert not [name for name in named if not (ROOT / name).exists()]


def test_commands_that_take_long_have_options_that_exist() -> None:
    found = [each.command for each in COMMANDS if is_parsed_alone(each.command)]
    for command in found:
        _parse(words(command))
    unused = [start for start in PARSED_ALONE if not any(" ".join(words(each)).startswith(start) for each in found)]
    assert not unused


def test_make_has_the_targets_that_pages_name() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    made = {name for text in texts for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, flags=re.MULTILINE)}
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert phony is not None
    assert made >= {"study", "test", "site"}
    assert made <= set(phony[1].split())


@pytest.mark.slow
def test_commands_print_what_pages_show(tmp_path: Path) -> None:
    for name in ("docs", "sweeps", "tests/data"):
        shutil.copytree(ROOT / name, tmp_path / name)
    done: dict[tuple[str, str], subprocess.CompletedProcess[str]] = {}
    wrong = []
    for each in COMMANDS:
        if is_parsed_alone(each.command) or each.command.startswith("python docs/"):
            continue
        key = each.folder, each.command
        if key not in done:
            done[key] = execute(each.command, tmp_path / each.folder)
        found = done[key]
        if (found.returncode and each.output is None) or not matches(each.output, found.stdout, each.command):
            wrong.append(f"{each.page.name}: {each.command}\n{found.stdout[:2000]}{found.stderr[-2000:]}")
    assert len(done) >= 8
    assert not wrong, "\n".join(wrong)


def execute(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", f'study() {{ python -m study "$@"; }}\n{command}'],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def matches(expected: str | None, output: str, command: str) -> bool:
    """Whether a page shows the output: `...` on a line by itself stands for any lines, and within one for any words."""
    if expected is None:
        return True
    varies = r"-?\d[\d.]*" if command.startswith(TRAINED) else VARIES
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            parts = [re.escape(re.sub(varies, "#", part)) for part in line.rstrip().split("...")]
            pattern += ".*".join(parts) + r"\n"
    plain = "\n".join(re.sub(varies, "#", line.rstrip()) for line in output.splitlines())
    return re.fullmatch(pattern, plain + "\n") is not None


@pytest.mark.parametrize(
    ("expected", "output", "is_shown"),
    [
        ("a 1\nb\n", "a 1\nb\n", True),
        ("a 1\nb\n", "a 2\nb\n", False),
        ("a 1\n", "a 1\nb\n", False),
        ("a ...\n...\n", "a 1\nb\nc\n", True),
        ("...\nb\n", "a\nc\n", False),
        ("by 1.8e-15, round-off\n", "by 2e-16, round-off\n", True),
        ("by 1.8e-15, round-off\n", "by 2e-16, real\n", False),
    ],
)
def test_output_is_compared_but_for_omissions_and_round_off(expected: str, output: str, is_shown: bool) -> None:
    assert matches(expected, output, "study probe") == is_shown


def test_the_notebook_prints_what_it_shows() -> None:
    stored = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    fresh = copy.deepcopy(stored)
    kept = os.environ.get("PYTHONPATH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), kept])))
        patch.setenv("PYTHONWARNINGS", "error::UserWarning,error::RuntimeWarning,error::FutureWarning")
        NotebookClient(fresh, timeout=60, resources={"metadata": {"path": str(ROOT / "docs")}}).execute()
    assert [printed(cell) for cell in fresh.cells] == [printed(cell) for cell in stored.cells]
    assert sum("image/png" in output.get("data", {}) for cell in fresh.cells for output in cell.get("outputs", [])) == 1


def printed(cell: Any) -> list[str]:
    return [output.get("text") or output["data"]["text/plain"] for output in cell.get("outputs", [])]


def test_the_page_of_files_has_every_key_of_the_verdict(tmp_path: Path) -> None:
    runs = study(seeds=5)
    runs.drop(columns=["run", "error"]).to_csv(tmp_path / "runs.csv", index=False)
    report.write(str(tmp_path / "runs.csv"), tmp_path, report.Options(reading=Reading(must_agree=("implementation",))))
    found = json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8"))
    published = json.loads((ROOT / "reports/published/thread/verdict.json").read_text(encoding="utf-8"))
    (design,) = found["designs"]
    factor = design["factors"]["implementation"]
    parts = {
        "The file": found,
        "A design": design,
        "An arm": design["arms"][0],
        "A factor": factor,
        **{f"`{name}`": factor[name] for name in ("mechanism", "mean", "spread", "failures")},
        **{f"`{name}`": factor[name][0] for name in ("simple_effects", "interactions")},
        "`pairs`": design["pairs"][0],
        "`divergence`": published["designs"][0]["divergence"][0],
    }
    text = (ROOT / "docs" / "files.md").read_text(encoding="utf-8").partition("## `verdict.json`")[2]
    for title, keys in parts.items():
        section = text.partition(f"### {title}\n")[2].partition("\n#")[0]
        rows = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
        assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == keys.keys(), title
