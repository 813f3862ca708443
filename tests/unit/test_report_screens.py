"""In a browser, the page is never wider than its window: what is wide scrolls in a box of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import example_tables as example
import pytest

from layerscope.figures.layer_choice import draw_layer_choice
from layerscope.report.page import write_report
from layerscope.tables import write_scores, write_table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (390, 688, 1280)
# A4 between margins of 14 mm is 688 pixels wide: there the rules of paper hold, and nothing may scroll
MEASURE = """<script>onload = () => {
  const inside = innerWidth === 688 ? document.querySelectorAll(".table, .picture") : [];
  const boxes = [document.documentElement, ...inside];
  parent.postMessage(innerWidth + ":" + Math.max(...boxes.map((box) => box.scrollWidth)) + ";", "*");
};</script></body>"""
LONG_NAME = "cells_of_a_donor_with_a_very_long_name_after_stimulation"


@pytest.fixture(scope="module")
def widths(tmp_path_factory: pytest.TempPathFactory) -> dict[int, int]:
    """By width of the window, the width that the page needs; at 688 with the rules of paper, all unfolded."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed to show the page")
    folder, rows = tmp_path_factory.mktemp("screens"), example.scores()
    tables = {"layers": example.layers(), "published": example.published(), "travel": wide_table()}
    for name, table in tables.items():
        write_table(folder / f"{name}.tsv", table)
    write_scores(folder / "scores.tsv", rows)
    draw_layer_choice(folder / "layers.tsv", [folder / "choice.svg"], settings=example.settings())
    options = {name: folder / f"{name}.tsv" for name in ("scores", "layers", "published")}
    (folder / "cells" / LONG_NAME).mkdir(parents=True)
    write_table(folder / "cells" / LONG_NAME / "summary.tsv", example.summary())
    options |= {"tables": [folder / "travel.tsv"], "figures": [folder / "choice.svg"]}
    options |= {"summaries": [folder / "cells" / LONG_NAME / "summary.tsv"]}
    write_report(folder / "report.html", settings=example.settings(), **options)
    return measured(folder)


def wide_table():
    """A table of many columns with long names and values."""
    rows = example.layers().head(3)
    return rows[["condition", "model"]].assign(
        **{f"a_column_of_a_long_name_{k}": f"averylongvalue{k}" for k in range(16)}
    )


def measured(folder: Path) -> dict[int, int]:
    page = (folder / "report.html").read_text(encoding="utf-8").replace("</body>", MEASURE)
    paper = page.replace("@media print", "@media all").replace("@media screen", "@media speech")
    frames = ""
    for width in WIDTHS:
        text = paper.replace("<details", "<details open") if width == 688 else page
        (folder / f"{width}.html").write_text(text, encoding="utf-8")
        frames += f'<iframe src="{width}.html" width="{width}" height="900" style="border: 0"></iframe>'
    listener = "<script>onmessage = (message) => { document.title += message.data; }</script>"
    (folder / "frames.html").write_text(f"<title></title>{listener}{frames}", encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += ["--virtual-time-budget=5000", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    shown = subprocess.run(
        [*command, f"file://{folder / 'frames.html'}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    pairs = re.findall(r"(\d+):(\d+);", re.search("<title>(.*?)</title>", shown.stdout)[1])
    return {int(inner): int(needed) for inner, needed in pairs}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_as_wide_as_its_window(widths, width):
    assert widths[width] <= width
