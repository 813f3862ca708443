"""The report answers first, traces every number, opens without a network, and hides nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import example_tables as example
import pandas as pd
import pytest

from layerscope.errors import ConfigError, DataError
from layerscope.figures.layer_choice import draw_layer_choice
from layerscope.report.answers import first_sentence
from layerscope.report.formats import column_texts, count, interval, number, signed
from layerscope.report.grid import MAX_ROWS, without_constant, without_empty
from layerscope.report.page import breakable, write_report
from layerscope.report.warned import COLUMNS as WARNING_COLUMNS
from layerscope.tables import write_scores, write_table

ROWS = example.scores(seeds=1)
LAYERS = example.layers(ROWS)
PUBLISHED = example.published(ROWS)
ABSENT = replace(ROWS[0], condition="mine", model="hvg_pca", layer="", metric="", status="not_available")
VOID = {"meta", "link", "img", "br", "hr", "input", "wbr"}


class Page(HTMLParser):
    """The page as a browser sees it: balanced tags, texts, links and identifiers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.source = "", text
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def example_page(tmp_path_factory):
    """The page of the example study, and the folder that it lies in."""
    folder = tmp_path_factory.mktemp("study")
    return Page(writer(folder)()), folder / "results"


@pytest.fixture
def study(tmp_path):
    """Write the report of the example study with changed parts."""
    return writer(tmp_path)


def writer(folder):
    """A folder of results, and a function that writes its report with changed parts."""
    results = folder / "results"
    settings = example.settings() | {
        "config": {"study": {"title": "<b>bold</b>"}, "resampling": {"resamples": 1000}},
        "versions": {"layerscope": "0.1.0", "numpy": "2.4.6"},
        "seeds": {"resampling": 1},
    }
    write_table(results / "tables/published.tsv", PUBLISHED)
    for condition in example.TASKS:
        write_table(results / "cells" / condition / "summary.tsv", example.summary())

    def write(*, rows=None, layers=None, output="report.html", files=None, **changes):
        write_scores(results / "tables/scores.tsv", ROWS if rows is None else rows)
        write_table(results / "tables/layers.tsv", LAYERS.copy() if layers is None else layers)
        figure = results / "figures/choice.svg"
        if not figure.exists():
            draw_layer_choice(results / "tables/layers.tsv", [figure], settings=settings | changes)
        options = {name: results / f"tables/{name}.tsv" for name in ("scores", "layers", "published")}
        options |= {"figures": [figure], "summaries": sorted(results.glob("cells/*/summary.tsv"))}
        write_report(results / output, settings=settings | changes, **options | (files or {}))
        return (results / output).read_text()

    write.results = results
    return write


def test_the_answer_of_every_condition_stands_before_anything_else(example_page):
    text = example_page[0].text
    figures = text.index("Layers that cannot be told")
    for row in LAYERS.to_dict("records"):
        assert text.index(row["recommendation"].split(". ")[0]) < figures


def test_the_model_that_scores_highest_speaks_for_its_condition(example_page):
    rest = LAYERS[LAYERS["condition"] == "D1_Stim48hr"]
    highest = rest.loc[rest["best_estimate"].idxmax(), "recommendation"]
    sentence = re.search(r'class="say"[^>]*>(.*For D1_Stim48hr.*)</p>', example_page[0].source).group(1)
    assert re.sub("<[^>]*>", "", sentence) == highest.split(". ")[0] + "."


def by_protocol(**recommendations):
    """The layer choice by several protocols, each with its own recommendation."""
    tables = [LAYERS.assign(protocol=name, recommendation=words) for name, words in recommendations.items()]
    return pd.concat(tables, ignore_index=True)


def test_protocol_strict_alone_recommends_where_it_was_run(study):
    said = {"paper": "Use 7. Fine.", "strict": "Use none. It is noise.", "released": "Use 9. Fine."}
    page = study(layers=by_protocol(**said))
    assert page.count("<strong>Use none.</strong>") == len(LAYERS)
    assert "Use 7." not in page and "Use 9." not in page
    assert "Protocol strict was not run" not in page


