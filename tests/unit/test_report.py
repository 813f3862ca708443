"""The report answers first, traces every number, opens without a network, and hides nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import example_tables as example
import pandas as pd
import pytest

from layerscope.errors import ConfigError, DataError
from layerscope.figures.layer_choice import draw_layer_choice
from layerscope.report.formats import column_texts, count, interval, number, signed
from layerscope.report.grid import MAX_ROWS, without_constant, without_empty
from layerscope.report.page import breakable, write_report
from layerscope.report.pictures import SHEET, picture
from layerscope.report.verdict_words import TAGS
from layerscope.report.warned import COLUMNS as WARNING_COLUMNS
from layerscope.tables import write_scores, write_table
from layerscope.tasks.catalogue import TASKS

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
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")

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


def verdicts(page: Page) -> dict[str, list[str]]:
    """What the first table says of each condition: the texts of its rows, a space between cells."""
    table = re.search(r'id="verdicts".*?</table>', page.source, re.DOTALL).group(0)
    bodies = re.findall(r"<tbody>(.*?)</tbody>", table, re.DOTALL)
    rows = [re.findall(r"<tr.*?</tr>", body, re.DOTALL) for body in bodies]
    texts = [
        [" ".join(re.sub("<[^>]*>", " ", row.replace("<wbr>", "")).split()) for row in of] for of in rows
    ]
    return {head: others for head, *others in texts}


def test_every_condition_and_model_has_a_row_with_its_sentence_the_highest_first(example_page):
    page = example_page[0]
    given = verdicts(page)
    assert len(given) == len(example.TASKS)
    assert page.source.index('id="verdicts"') < page.source.index('id="figures"')
    first, sentence, second, _ = next(rows for head, rows in given.items() if head.startswith("D1 Stim48hr"))
    rows = LAYERS[LAYERS["condition"] == "D1_Stim48hr"].sort_values("best_estimate", ascending=False)
    names = rows["model"].tolist()
    assert [name in row for name, row in zip(names, (first, second), strict=True)] == [True, True]
    assert first.startswith(names[0].replace("_", " ").title()), "the title comes before the name"
    assert sentence.startswith(rows["sentence"].iloc[0])
    assert TAGS[rows["verdict"].iloc[0]].label in first


@pytest.mark.parametrize("word", list(TAGS))
def test_every_verdict_has_a_label_that_is_explained_and_needs_no_colour(study, word):
    page = unescape(study(layers=LAYERS.head(1).assign(verdict=word, use="02", sentence="A sentence.")))
    tag = TAGS[word]
    assert f'<span class="tag {word}"' in page
    assert f">{tag.shape}</span> {tag.label}</span></td>" in page
    assert page.count(tag.meaning) >= 2, "beside the tag, and among the words"
    assert len({other.shape for other in TAGS.values()}) == len(TAGS)


def test_what_a_reader_asks_is_answered_without_a_click(study):
    answers = {"sure": "no", "beats_pca": "not tested: because", "training_helped": "unknown: why"}
    answers |= {"beats_baseline": "no: less", "next": "Measure more.", "verdict": "use_layer", "use": "03"}
    page = Page(study(layers=LAYERS.assign(**answers, best_baseline="qc_only")))
    before_any_click = page.text[: page.text.index("The numbers behind")]
    for words in ("sure: no", "not tested: because", "no: less", "unknown: why", "Measure more."):
        assert before_any_click.count(words) == len(LAYERS)
    same = study(layers=LAYERS.assign(**answers, best_baseline="hvg_pca", pca="hvg_pca"))
    assert ">Better than a PCA<" in same
    assert "the best baseline<" not in same


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"pca": "hvg_pca", "pca_estimate": 0.41, "best_baseline": "qc_only"}, ["0.41", "qc only"]),
        ({"pca": "hvg_pca", "pca_estimate": 0.41, "best_baseline": "hvg_pca"}, ["0.41", "the PCA"]),
        ({"pca": "", "reference_baseline": "hvg_pca"}, ["no score it made the reference"]),
        ({"pca": "", "reference_baseline": ""}, ["not run"]),
    ],
)
def test_the_pca_stands_in_the_first_table_whether_or_not_it_is_the_best_baseline(study, changes, shown):
    page = Page(study(layers=LAYERS.head(1).assign(**changes)))
    ((row, _),) = verdicts(page).values()
    assert [words for words in shown if words not in row] == []


def test_both_scores_are_named_where_two_count(study):
    layers = LAYERS.head(1).assign(task="integration", metric="biology", guard_metric="mixing")
    ((head, _),) = verdicts(Page(study(layers=layers))).items()
    assert all(TASKS["integration"].metrics[name].label in head for name in ("biology", "mixing"))


def test_a_score_that_hangs_on_centring_says_so_beside_the_verdict(study):
    layer = LAYERS.iloc[1][["condition", "model", "best_layer"]]
    (score,) = [row for row in ROWS if (row.condition, row.model, row.layer) == tuple(layer)]
    centred = replace(score, metric="spearman_centred", estimate=score.ci_high + 0.3, ci_low=float("nan"))
    layers = LAYERS.assign(use="", verdict="no_signal")
    hangs = f"layer {score.layer} hangs on centring: {score.estimate:.2f} becomes {centred.estimate:.2f}"
    assert hangs in study(rows=[*ROWS, centred], layers=layers)
    inside = replace(centred, estimate=score.estimate + 0.001)
    assert "hangs on centring:" not in study(rows=[*ROWS, inside], layers=layers)


def test_what_is_made_up_is_marked_and_what_cells_cannot_show_is_said(study):
    settings = example.settings()
    settings["conditions"]["D1_Rest"]["note"] = "Of <one> donor."
    layers = LAYERS.assign(planted=LAYERS["model"] == "scfoundation")
    page = Page(study(layers=layers, conditions=settings["conditions"]))
    assert "planted: made from" in page.text
    of_all, of_models = (
        page.source.count(f">{words}<") for words in ("Better than a PCA", "Training helped")
    )
    assert (of_all, of_models) == (len(LAYERS), len(LAYERS) - len(example.TASKS))
    before_any_click = page.text[: page.text.index("The numbers behind")]
    assert before_any_click.count("Of <one> donor.") == 1
    marked = [head for head in verdicts(page) if "simulated Which" in head]
    assert len(marked) == 1


def test_a_number_names_the_line_of_the_file_that_it_comes_from(example_page):
    page, results = example_page
    hint = r'title="(tables/layers.tsv), line (\d+), columns best_estimate[^"]*">([\d.]+)<'
    path, line, printed = re.search(hint, page.source).groups()
    header, *rows = (row.split("\t") for row in (results / path).read_text().splitlines())
    value = rows[int(line) - 2][header.index("best_estimate")]
    assert float(value) == pytest.approx(float(printed), abs=5e-3)


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


@pytest.mark.parametrize(
    "in_order",
    [
        ["D1 Rest", "D1 Stim8hr", "D1 Stim48hr"],
        ["26,012", "25,401", "By group of cells (D1 Rest)", "batch=3"],
        ["95% interval, trajectory: paper", "Delete-d jackknife"],
        ["about 50 million human cells, by its authors", "Apache-2.0", "the architecture of scfoundation"],
        ["106 of 144 rows", "Warnings were not gathered"],
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
    page = study(rows=rows, title=attack, layers=LAYERS.assign(sentence=f"{attack}. Beware."))
    assert attack not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<script>") == 1
    assert "&lt;b&gt;bold&lt;/b&gt;" in page


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


def test_a_condition_without_any_score_keeps_its_reason(study):
    lost, here = LAYERS.copy(), LAYERS["condition"] == "D1_Rest"
    lost.loc[here, ["best_layer", "confidence_set"]] = ""
    lost.loc[here, lost.select_dtypes("number").columns.drop("n_layers")] = float("nan")
    lost.loc[here, ["status", "reason"]] = "not_available", "needs raw counts"
    text = Page(study(layers=lost)).text
    assert "needs raw counts" in text
    assert "nan" not in text.lower().replace("finance", "")


def test_very_many_scores_are_cut_to_the_primary_metric_and_the_file_is_named(study):
    rows = example.scores()
    rows += [replace(row, metric=f"{metric}") for row in rows for metric in ("kendall", "somers", "recall")]
    page = study(rows=rows)
    assert len(rows) > MAX_ROWS
    assert f": 980 of {len(rows):,} rows" in page
    assert len(page) < 3e6


@pytest.mark.parametrize(
    ("protocols", "speaks", "caution"),
    [
        (("paper", "strict", "released"), "strict", ""),
        (("released", "paper"), "paper", "Protocol strict was"),
    ],
)
def test_the_most_trusted_protocol_alone_recommends(study, protocols, speaks, caution):
    tables = [LAYERS.assign(protocol=name, sentence=f"Use {name}.") for name in protocols]
    page = Page(study(layers=pd.concat(tables, ignore_index=True)))
    assert page.source.count(f"Use {speaks}.") == len(LAYERS)
    assert not any(f"Use {name}." in page.text for name in protocols if name != speaks)
    assert ("Protocol strict was" in page.text) == bool(caution)
    assert page.text.index(caution) < page.text.index(f"Use {speaks}.")


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        (example.settings()["conditions"], "Some cells are simulated: simulated differentiation."),
        ({name: {"simulated": True} for name in example.TASKS}, "All cells are simulated."),
        ({}, ""),
    ],
)
def test_simulated_cells_are_declared_at_the_top(study, conditions, words):
    page = study(conditions=conditions)
    assert words in page
    assert ("cells are simulated" in page) == bool(words)


def test_the_page_needs_no_network_and_is_accessible(example_page):
    page = example_page[0]
    assert "default-src 'none'" in page.source
    assert not re.search("https?://", page.source)
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.all("img"))
    assert all(image["alt"] for image in page.all("img"))
    assert {attributes.get("scope") for attributes in page.all("th")} == {"col", "row", "rowgroup"}


def test_the_page_is_the_same_bytes_for_the_same_tables(study):
    assert study() == study()


def test_missing_scores_remarks_warnings_and_further_files_are_listed(study):
    warned, further, parquet = (study.results / "tables" / name for name in ("w.tsv", "f.tsv", "s.parquet"))
    rows = [("extract layers", f"D1_Rest, {model}", "12 cells were refused", "x.log") for model in "ab"]
    write_table(warned, pd.DataFrame(rows, columns=list(WARNING_COLUMNS)))
    further.write_text("objection\tanswer\nno intervals\tsee scores.tsv\n")
    parquet.write_bytes(b"PAR1")
    page = Page(study(files={"warnings": warned, "tables": [further], "behind": [parquet]}))
    listed = ["2 warnings of 1 kind", "D1_Rest, a; D1_Rest, b", "12 cells were refused", "see scores.tsv"]
    listed += ["the layer is constant", "needs raw counts", "reference computed on hvg_pca"]
    assert [words for words in listed if words not in page.text] == []
    links = {attributes.get("href") for attributes in page.all("a")}
    assert {"tables/w.tsv", "tables/s.parquet"} <= links
    write_table(warned, pd.DataFrame([], columns=list(WARNING_COLUMNS)))
    assert "No warnings:" in study(files={"warnings": warned})
    assert "No warnings:" not in study()


def test_a_study_without_foundation_models_or_published_pairs_says_so(study, example_page):
    rows = [row for row in ROWS if row.model in example.BASELINES] + [ABSENT]
    write_table(study.results / "tables/published.tsv", example.published([ABSENT]))
    page = Page(study(rows=rows, layers=LAYERS.head(0)))
    assert "No foundation model" in page.text
    assert "all layers" in page.text
    assert 'id="published-table"' not in page.source
    assert 'id="published-table"' in example_page[0].source


MOVE = {"task": "perturbation", "protocol": "paper", "model": "scfoundation", "best_layer": "02"}
MOVE |= {"other_best_layer": "04", "layers_possible_in_both": "", "shift": 0.5, "sentence": "It moves."}
MOVE |= {"shift_ci_low": 0.25, "shift_ci_high": 0.75, "p_same": 0.001, "p_same_holm": 0.002}
STAY = MOVE | {"shift": -0.1, "shift_ci_low": -0.4, "shift_ci_high": 0.2, "p_same_holm": 0.4}


def test_whether_the_best_layer_moves_stands_after_the_answers_in_a_sentence(study):
    shifts = study.results / "tables/shifts.tsv"
    untested, other_protocol = STAY | {"p_same_holm": float("nan")}, MOVE | {"protocol": "released"}
    rows = [MOVE, STAY | {"layers_possible_in_both": "02,03"}, untested, other_protocol | {"shift": 0.99}]
    pairs = pd.DataFrame(rows).assign(condition="D1_Rest", other_condition=["D1_Stim8hr", "b", "c", "d"])
    write_table(shifts, pairs)
    page = study(files={"tables": [shifts]})
    for words in ("shown in 1 of 2 pairs", "-0.10 to +0.50", "-0.40 and +0.75", "1 pair could not be tested"):
        assert words in Page(page).text
    assert page.index('id="moves"') < page.index('id="figures"') < page.index("<h2>All scores")
    write_table(shifts, pairs.head(0))
    assert "moves" not in study(files={"tables": [shifts]})


def panels(bottoms: list[int], height: int) -> str:
    """A figure of panels 100 high, each with an axis at its top, that end at these heights."""
    paths = [f"M 50 {end} L 90 {end} L 90 {end - 100} L 50 {end - 100} z" for end in bottoms]
    paths += [f"M 50 {end - 100} L 90 {end - 100} z" for end in bottoms]
    groups = [f'<g id="axes_{k}"><g><path d="{path}"/></g></g>' for k, path in enumerate(paths)]
    size = f'width="511pt" height="{height}pt"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(groups)}</svg>'


@pytest.mark.parametrize(
    ("rows", "height", "n_parts"), [(4, 700, 0), (10, 1650, 3), (0, 1650, 0)], ids=["fits", "rows", "no rows"]
)
def test_a_picture_that_is_taller_than_a_sheet_is_cut_below_rows_of_panels(tmp_path, rows, height, n_parts):
    bottoms = [200 + 150 * row for row in range(rows)]
    (tmp_path / "a.svg").write_text(panels(bottoms, height))
    parts = picture(tmp_path / "a.svg", tmp_path / "report.html").parts
    assert len(parts) == n_parts
    assert sum(of_part for _, of_part in parts) == pytest.approx(height * bool(parts))
    for top, of_part in parts:
        assert of_part <= SHEET
        assert top == 0 or any(20 < top - bottom < 50 for bottom in bottoms), "below the labels of an axis"


@pytest.mark.parametrize(
    ("content", "words"), [(b"\x89PNG", "not an SVG"), (b"<html/>", "its root is 'html'")]
)
def test_a_figure_that_is_no_svg_is_refused(study, tmp_path, content, words):
    (tmp_path / "a.svg").write_bytes(content)
    with pytest.raises(DataError, match=f"a.svg: .*{words}"):
        study(files={"figures": [tmp_path / "a.svg"]})


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        (ConfigError, "key 'models' is missing", {"models": {}}),
        (DataError, "layers.tsv: column 'condition'", {"layers": example.summary()}),
        (DataError, "summary.tsv: column 'condition'", {"files": {"published": "cells/D1_Rest/summary.tsv"}}),
    ],
)
def test_another_table_or_no_models_are_refused_and_leave_no_page(study, error, message, changes):
    files = {name: study.results / path for name, path in changes.get("files", {}).items()}
    with pytest.raises(error, match=message):
        study(output="other.html", **changes | {"files": files})
    assert not (study.results / "other.html").exists()


@pytest.mark.parametrize(
    ("form", "values", "texts"),
    [
        (number, (0.12345, 0.00012, 0.0, -0.0, float("nan")), ["0.123", "0.00012", "0.000", "0.000", ""]),
        (signed, (0.05, -0.05, 0.00012, -0.0004, float("nan")), ["+0.050", "-0.050", "0.000", "0.000", ""]),
        (count, (24885.0,), ["24,885"]),
        (lambda low: interval(low, 0.2), (-0.001, float("nan")), ["0.00 to 0.20", ""]),
        (column_texts, (example.summary()["cells_before"].head(1),), [["26,012"]]),
    ],
)
def test_numbers_are_printed_without_hiding_small_ones(form, values, texts):
    assert [form(value) for value in values] == texts
