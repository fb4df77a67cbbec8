"""README and docs: links lead somewhere, commands exist, and numbers are those of the published report."""

import json
import re
import shlex
from pathlib import Path

import pytest

from reports.documents.words import interval, number
from study.cli import main

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "sweeps" / "README.md", *ROOT.glob("docs/*.md")])


def commands(text: str) -> list[list[str]]:
    """Return the `study` commands of a page's code blocks, as words."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    own = [re.sub(r"^\$ |  #.*", "", line) for line in lines]
    return [shlex.split(line) for line in own if line.startswith("study ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_commands_have_the_options_that_pages_name(capsys: pytest.CaptureFixture[str]) -> None:
    helps: dict[str, str] = {}
    found = [command for page in PAGES for command in commands(page.read_text(encoding="utf-8"))]
    assert len(found) > 30
    for command in found:
        name = command[1]
        if name.startswith("--"):
            continue
        if name not in helps:
            with pytest.raises(SystemExit) as ended:
                main([name, "--help"])
            assert ended.value.code == 0, name
            helps[name] = capsys.readouterr().out
        options = {word.partition("=")[0] for word in command[2:] if word.startswith("--")}
        unknown = [option for option in options if not re.search(rf"{option}\b", helps[name])]
        assert not unknown, f"study {name} has no {unknown}"


def test_the_readme_s_table_is_the_published_one() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (design,) = json.loads((ROOT / "reports/published/thread/verdict.json").read_text(encoding="utf-8"))["designs"]
    factors = design["factors"]
    rows = {
        "conclusion": [f"**{factor['conclusion']}**" for factor in factors.values()] + ["a placebo"],
        "difference in final return": [
            f"{number(factor['mean']['estimate'])} {interval(factor['mean']['ci_adjusted'])}"
            for factor in factors.values()
        ]
        + [f"{number(design['placebo']['estimate'])} {interval(design['placebo']['ci'])}"],
        "so the mean is": [f"**{factor['mean']['conclusion']}**" for factor in factors.values()] + [""],
    }
    for name, configs in rows.items():
        assert f"| {name} | {' | '.join(configs)} |".replace("  |", " |") in text
