"""A few of the zoo's changes, as `study compare` reads them.

`python -m tests.helpers.zoo judge FOLDER` compares all.
"""

from pathlib import Path

import pytest

from tests.helpers.zoo.changes import CHANGES
from tests.helpers.zoo.judge import compare, is_right


@pytest.mark.slow
def test_planted_bugs_are_told_from_harmless_changes(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    changes = ["target-not-updated", "adam-fused"]
    rows = compare("sb3-sac", "Pendulum-v1", changes, tmp_path)
    assert [row["change"] for row in rows] == changes
    for row in rows:
        assert is_right(row), row
        step = row["step"] if CHANGES[str(row["change"])].is_bug else None
        assert step is None or step in CHANGES[str(row["change"])].first_steps("sb3-sac"), row


def test_the_zoo_is_as_large_as_the_docs_say() -> None:
    assert sum(change.is_bug for change in CHANGES.values()) == 21
    assert sum(not change.is_bug for change in CHANGES.values()) == 15
