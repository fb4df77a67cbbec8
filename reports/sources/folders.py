"""Runs in folders, whose paths name their condition and seed: `CONDITION/SEED/...`, or another template."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.errors import UnreadableSourceError
from reports.sources.mapping import Mapping

LAYOUT = re.compile(r"(?P<condition>[^/]+)/(?:[^/]*_|seed[-_]?)?(?P<seed>\d+)(?:/.*)?")
"""`CONDITION/SEED` or `CONDITION/anything_SEED`, and whatever is below."""

FIELD = re.compile(r"\{(\w+)\}|\*")
"""A field of a template: a column, or `*` for any text."""


def folder_of(source: str, scheme: str) -> Path:
    """Return the folder of a source such as `sb3:logs`.

    Raises:
        UnreadableSourceError: There is no such folder.
    """
    folder = Path(source.removeprefix(scheme))
    if source == scheme or not folder.is_dir():
        raise UnreadableSourceError(f"{source}: there is no such directory")
    return folder


def describe(source: str, paths: Sequence[str], mapping: Mapping | None) -> list[dict[str, Any]]:
    """Return each run's columns, from its path and the constants of a mapping.

    Args:
        source: The source's name in errors.
        paths: For each run its path in the source's folder, with slashes.
        mapping: Its `path` is a template, such as `{condition}/{env_id}/seed_{seed}`.

    Raises:
        UnreadableSourceError: A path doesn't fit the template, or the mapping names something else.
    """
    values = mapping.values if mapping else {}
    for name, value in values.items():
        if name not in ("path", "outcome") and not value.is_constant:
            raise UnreadableSourceError(
                f"{source}: {name}={value} must be a constant in quotes: the path says the rest", parameter="mapping"
            )
    constants = {name: value.text for name, value in values.items() if value.is_constant}
    template = values["path"].text if "path" in values else None
    layout = _compile(source, template) if template else LAYOUT
    rows = []
    for path in paths:
        if not path.isprintable():
            raise UnreadableSourceError(f"{source}: the name of {path!a} isn't text: rename it")
        found = layout.fullmatch(path)
        if found is None:
            expected = template or "CONDITION/SEED or CONDITION/anything_SEED"
            raise UnreadableSourceError(
                f"{source}: {path} is not like {expected}: say what it is, such as path={{condition}}/seed_{{seed}}",
                parameter="mapping",
            )
        rows.append({"run": path, **found.groupdict(), **constants})
    return rows


def _compile(source: str, template: str) -> re.Pattern[str]:
    """Return the pattern of the paths that fit a template."""
    pattern, end = "", 0
    for field in FIELD.finditer(template):
        name = field[1]
        what = r"\d+" if name == "seed" else "[^/]+"
        pattern += re.escape(template[end : field.start()]) + (f"(?P<{name}>{what})" if name else "[^/]*")
        end = field.end()
    try:
        return re.compile(pattern + re.escape(template[end:].rstrip("/")) + "(?:/.*)?")
    except re.error as error:
        raise UnreadableSourceError(
            f"{source}: path={template} is no template: {error}", parameter="mapping"
        ) from error
