"""What is said of a study beside its numbers is taken from its configuration."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.report.description import study_description

CONFIG = {
    "study": {
        "title": "A study",
        "conditions": ["drawn", "screen"],
        "models": ["big", "big_untrained_1", "hvg_pca"],
        "protocols": {"trajectory": ["strict"], "perturbation": ["paper", "strict"]},
    },
    "conditions": {
        "drawn": {"dataset": "simulation", "task": "trajectory", "title": "Drawn cells"},
        "screen": {"dataset": "measured", "task": "perturbation"},
        "unused": {"dataset": "measured", "task": "cell_type"},
    },
    "datasets": {
        "simulation": {"source": {"simulate": "differentiation"}},
        "measured": {"source": {"path": "x"}, "title": "A screen", "licence": "CC BY"},
    },
    "models": {
        "big": {"family": "scgpt", "layers": 12, "licence": "MIT", "trained_on": "33 million cells"},
        "big_untrained_1": {"family": "scgpt", "control": "untrained", "of": "big", "seed": 1},
        "hvg_pca": {"family": "hvg_pca"},
        "unused": {"family": "scgpt", "layers": 2},
    },
    "seeds": {"resampling": 1},
    **{key: {"of": key} for key in ("quality", "extraction", "pretraining", "resampling", "geometry")},
    **{task: {"strict": {}} for task in ("trajectory", "perturbation", "cell_type")},
}


@pytest.fixture(scope="module")
def described():
    return study_description(CONFIG)


def test_conditions_and_models_are_those_of_the_study_in_its_order(described):
    assert described["order"] == list(described["conditions"]) == ["drawn", "screen"]
    assert list(described["models"]) == ["big", "big_untrained_1", "hvg_pca"]
    assert described["title"] == "A study"


def test_a_condition_names_its_data_and_whether_its_cells_are_simulated(described):
    drawn, screen = described["conditions"].values()
    assert (drawn["title"], drawn["simulated"]) == ("Drawn cells", True)
    assert (screen["title"], screen["simulated"]) == ("screen", False)
    assert (screen["dataset_title"], screen["licence"], screen["task"]) == (
        "A screen",
        "CC BY",
        "perturbation",
    )


def test_a_control_has_the_layers_and_the_licence_of_its_model(described):
    big, control, baseline = described["models"].values()
    assert [model["kind"] for model in (big, control, baseline)] == ["foundation", "control", "baseline"]
    assert (control["of"], control["control"]) == ("big", "untrained")
    assert (control["layers"], control["licence"]) == (big["layers"], big["licence"]) == (12, "MIT")
    assert baseline["layers"] == 0


def test_weights_that_were_pretrained_here_name_their_cells():
    weights = {"pretrain": {"cells": "corpus"}}
    models = CONFIG["models"] | {"big": CONFIG["models"]["big"] | {"weights": weights}}
    described = study_description(CONFIG | {"models": models})
    assert described["models"]["big"]["trained_on"] == "pretrained here on corpus"


def test_the_printed_configuration_has_what_numbers_depend_on_and_nothing_else(described):
    printed = described["config"]
    assert "title" not in printed["study"]
    assert list(printed["conditions"]) == ["drawn", "screen"]
    assert printed["models"]["big"] == {"family": "scgpt", "layers": 12}
    assert {"resampling", "trajectory", "perturbation"} < set(printed)
    assert not {"cell_type", "datasets", "seeds"} & set(printed)
    assert described["seeds"] == {"resampling": 1}


def test_versions_are_those_of_installed_packages(described):
    assert described["versions"]["numpy"] == np.__version__
    assert "layerscope" in described["versions"]
