"""A model looks the same everywhere, a figure fits a sheet of paper, and its bytes are the same each time."""

import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from layerscope.errors import ConfigError
from layerscope.figures.models import read_models
from layerscope.figures.sheet import WIDTH, Words, legend_columns, sheet
from layerscope.figures.style import look, save, styles


def study(*foundation):
    """Models of a study: these, each with an untrained twin, and two baselines."""
    models = {name: {"kind": "foundation", "layers": 4} for name in foundation}
    models |= {
        f"{name}_twin": {"kind": "control", "control": "untrained", "of": name, "layers": 4}
        for name in foundation
    }
    return read_models({"models": models | {name: {"kind": "baseline"} for name in ("hvg_pca", "qc_only")}})


def test_a_model_more_changes_the_look_of_no_other():
    before, after = styles(study("b", "c")), styles(study("b", "c", "a"))
    assert {name: after[name] for name in before} == before
    assert after["a"] not in before.values()


def test_every_model_looks_different_in_colour_and_in_grey():
    names = [f"model_{number}" for number in range(28)]
    looks = styles(study(*names))
    assert len({looks[name] for name in names}) == len(names)
    assert len({(looks[name].marker, looks[name].dashes) for name in names}) == len(names)
    assert len({(looks[name].marker, looks[name].colour) for name in names}) == len(names)


def test_controls_are_grey_with_the_sign_of_their_model_and_baselines_are_grey():
    looks = styles(study("a", "b"))
    for name in ("a", "b"):
        assert looks[f"{name}_twin"].marker == looks[name].marker
        assert looks[f"{name}_twin"].dashes != looks[name].dashes
    for name in ("a_twin", "hvg_pca", "qc_only"):
        red, green, blue = to_rgb(looks[name].colour)
        assert red == green == blue


@pytest.mark.parametrize(("n_columns", "most"), [(1, 4.4), (2, 4.4), (3, 2.4), (4, 1.8)])
def test_a_figure_is_as_wide_as_a_sheet_whatever_its_columns(n_columns, most):
    figure, grid = sheet([(n_columns, 0.3), (1, 0.3)], 1.0, Words(title="long " * 60))
    assert figure.get_figwidth() == WIDTH <= 7.17, "A4 between margins of 14 mm"
    assert [len(line) for line in grid] == [n_columns, 1]
    boxes = [axes.get_position() for line in grid for axes in line]
    assert max(box.x1 for box in boxes) <= 1
    assert max(box.width for box in boxes) * WIDTH <= most
    assert grid[0][0].get_position().y0 > grid[1][0].get_position().y1


def test_a_figure_is_the_same_bytes_each_time_and_carries_its_caption(tmp_path):
    for attempt in ("first", "second"):
        with look():
            figure, grid = sheet([(1, 0.3)], 1, Words(title="A title", notes=["A note"]))
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
    with pytest.raises(ConfigError, match=r"png, pdf.*'jpg'"):
        save(Figure(), [tmp_path / "figure.jpg"], title="", caption="", table="")


def test_a_legend_takes_the_columns_that_fit():
    class Entry:
        def get_label(self):
            return "twenty characters ..."

    entries = [Entry()] * 6
    assert legend_columns(entries, 100.0) == 6
    assert legend_columns(entries, 6.0) == 3
    assert legend_columns(entries, 0.5) == 1
