"""The module that Python imports when it starts: `study compare` puts its folder first on `PYTHONPATH`.

Another `sitecustomize` that it hides is run first. It imports the standard library alone, for any Python from 3.9 on.
"""

from __future__ import annotations

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def _run_hidden() -> None:
    for entry in sys.path:
        folder = os.path.abspath(entry or ".")
        path = os.path.join(folder, "sitecustomize.py")
        if folder != HERE and os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                code = compile(file.read(), path, "exec")
            exec(code, {"__name__": "sitecustomize", "__file__": path})
            return


_run_hidden()
if os.environ.get("STUDY_WATCH"):
    import study_probe

    study_probe.start(os.environ["STUDY_WATCH"])
