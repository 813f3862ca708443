"""In a browser, the page is never wider than its window or sheet: what is wide scrolls, or is turned."""

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
SHEET, TURNED = 688, 1017
"""Width of A4 between margins of 14 mm, upright and turned, in pixels: there the rules of paper hold."""
WIDTHS = (390, SHEET, TURNED, 1280)
# on paper nothing may scroll: neither tables, those of many columns on turned sheets, nor pictures
MEASURE = """<script>onload = () => {
  const all = [...document.querySelectorAll(".table, .picture")];
  const inside = { 688: all.filter((box) => !box.closest(".many, .turned")),
                   1017: all.filter((box) => box.closest(".many, .turned")) }[innerWidth] || [];
  const boxes = innerWidth === 1017 ? inside : [document.documentElement, ...inside];
  const tallest = Math.max(...[...document.images].map((picture) => picture.height));
  const widest = Math.max(...boxes.map((box) => box.scrollWidth));
  parent.postMessage([innerWidth, widest, tallest].join(":") + ";", "*");
};</script></body>"""
TALL = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="511pt" height="2800pt" viewBox="0 0 511 2800">'
    '<rect width="511" height="2800" fill="#ccc"/></svg>'
)
LONG_NAME = "cells_of_a_donor_with_a_very_long_name_after_stimulation"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the report of the example study lies, with a table of many columns and a very tall figure."""
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
    (folder / "tall.svg").write_text(TALL, encoding="utf-8")
    figures = [folder / "choice.svg", folder / "tall.svg"]
    options |= {"tables": [folder / "travel.tsv"], "figures": figures}
    options |= {"summaries": [folder / "cells" / LONG_NAME / "summary.tsv"]}
    write_report(folder / "report.html", settings=example.settings(), **options)
    return folder


def wide_table():
    """A table of many columns with long names and values."""
    rows = example.layers().head(3)
    return rows[["condition", "model"]].assign(
        **{f"a_column_of_a_long_name_{k}": f"averylongvalue{k}" for k in range(11)}
    )


def chromium(folder: Path, *options: str) -> str:
    """What the browser prints of a command without a window."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += ["--virtual-time-budget=5000", f"--user-data-dir={folder / 'profile'}"]
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=120, check=True
    ).stdout


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[int, tuple[int, int]]:
    """By width of the window, the width that the page needs and the height of its tallest picture.

    At the widths of sheets with the rules of paper, all unfolded.
    """
    page = (folder / "report.html").read_text(encoding="utf-8").replace("</body>", MEASURE)
    paper = page.replace("@media print", "@media all").replace("@media screen", "@media speech")
    frames = ""
    for width in WIDTHS:
        text = paper.replace("<details", "<details open") if width in (SHEET, TURNED) else page
        (folder / f"{width}.html").write_text(text, encoding="utf-8")
        frames += f'<iframe src="{width}.html" width="{width}" height="900" style="border: 0"></iframe>'
    listener = "<script>onmessage = (message) => { document.title += message.data; }</script>"
    (folder / "frames.html").write_text(f"<title></title>{listener}{frames}", encoding="utf-8")
    shown = chromium(folder, "--dump-dom", f"file://{folder / 'frames.html'}")
    found = re.findall(r"(\d+):(\d+):(\d+);", re.search("<title>(.*?)</title>", shown)[1])
    return {int(width): (int(widest), int(tallest)) for width, widest, tallest in found}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_as_wide_as_its_window_or_sheet(measured, width):
    assert measured[width][0] <= width


def test_a_figure_is_scaled_to_its_sheet(measured):
    assert measured[1280][1] > 2000, "on screen it is as tall as it is"
    assert measured[SHEET][1] <= 850, "a sheet is 1017 high, and the caption needs its part"


def test_on_paper_tables_of_many_columns_are_turned_and_figures_are_whole(folder):
    chromium(folder, f"--print-to-pdf={folder / 'report.pdf'}", f"file://{folder / 'report.html'}")
    printed = (folder / "report.pdf").read_bytes()
    sheets = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    turned = [float(width) > float(height) for width, height in sheets]
    assert any(turned) and not all(turned)
    assert len(sheets) <= 14
