"""Names and texts from the data: whatever they are, a report has the same structure, and nothing in it runs."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports import sources
from reports.documents import plan, report
from reports.documents.html import page
from reports.documents.report import Options
from reports.sources import Reading
from reports.sources.table import read_frame
from tests.helpers.quick import each
from tests.helpers.synthetic import study

EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a|b",
    "`x`",
    "``` x",
    "\n```\n\n<script>alert(1)</script>\n\n````\n",
    "[l](javascript:alert(1))",
    "![i](first-page-1.png)",
    "<javascript:alert(1)>",
    "https://example.org/",
    "two\nlines",
    "\n\n# title\n\n---",
    "- item",
    "1. item",
    "> quote",
    "  - item",
    "        code",
    "**bold** _it_ ~~x~~ $x$ ~~~",
    "\\",
    "\\|",
    "&lt;b&gt; &amp; &#60;",
    "{level} {0} {{ x }} {% y %}",
    "==== ",
    "\x00\x1b[31m\x7f\u202e",
    "a" * 300,
]


class Skeleton(HTMLParser):
    """The tags of a page with their attributes, but not its text, nor its pictures' content."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[object, ...]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(("/", tag))


def pages(folder: Path, name: str) -> list[str]:
    """A report and a plan as HTML, in which all that comes from the data or the command line is of this name."""
    runs = study(seeds=14)
    runs = runs[(runs["replicate"] == 0) & (runs["precision"] == "float64") & (runs["parameterization"] == "std")]
    places = (runs["condition"] == "normal_std").astype(int)
    table = runs[["seed", "final_return"]].assign(
        condition=[f"{name}{place}" for place in places],
        run=[f"{name}{number}" for number in range(len(runs))],
        status="finished",
        error="",
    )
    table.iloc[[0, -1], [-2, -1]] = ["failed", f"{name} {name}"]
    table[f"{name}f"] = [f"{name}{place}" for place in places]
    table[f"{name}d"] = [f"{name}{seed % 2}" for seed in table["seed"]]
    table[f"{name}o"] = table["final_return"]
    reading = Reading(design=(f"{name}d",), factors=(f"{name}f",))
    command = ("study", "report", name, f"x{name}")
    options = Options(outcome=f"{name}o", reading=reading, html=True, command=command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "read", lambda *_: read_frame(name, table, reading))
        report.write(f"{name}s", folder / "out", options)
        _, designs = report.read(f"{name}s", options)
    plan.write(plan.from_designs(designs), folder / "out")
    planned = page((folder / "out" / "plan.md").read_text(encoding="utf-8"), folder / "out")
    return [(folder / "out" / "report.html").read_text(encoding="utf-8"), planned]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[object, ...]]]:
    return [Skeleton(text).tags for text in pages(tmp_path_factory.mktemp("plain"), "name")]


@pytest.mark.parametrize("name", each(EVIL, every=4), ids=ascii)
def test_no_name_changes_the_structure_of_a_report(
    tmp_path: Path, plain: list[list[tuple[object, ...]]], name: str
) -> None:
    assert [Skeleton(text).tags for text in pages(tmp_path, name)] == plain
