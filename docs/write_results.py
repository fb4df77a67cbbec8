"""Write docs/results.md and the README's table from the published verdicts: `python docs/write_results.py`.

No number is typed: all are of `reports/published/*/verdict.json`, of what `study probe` computes, and of
`docs/policy_cost.csv`. A test compares both files with what this writes.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from agents.conditions import CONDITIONS
from reports.documents.words import interval, number
from reports.files import Json
from study.probe import probe

ROOT = Path(__file__).parent.parent
TABLE = re.compile(
    r"(?<=<!-- results: written by docs/write_results.py -->\n).*?(?=<!-- end of results -->)", re.DOTALL
)
"""The README's part that is written."""


def main() -> None:
    """Write both files."""
    readme = ROOT / "README.md"
    (ROOT / "docs" / "results.md").write_text(results(), encoding="utf-8")
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")


def results() -> str:
    """Return the text of docs/results.md."""
    return _render("results.md.j2")


def with_table(readme: str) -> str:
    """Return the README's text with the table as the verdicts have it."""
    table = _render("results_table.md.j2")
    return TABLE.sub(lambda _: table, readme)


def _render(template: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "docs"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    environment.filters |= {
        "number": number,
        "interval": interval,
        "estimate": estimate,
        "decided": decided,
        "percent": percent,
        "log2": lambda value: f"2^{math.log2(value):.1f}",
    }
    return environment.get_template(template).render(
        published=published("*/verdict.json"),
        looks=published("compare/*/look.json"),
        probe=probe_at,
        cost=cost(),
        controls=controls,
        open_lines=open_lines,
        gap=gap,
        one=one,
        first_difference=first_difference,
    )


def published(pattern: str) -> dict[str, Json]:
    """Return the published JSON files of a pattern, by the name of their folder."""
    paths = sorted((ROOT / "reports" / "published").glob(pattern))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def estimate(found: Json) -> str:
    """Return an estimate with its interval at 95%."""
    return f"{number(found['estimate'])} {interval(found['ci'])}"


def decided(found: Json) -> str:
    """Return an effect with the interval that decides it, at the level at which Holm judged it."""
    return f"{number(found['estimate'])} {interval(found['ci_adjusted'])}"


def controls(design: Json) -> int:
    """Return how many seeds have a ULP control."""
    first = design["arms"][0]["name"]
    own = [each for each in design["divergence"] if each["is_ulp_control"] and each["a"] == first]
    return sum(int(each["n_seeds"]) for each in own)


def open_lines(factor: Json) -> str:
    """Return how many effects of a factor that must agree aren't shown to be within the margin, beside the main one."""
    effects, margin = factor["simple_effects"], number(factor["mean"]["margin"])
    undecided = sum(each["conclusion"] != "equivalent" for each in effects)
    return f"{undecided} of its {len(effects)} further effects aren't shown to be within ±{margin}"


def percent(found: Json) -> str:
    """Return a share with its interval, in percent."""
    low, high = found["ci"]
    return f"{100 * found['estimate']:.0f}% [{100 * low:.0f}, {100 * high:.0f}]"


def first_difference(arm: Json) -> str:
    """Return what differed first between a trainer and the reference, as `study compare` prints it."""
    found = [line.split(maxsplit=2)[2] for line in arm["lines"] if line.split()[:2] == ["first", "difference"]]
    return found[0] if found else "none"


def one(rows: Sequence[Json], **values: object) -> Json:
    """Return the one row of a verdict's list that has these values."""
    (found,) = [row for row in rows if all(row[name] == value for name, value in values.items())]
    return found


def gap(design: Json, a: str, b: str, precision: str) -> Json:
    """Return how the runs of two arms of a design come apart; of one arm, its ULP control."""
    return one(design["divergence"], a=a, b=b, precision=precision, is_ulp_control=a == b)


def probe_at(scale: float) -> Mapping[str, Any]:
    """Return what the four policies say of the same noise, in float64 and without any training.

    Args:
        scale: The learned scale, in each of ten dimensions.

    Returns:
        Whether log-probabilities agree, and how far apart they are; the gradient of the scale, that of a std over that
        of a variance; whether the samples are the same bits, and how far apart they are.
    """
    found = probe(10, 0, scale)["float64"]
    log_probs, gradients, samples = (
        np.array([told[name] for told in found.values()]) for name in ("log_prob", "grad_scale", "sample")
    )
    is_std = np.array([CONDITIONS[condition].parameterization == "std" for condition in found])
    ratios = gradients[is_std] / gradients[~is_std]
    return {
        "log_probs_agree": bool(np.allclose(log_probs, log_probs[0], rtol=1e-12)),
        "log_prob_gap": float(np.ptp(log_probs)),
        "ratio": float(ratios.mean()) if np.allclose(ratios, ratios.mean(), rtol=1e-12) else None,
        "samples_are_identical": bool((samples == samples[0]).all()),
        "sample_gap": float(np.ptp(samples, axis=0).max()),
    }


def cost() -> dict[tuple[str, int], float]:
    """Return how many times as long `MultivariateNormal` takes as `Normal`, by phase and action dimensions.

    Both get the standard deviation. Medians over rounds.
    """
    rows = pd.read_csv(ROOT / "docs" / "policy_cost.csv")
    medians = rows.groupby(["phase", "width", "condition"])["microseconds"].median().unstack("condition")
    ratios: dict[Any, float] = (medians["mvn_var"] / medians["normal_std"]).to_dict()
    return {(str(phase), int(width)): ratio for (phase, width), ratio in ratios.items()}


if __name__ == "__main__":
    main()
