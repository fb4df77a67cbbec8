"""The report in Weights & Biases: everything as an artifact, and, with `wandb-workspaces`, a page with live panels."""

import importlib
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any

from reports.errors import UnreadableSourceError, in_one_line
from reports.sources.wandb import SCHEME, WandbPath

PROJECT = "rl-roundoff"
"""The project of reports on a run store or a table."""


def publish(source: str, folder: Path) -> list[str]:
    """Log a report's folder as an artifact of a run of job type `report`, in the project of its runs.

    Args:
        source: The report's source.
        folder: The folder.

    Returns:
        The addresses of the run and, where there is one, of the W&B Report.

    Raises:
        UnreadableSourceError: W&B refuses it, or can't be reached.
    """
    import wandb

    os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")  # it takes our package `agents` for another
    path = WandbPath.parse(source) if source.startswith(SCHEME) else None
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    try:
        run = wandb.init(
            entity=path.entity if path else None,
            project=path.project if path else PROJECT,
            job_type="report",
            name=f"report of {source}",
            config={"source": source, "outcome": verdict["outcome"]},
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
        artifact = wandb.Artifact("report", type="report", metadata={"source": source, "outcome": verdict["outcome"]})
        artifact.add_dir(str(folder))
        run.log_artifact(artifact)
        verdicts = {
            f"{_name(design['design'])}/{name}": factor["conclusion"]
            for design in verdict["designs"]
            for name, factor in design["factors"].items()
        }
        run.summary.update({f"conclusion/{name}": conclusion for name, conclusion in verdicts.items()})
        run.finish()
        published = [str(run.url)]
        if path and importlib.util.find_spec("wandb_workspaces"):
            published.append(_page(source, path, folder))
    except (OSError, ValueError, wandb.Error) as error:
        raise UnreadableSourceError(
            f"W&B can't take the report: {in_one_line(error)}; it is in {folder}", parameter="publish"
        ) from error
    return published


def _name(design: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in design.items()) or "all"


def _page(source: str, path: WandbPath, folder: Path) -> str:
    """Save a W&B Report with the text and live panels of the runs, and return its address."""
    workspaces: Any = importlib.import_module("wandb_workspaces.reports.v2")
    text = (folder / "report.md").read_text(encoding="utf-8")
    runs = workspaces.Runset(
        entity=path.entity or "",
        project=path.project,
        filters=f"Sweep = '{path.sweep}'" if path.sweep else "",
        groupby=["config.condition"],
    )
    panels = [
        workspaces.LinePlot(x="global_step", y=["charts/episodic_return"], title="training return"),
        workspaces.LinePlot(x="global_step", y=["charts/std"], title="standard deviation of the policy"),
        workspaces.BarPlot(metrics=["final_return"], title="final return"),
    ]
    page = workspaces.Report(
        entity=path.entity or "",
        project=path.project,
        title="What differs, by which mechanism, and does it matter?",
        description=source,
        blocks=[
            workspaces.PanelGrid(runsets=[runs], panels=panels),
            # The figures are in the artifact: a W&B Report shows no files of its own.
            workspaces.MarkdownBlock(text=re.sub(r"^!\[.*\]\(.*\)\n", "", text, flags=re.MULTILINE)),
        ],
    )
    page.save()
    return str(page.url)
