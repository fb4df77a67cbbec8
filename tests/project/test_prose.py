"""Prose: the words that `docs/terms.yaml` has are avoided."""

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.paths import ROOT

TERMS: list[dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "terms.yaml").read_text(encoding="utf-8"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "sweeps/README.md")),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "docs").glob("*.ipynb"),
    *(ROOT / "sweeps").rglob("*.yaml"),
]
SOURCES = [
    path
    for package in ("agents", "docs", "reports", "study")
    for suffix in ("py", "j2")
    for path in (ROOT / package).rglob(f"*.{suffix}")
]


def prose(path: Path) -> str:
    """Return a file's prose, in one line."""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".md" | ".j2":
            text = re.sub(r"^```.*?^```|\]\([^)]*\)|\{[{%].*?[%}]\}", " ", text, flags=re.DOTALL | re.MULTILINE)
        case ".yaml":
            found = yaml.safe_load(text)
            text = " ".join([str(found.get("description", "")), *re.findall(r"(?:^| )# (.*)", text)])
        case ".py":
            text = " ".join([*docstrings(text), *comments(text)])
    return " ".join(re.sub(r"`[^`]*`", " ", text).split())


def docstrings(text: str) -> list[str]:
    found = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr)]
    return [node.value for node in found if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def comments(text: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]


def avoided(text: str, terms: list[dict[str, Any]]) -> list[str]:
    return [
        f"{found[0]!r}: write {term['write']!r}"
        for term in terms
        for found in re.finditer(rf"(?<!\w)(?:{term['avoid']})(?!\w)", text, flags=re.IGNORECASE)
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_avoid_the_words(path: Path) -> None:
    assert not avoided(prose(path), TERMS)


def test_docstrings_and_comments_avoid_the_words() -> None:
    found = {str(path.relative_to(ROOT)): words for path in SOURCES if (words := avoided(prose(path), TERMS))}
    assert not found


def test_prose_is_what_is_looked_at(tmp_path: Path) -> None:
    page, module = tmp_path / "a.md", tmp_path / "a.py"
    page.write_text("A crew, `a crew`,\n\n```\na crew\n```\n\n[a](crew.md). The standard\ndeviation, a\ndeviation.")
    module.write_text('"""A crew."""\ncrew = "crew"  # a crew\n')
    terms = [term for term in TERMS if "crew" in term["avoid"] or "deviation" in term["avoid"]]
    assert [each.partition(":")[0] for each in avoided(prose(page), terms)] == ["'deviation'", "'crew'"]
    assert len(avoided(prose(module), terms)) == 2
