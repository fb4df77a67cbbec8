"""Draw docs/calibration.png from docs/calibration.csv, as `study calibrate` prints it."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

FOLDER = Path(__file__).parent


def main() -> None:
    """Draw how often each label is wrong: a row a label, a dot a kind of study."""
    rows = pd.read_csv(FOLDER / "calibration.csv")
    labels = [column for column in rows.columns if column.startswith("wrong: ")]
    with mpl.rc_context({"font.size": 9, "savefig.dpi": 150}):
        figure = Figure(figsize=(7, 3.4), layout="constrained")
        panel = figure.subplots()
        for place, label in enumerate(labels):
            shares = rows[label].dropna()
            jitter = np.random.default_rng(place).uniform(-0.25, 0.25, len(shares))
            panel.scatter(shares, jitter - place, s=6, color="#0072B2", alpha=0.4, linewidth=0)
        panel.axvline(5, color="0.5", linewidth=0.8)
        panel.set_yticks([-place for place in range(len(labels))], [label.removeprefix("wrong: ") for label in labels])
        panel.set(xlabel="wrong, in percent of the studies")
        panel.spines[["top", "right"]].set_visible(False)
        figure.savefig(FOLDER / "calibration.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
