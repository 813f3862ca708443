"""Labels do not collide, figures are the same bytes each time, and bad outputs are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from layerscope.errors import ConfigError
from layerscope.figures.sheet import Words, legend_columns, sheet
from layerscope.figures.style import look, save, spread

positions = st.lists(st.floats(-1, 1, allow_nan=False, width=32), min_size=1, max_size=8)


@given(positions, st.floats(0.01, 0.5))
def test_labels_stand_apart_in_their_order_and_around_their_mean(wanted, gap):
    placed = spread(wanted, gap)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(placed[order]) >= gap - 1e-9).all()
    assert placed.mean() == pytest.approx(np.mean(wanted), abs=1e-9)


def test_a_figure_is_the_same_bytes_each_time_and_carries_its_caption(tmp_path):
    for attempt in ("first", "second"):
        with look():
            figure, grid = sheet(1, 1, (2, 1), Words(title="A title", notes=["A note"]))
            grid[0][0].fill_between([0, 1], [0, 1], hatch="//")
            outputs = [tmp_path / attempt / f"figure.{kind}" for kind in ("svg", "png", "pdf")]
            save(figure, outputs, title="A title", caption="What <it> shows", table=tmp_path / "scores.tsv")
    for kind in ("svg", "png", "pdf"):
        first, second = (tmp_path / attempt / f"figure.{kind}" for attempt in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    svg = (tmp_path / "first" / "figure.svg").read_text()
    assert "What &lt;it&gt; shows" in svg
    assert "../scores.tsv" in svg
    assert "<dc:date>" not in svg


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="svg, png, pdf; found the suffix 'jpg'"):
        save(Figure(), [tmp_path / "figure.jpg"], title="", caption="", table="")


def test_a_legend_takes_the_columns_that_fit():
    class Entry:
        def get_label(self):
            return "twenty characters ..."

    entries = [Entry()] * 6
    assert legend_columns(entries, 100.0) == 6
    assert legend_columns(entries, 6.0) == 3
    assert legend_columns(entries, 0.5) == 1
