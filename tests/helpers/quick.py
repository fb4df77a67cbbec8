"""Which of many cases `make quick` runs."""

from collections.abc import Iterable
from typing import Any

import pytest


def each(cases: Iterable[Any], every: int) -> list[Any]:
    """Return all cases, of which every such one is quick, the first among them, and the others are slow."""
    return [
        case
        if place % every == 0
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for place, case in enumerate(cases)
    ]
