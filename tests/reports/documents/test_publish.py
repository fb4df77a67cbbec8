"""Reports that are put into W&B, beside their runs."""

from pathlib import Path

import pytest

from tests.helpers.wandb_desk import PROJECT, Desk

pytestmark = pytest.mark.slow


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_report_is_published_beside_its_runs(desk: Desk) -> None:
    source = f"wandb:someone/{PROJECT}"
    said = desk.type("study", "report", source, "-o", "published", "--publish")
    (run,) = [run for run in desk.runs() if run.about.get("jobType") == "report"]
    del desk.server.store.project("someone", PROJECT).runs[run.name]
    assert desk.state(run) == "finished"
    assert f"/someone/{PROJECT}/runs/{run.name}" in said
    (artifact,) = [one for one in desk.server.store.artifacts.values() if one.run == run.name]
    assert (artifact.type, artifact.committed) == ("report", True)
    written = files(desk.folder / "published")
    assert {name: artifact.files[name] for name in written} == written
    (page,) = desk.server.store.project("someone", PROJECT).pages
    spec = page["spec"]
    assert "charts/episodic_return" in spec
    assert "## Again" in spec
