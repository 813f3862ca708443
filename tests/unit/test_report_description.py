"""What is said of a study beside its numbers is taken from its configuration."""

from __future__ import annotations

import numpy as np
import pytest
from study_configs import read

from layerscope.report.description import study_description
from layerscope.study.runs import Study

MODELS = ["embedded_tahoe_x1", "embedded_tahoe_x1_untrained_1", "scfoundation", "hvg_pca"]


@pytest.fixture(scope="module")
def described():
    entries = read("models.yaml", "datasets.yaml")
    studied = {"title": "A study", "conditions": ["D1_Rest", "simulated_differentiation"], "models": MODELS}
    return study_description(Study.read(entries | {"study": studied, "accepted_licences": ["scfoundation"]}))


def test_conditions_and_models_are_those_of_the_study_in_its_order(described):
    assert described["order"] == list(described["conditions"]) == ["D1_Rest", "simulated_differentiation"]
    assert list(described["models"]) == MODELS
    assert described["title"] == "A study"


def test_a_condition_names_its_task_and_whether_its_cells_are_simulated(described):
    screen, drawn = described["conditions"].values()
    assert (screen["task"], screen["simulated"]) == ("perturbation", False)
    assert (drawn["task"], drawn["simulated"]) == ("trajectory", True)
    assert screen["licence"] and screen["citation"]


def test_models_are_foundation_models_controls_or_baselines(described):
    small, control, big, baseline = described["models"].values()
    kinds = [model["kind"] for model in described["models"].values()]
    assert kinds == ["foundation", "control", "foundation", "baseline"]
    assert (control["of"], control["control"]) == ("embedded_tahoe_x1", "untrained")
    assert (control["layers"], control["licence"]) == (small["layers"], small["licence"])
    assert small["trained_on"].endswith("simulated_atlas")
    assert (big["layers"], baseline["layers"]) == (12, 0)


def test_the_printed_configuration_has_what_numbers_depend_on(described):
    printed = described["config"]
    assert "title" not in printed["study"]
    assert list(printed["conditions"]) == ["D1_Rest", "simulated_differentiation"]
    assert {"resampling", "trajectory", "perturbation"} < set(printed)
    assert not {"label", "datasets", "seeds"} & set(printed)
    assert described["versions"]["numpy"] == np.__version__
