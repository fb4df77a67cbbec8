"""report.html in a real browser: nothing overflows, no name runs as a script, and dark is dark."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reports.documents import report
from reports.documents.report import Options
from tests.helpers.synthetic import study

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: `apt-get install chromium`"),
]

EVIL = "<script>window.parent.ran = true</script><img src=x onerror='window.parent.ran = true'>" + "long" * 40

# The report in a frame of a known width, and what a browser makes of it.
FRAME = """<!DOCTYPE html><body><iframe width="{width}" height="900" srcdoc="{page}"></iframe><pre id="seen"></pre>
<script>
onload = () => setTimeout(() => {{
  const inside = document.querySelector("iframe").contentDocument;
  const root = inside.documentElement;
  document.getElementById("seen").textContent = JSON.stringify({{
    ran: window.ran === true, width: root.clientWidth, content: root.scrollWidth,
    background: getComputedStyle(inside.body).backgroundColor,
    images: [...inside.images].filter(image => image.naturalWidth === 0).length,
    tables: inside.querySelectorAll("table").length,
  }});
}}, 500);
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("html")
    runs = study(seeds=8)
    runs = runs[(runs["replicate"] == 0) & (runs["parameterization"] == "std")]
    runs = runs.replace({"condition": {"mvn_var": EVIL, "normal_std": "theirs"}})
    runs[["condition", "seed", "precision", "final_return"]].to_csv(folder / "runs.csv", index=False)
    report.write(str(folder / "runs.csv"), folder / "out", Options(html=True))
    return (folder / "out" / "report.html").read_text()


def seen(page: str, folder: Path, width: int, *options: str) -> dict[str, Any]:
    file = folder / "frame.html"
    file.write_text(FRAME.format(width=width, page=html.escape(page)))
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=5000", *options, "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    return told


@pytest.mark.parametrize("width", [420, 1200])
def test_nothing_overflows_and_no_name_is_a_script(page: str, tmp_path: Path, width: int) -> None:
    told = seen(page, tmp_path, width)
    assert not told["ran"]
    assert told["content"] <= told["width"]
    assert told["images"] == 0
    assert told["tables"] >= 5


def test_dark_is_dark_and_light_is_light(page: str, tmp_path: Path) -> None:
    dark = seen(page, tmp_path, 800, "--blink-settings=preferredColorScheme=0")["background"]
    light = seen(page, tmp_path, 800, "--blink-settings=preferredColorScheme=1")["background"]
    assert (dark, light) == ("rgb(22, 22, 22)", "rgb(255, 255, 255)")