def test_without_protocol_strict_the_first_screen_says_what_its_scores_are_not(study):
    caution = "Protocol strict was not run: scores of protocol paper are not 0 for shuffled labels"
    text = Page(study(layers=by_protocol(released="Use 9. Fine.", paper="Use 7. Fine."))).text
    assert text.index(caution) < text.index("Use 7.")
    assert "Use 9." not in text
    one = LAYERS["condition"] == "D1_Rest"
    strict = LAYERS.assign(protocol=LAYERS["protocol"].where(one, "strict"))
    assert "Protocol strict was not run for D1 Rest:" in Page(study(layers=strict)).text


def test_simulated_cells_are_declared_at_the_top(study):
    assert "Some cells are simulated: simulated differentiation." in study()
    every = study(simulated=dict.fromkeys(example.TASKS, True))
    assert "All cells are simulated." in every
    assert "D1 Rest (simulated cells)" in every
    none = study(simulated={}, conditions={name: {} for name in example.TASKS})
    assert "cells are simulated" not in none


def test_a_number_names_the_line_of_the_file_that_it_comes_from(example_page):
    page, results = example_page
    hint = r'title="(tables/layers.tsv), line (\d+), columns best_estimate[^"]*">([\d.]+)<'
    path, line, printed = re.search(hint, page.source).groups()
    header, *rows = (row.split("\t") for row in (results / path).read_text().splitlines())
    value = rows[int(line) - 2][header.index("best_estimate")]
    assert float(value) == pytest.approx(float(printed), abs=5e-4)


def test_rows_of_all_scores_name_their_line(example_page):
    page, results = example_page
    lines = (results / "tables/scores.tsv").read_text().splitlines()
    row = r'<tr title="tables/scores.tsv, line (\d+)"><th scope="row">(.+?)</th><td>(.+?)</td>'
    hints = re.findall(row, page.source)
    assert len(hints) == len(lines) - 1
    for at, *named in hints[::97]:
        condition, model = (re.sub("<[^>]*>", "", name) for name in named)
        assert lines[int(at) - 1].startswith(f"{condition}\t{model}\t")


def test_every_link_leads_to_a_file_beside_the_page_or_to_one_part_of_it(example_page):
    page, results = example_page
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    links = [attributes["href"] for attributes in page.all("a")]
    for link in links:
        assert link[1:] in identifiers if link.startswith("#") else (results / link).is_file()
    assert {"tables/scores.tsv", "tables/layers.tsv", "figures/choice.svg"} <= set(links)


def test_nothing_is_loaded_from_a_network(example_page):
    page = example_page[0]
    assert "default-src 'none'" in page.source
    assert not re.search("https?://", page.source)
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.all("img"))


def test_figures_have_alternative_texts_and_tables_have_headings(example_page):
    page = example_page[0]
    assert all(image["alt"] for image in page.all("img"))
    assert {attributes.get("scope") for attributes in page.all("th")} == {"col", "row"}


@pytest.mark.parametrize(
    "in_order",
    [
        ["D1 Rest", "D1 Stim8hr", "D1 Stim48hr"],
        ["26,012", "25,401", "By group of cells (D1 Rest)", "batch=3"],
        ["95% interval, perturbation: paper", "Bootstrap over perturbations"],
        ["95% interval, trajectory: paper", "Delete-d jackknife"],
        ["about 50 million human cells, by its authors", "Apache-2.0", "the architecture of scfoundation"],
        ["106 of 144 rows", "Warnings were not gathered"],
        ["tables/scores.tsv", "tables/layers.tsv"],
    ],
)
def test_the_page_shows_in_this_order(example_page, in_order):
    text, place = example_page[0].text, 0
    for words in in_order:
        assert words in text[place:]
        place = text.index(words, place)


def test_text_from_tables_and_settings_cannot_become_markup(study):
    attack = "<script>alert(1)</script>"
    rows = [replace(row, reason=attack) if row.status != "ok" else row for row in ROWS]
    page = study(rows=rows, title=attack, layers=LAYERS.assign(recommendation=f"{attack}. Beware."))
    assert attack not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<script>") == 1
    assert "&lt;b&gt;bold&lt;/b&gt;" in page


def test_the_page_is_the_same_bytes_for_the_same_tables(study):
    assert study() == study()
    assert "2026-01-02" not in study()
    assert "layerscope report of 2026-01-02" in study(written="2026-01-02")


