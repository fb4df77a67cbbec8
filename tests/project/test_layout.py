"""Data flows one way: no import cycles, each package imports what it may, and tests only import helpers."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

MAY_IMPORT = {"agents": {"agents"}, "reports": {"reports"}, "study": {"agents", "reports", "study"}}
CONDITIONS = "agents.conditions"
"""What a condition is: free of torch, and for all packages."""


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def part(module: str) -> str:
    """Return the package, and the sub-package or module directly in it."""
    return ".".join(module.split(".")[:2])


def graph(package: str) -> dict[str, set[str]]:
    """Return for each part of a package the other parts that it imports."""
    edges: dict[str, set[str]] = {}
    for path in (ROOT / package).rglob("*.py"):
        own = part(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
        others = {part(name) for name in imports(path) if name.split(".")[0] == package}
        edges.setdefault(own, set()).update(others - {own})
    return edges


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_parts_of_a_package_import_each_other(package: str) -> None:
    edges = graph(package)
    assert len(edges) > 3
    list(graphlib.TopologicalSorter(edges).static_order())  # raises CycleError


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_what_they_may(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        names = [name for name in imports(path) if not f"{name}.".startswith(f"{CONDITIONS}.")]
        ours = {name.split(".")[0] for name in names} & MAY_IMPORT.keys()
        assert ours <= MAY_IMPORT[package], path


def test_tests_import_helpers_but_no_other_tests() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        ours = {name for name in imports(path) if name.split(".")[0] == "tests"}
        assert all(name.startswith("tests.helpers.") for name in ours), path


def test_each_file_of_tests_lies_in_a_package_s_folder() -> None:
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders == {*MAY_IMPORT, "project"}
