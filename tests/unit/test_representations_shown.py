"""Figure and first screen of a study without layers: every representation, and which are as good as best."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from test_representations import MODELS, Study

from layerscope.figures.layer_figure import draw_scores
from layerscope.report.page import write_report
from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import choose_layers
from layerscope.statistics.published_scores import compare_published
from layerscope.tables import read_scores, write_table

ALONE = ("hvg_pca", "scvi", "scvi_twin", "qc_only")
SETTINGS: dict[str, Any] = {
    "title": "My embeddings",
    "models": {name: MODELS[name] for name in ALONE},
    "conditions": {"blood": {"task": "trajectory", "title": "Blood"}, "marrow": {"task": "trajectory"}},
    "order": ["marrow", "blood"],
}
SETTINGS["models"]["scvi"] = MODELS["scvi"] | {"title": "scVI", "trained_on": "these cells"}


class Tables(Study):
    """A study's tables on disk."""

    def write(self, settings: dict[str, Any] = SETTINGS) -> dict[str, Path]:
        tables = {"representations": self.table()}
        scores = read_scores(self.folder / "scores.tsv")
        tables["layers"] = choose_layers(scores, self.files, models_of(settings["models"])).layers
        tables["published"] = compare_published(scores)
        for name, table in tables.items():
            write_table(self.folder / f"{name}.tsv", table)
        return {name: self.folder / f"{name}.tsv" for name in ("scores", *tables)}


@pytest.fixture
def tables(tmp_path):
    study = Tables(tmp_path)
    for condition, shift in (("blood", 0.0), ("marrow", -0.2)):
        for model, score in (("hvg_pca", 0.69), ("scvi", 0.7), ("scvi_twin", 0.4), ("qc_only", 0.3)):
            study.add(model, score + shift, condition=condition)
    return study


def drawn(files: dict[str, Path], settings: dict[str, Any] = SETTINGS, **options: Any) -> str:
    figure = files["scores"].parent / "figure.svg"
    about = {"task": "trajectory", "protocol": "strict", "settings": settings} | options
    draw_scores(files["scores"], [figure], layers_path=files["layers"], **about)
    return figure.read_text(encoding="utf-8")


def test_representations_are_drawn_by_name_and_score_and_not_over_depth(tables):
    files = tables.write()
    svg = drawn(files, representations_path=files["representations"])
    assert all(words in svg for words in ("the best", ">0.70<", ">scVI<", "marrow"))
    assert svg.index(">marrow<") < svg.index(">Blood<")
    assert "Depth" not in svg
    assert "control: untrained weights" in svg


def test_without_the_comparison_no_representation_is_called_as_good_as_the_best(tmp_path):
    study = Tables(tmp_path).add("hvg_pca", 0.6, protocol="paper").add("scvi", 0.7, protocol="paper")
    svg = drawn(study.write(), protocol="paper")
    assert ">0.70<" in svg
    assert "the best" not in svg


def test_a_control_of_one_embedding_is_no_curve_among_layers(tables):
    for layer, score in (("01", 0.5), ("02", 0.6), ("official", 0.55)):
        tables.add("big", score, layer=layer).add("big_twin", score - 0.3, layer=layer)
    settings = SETTINGS | {"models": MODELS}
    files = tables.write(settings)
    svg = drawn(files, settings, representations_path=files["representations"])
    assert "each layer" in svg
    assert ">scvi<" in svg


def page_of(files: dict[str, Path], settings: dict[str, Any] = SETTINGS) -> str:
    page = files["scores"].parent / "report.html"
    write_report(page, settings=settings, **files)
    return page.read_text(encoding="utf-8")


def test_the_first_screen_names_the_representation_of_every_condition(tables):
    files = tables.write()
    page = page_of(files)
    assert "<h2>Which representation" in page
    conditions = re.findall(r"<tbody>(.*?)</tbody>", page, flags=re.DOTALL)[:2]
    assert ["marrow" in conditions[0], "Blood" in conditions[1]] == [True, True]
    text = re.sub("<[^>]*>", " ", conditions[1]).replace("\N{NO-BREAK SPACE}", " ")
    assert all(words in text for words in ("undecided", "sure: no", "scVI"))
    assert text.count(" 0.69 ") == 1, "the PCA stands beside"
    assert re.search(r"scvi [^<]*0\.70 [^<]*hvg_pca", page)
    assert page.index('id="verdicts"') < page.index('id="representation-table"') < page.index('id="figures"')
    assert "No foundation model" not in page
    assert "representations.tsv, line 2" in page


def test_conditions_with_layers_and_without_stand_side_by_side(tables):
    for layer, score in (("01", 0.5), ("02", 0.6)):
        tables.add("big", score, layer=layer, condition="blood")
    settings = SETTINGS | {"models": MODELS}
    page = page_of(tables.write(settings), settings)
    assert "layer or representation to" in page
    assert page.count('<tr class="condition">') == 2
    assert re.search(r"final layer", page)


def test_a_study_in_which_nothing_was_scored_says_so(tmp_path):
    files = Tables(tmp_path).add("hvg_pca", "needs counts").write()
    page = page_of(files)
    assert "No representation has" in re.sub("<[^>]*>", "", page)


def test_a_representation_that_is_alone_is_over_no_other(tmp_path):
    page = page_of(Tables(tmp_path).add("scvi", 0.7).write())
    assert "the only representation" in page
    assert "nan" not in re.sub("<script>.*</script>|<[^>]*>", "", page, flags=re.DOTALL)