def test_missing_scores_remarks_and_warnings_are_listed(study):
    warned = study.results / "tables/warnings.tsv"
    rows = [("extract layers", f"D1_Rest, {model}", "12 cells were refused", "x.log") for model in "ab"]
    write_table(warned, pd.DataFrame(rows, columns=list(WARNING_COLUMNS)))
    text = Page(study(files={"warnings": warned})).text
    assert "2 warnings of 1 kind" in text
    assert "D1_Rest, a; D1_Rest, b" in text
    reasons = ("the layer is constant: no correlation exists", "needs raw counts")
    listed = ("12 cells were refused", "reference computed on hvg_pca", "tables/warnings.tsv", *reasons)
    assert [words for words in listed if words not in text] == []


def test_no_warnings_and_warnings_that_nobody_gathered_are_told_apart(study, example_page):
    warned = study.results / "tables/warnings.tsv"
    write_table(warned, pd.DataFrame([], columns=list(WARNING_COLUMNS)))
    assert "No warnings:" in study(files={"warnings": warned})
    assert "No warnings:" not in example_page[0].text


def test_a_baseline_that_is_better_than_every_layer_stands_out(study):
    better = "The baseline hvg_pca is better (0.90): prefer it to any of these layers."
    weak = "That is not distinguishable from 0: no layer is shown to keep it."
    layers = LAYERS.assign(recommendation=f"Use layer 7. {weak} {better} It ends here.")
    page = study(layers=layers)
    assert f'<p class="prefer">{better}</p>' in page
    assert f'<p class="rest">{weak} It ends here.</p>' in page


def test_long_names_may_be_broken_and_numbers_may_not():
    broken = str(breakable("results/a_b, 1,884 of 01,02,<3"))
    assert broken == "<span>results/<wbr>a_<wbr>b, 1,884 of 01,<wbr>02,&lt;3</span>"
    assert breakable("1,234,567") == "1,234,567"


def test_what_every_row_says_is_said_once_and_empty_columns_are_left_out():
    table = pd.DataFrame({"a": ["x", "x"], "b": ["", ""], "c": ["y", "z"], "n": [1, 1]})
    shown, words = without_constant(without_empty(table))
    assert list(shown) == ["c", "n"]
    assert words == "In every row: a x."
    assert list(without_constant(table.head(1))[0]) == list(table)


def test_without_a_published_pair_there_is_no_table_of_them(study, example_page):
    def identifiers(page):
        return {attributes.get("id") for _, attributes in page.tags}

    write_table(study.results / "tables/published.tsv", example.published([ABSENT]))
    assert "published-table" not in identifiers(Page(study()))
    assert "published-table" in identifiers(example_page[0])


def test_a_study_without_a_foundation_model_says_so(study):
    rows = [row for row in ROWS if row.model in example.BASELINES] + [ABSENT]
    text = Page(study(rows=rows, layers=LAYERS.head(0))).text
    assert "No foundation model was scored" in text
    assert "all layers" in text


def test_a_condition_without_any_score_keeps_its_reason(study):
    rows = [
        replace(row, status="not_available", reason="needs raw counts")
        if row.condition == "D1_Rest" and row.model not in example.BASELINES
        else row
        for row in ROWS
    ]
    lost = LAYERS.copy()
    lost.loc[lost["condition"] == "D1_Rest", ["best_layer", "confidence_set"]] = ""
    numbers = lost.select_dtypes("number").columns.drop("n_layers")
    lost.loc[lost["condition"] == "D1_Rest", numbers] = float("nan")
    lost.loc[lost["condition"] == "D1_Rest", "status"] = "not_available"
    text = Page(study(rows=rows, layers=lost)).text
    assert "needs raw counts" in text
    assert "nan" not in text.lower().replace("finance", "")


def test_very_many_scores_are_cut_to_the_primary_metric_and_the_file_is_named(study):
    rows = example.scores()
    rows += [replace(row, metric=f"{metric}") for row in rows for metric in ("kendall", "somers", "recall")]
    page = study(rows=rows)
    assert len(rows) > MAX_ROWS
    assert f"Only the metrics spearman: 980 of {len(rows):,} rows" in page
    assert len(page) < 3e6


def test_files_that_are_not_shown_are_named_among_those_behind_the_page(study):
    parquet = study.results / "tables/scores.parquet"
    parquet.write_bytes(b"PAR1")
    page = Page(study(files={"behind": [parquet]}))
    assert "tables/scores.parquet" in [attributes.get("href") for attributes in page.all("a")]


def test_whether_the_best_layer_moves_stands_after_the_answers_in_a_sentence(study):
    shifts = study.results / "tables/shifts.tsv"
    row = {"task": "perturbation", "protocol": "paper", "model": "scfoundation", "best_layer": "02"}
    row |= {"other_best_layer": "04", "layers_possible_in_both": "", "shift": 0.5, "sentence": "It moves."}
    row |= {"shift_ci_low": 0.25, "shift_ci_high": 0.75, "p_same": 0.001, "p_same_holm": 0.002}
    still = row | {"shift": -0.1, "shift_ci_low": -0.4, "shift_ci_high": 0.2, "p_same_holm": 0.4}
    still["layers_possible_in_both"] = "02,03"
    untested = still | {"p_same_holm": float("nan")}
    pairs = [(row, "D1_Stim8hr"), (still, "D1_Stim48hr"), (untested, "Other")]
    pairs.append((row | {"protocol": "released", "shift": 0.99}, "D1_Stim8hr"))
    rows = [{"condition": "D1_Rest", "other_condition": other} | one for one, other in pairs]
    write_table(shifts, pd.DataFrame(rows))
    page = study(files={"tables": [shifts]})
    text = Page(page).text
    assert "shown in 1 of 2 pairs" in text
    assert "-0.10 to +0.50, their 95% intervals lie between -0.40 and +0.75" in text
    assert "1 pair could not be tested" in text
    assert 'href="#moves"' in page
    assert page.index('id="moves"') < page.index('id="figures"') < page.index("<h2>All scores")


def test_a_study_of_one_condition_has_no_section_on_moves(study):
    shifts = study.results / "tables/shifts.tsv"
    names = ("task", "protocol", "model", "best_layer", "other_best_layer", "layers_possible_in_both")
    numbers = ("shift", "shift_ci_low", "shift_ci_high", "p_same_holm")
    write_table(shifts, pd.DataFrame(columns=[*names, *numbers]))
    assert "moves" not in study(files={"tables": [shifts]})


def test_further_tables_are_shown_as_they_are(study):
    table = study.results / "tables/further.tsv"
    table.write_text("objection\tanswer\nno intervals\tsee scores.tsv\n")
    page = study(files={"tables": [table]})
    assert "Further" in page
    assert "see scores.tsv" in page


def test_a_figure_that_is_no_svg_is_refused(study, tmp_path):
    (tmp_path / "figure.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"figure.png: not an SVG figure"):
        study(files={"figures": [tmp_path / "figure.png"]})
    (tmp_path / "figure.svg").write_text("<html/>")
    with pytest.raises(DataError, match=r"figure.svg: not an SVG figure \(its root is 'html'\)"):
        study(files={"figures": [tmp_path / "figure.svg"]})


def test_another_table_or_no_models_are_refused_and_leave_no_page(study):
    with pytest.raises(ConfigError, match="key 'models' is missing"):
        study(models={}, output="other.html")
    with pytest.raises(DataError, match="column 'condition' is missing"):
        study(layers=example.summary(), output="other.html")
    with pytest.raises(DataError, match=r"summary.tsv: column 'condition' is missing"):
        study(files={"published": study.results / "cells/D1_Rest/summary.tsv"}, output="other.html")
    assert not (study.results / "other.html").exists()


def test_numbers_are_printed_without_hiding_small_ones():
    nothing = float("nan")
    numbers = [number(value) for value in (0.12345, 0.00012, 0.0, -0.0, nothing)]
    assert numbers == ["0.123", "0.00012", "0.000", "0.000", ""]
    differences = [signed(value) for value in (0.05, -0.05, 0.00012, -0.0004, 0.0, nothing)]
    assert differences == ["+0.050", "-0.050", "0.000", "0.000", "0.000", ""]
    assert [interval(-0.001, 0.2), interval(nothing, 0.2)] == ["0.00 to 0.20", ""]
    assert count(24885.0) == "24,885"
    assert column_texts(example.summary()["cells_before"])[0] == "26,012"


def test_a_sentence_ends_at_its_stop_and_not_in_a_number():
    assert first_sentence("Use layer 3 (0.43 vs. 0.40). The rest. More.") == (
        "Use layer 3 (0.43 vs. 0.40).",
        "The rest. More.",
    )
    assert first_sentence("One only.") == ("One only.", "")
