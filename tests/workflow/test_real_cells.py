"""Small real data sets run from file to report: where they lie beside the repository."""

from __future__ import annotations

import pytest
from real_cells import BASELINES, study_of_real_cells
from workflow_study import ROOT, Checkout

from layerscope.tables import read_scores

DATA = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the folder of small real data sets is not at {DATA}"
)

# what keeps a test short: few cells of the large file, short pretraining
SHORT = {"pretraining": {"steps": 20}, "resampling": {"resamples": 200}}


@pytest.mark.parametrize("name", ["papalexi", pytest.param("paul15", marks=pytest.mark.slow), "larry_mouse"])
def test_real_cells_run_from_file_to_report(checkout: Checkout, name: str) -> None:
    config = study_of_real_cells(DATA)[name] | SHORT
    if name == "papalexi":
        config["conditions"][name]["selection"] = {"max_cells_per_perturbation": 60, "max_control_cells": 300}
    run = checkout.snakemake("--configfile", checkout.write_config("real.yaml", config))
    assert run.returncode == 0, run.stdout[-6000:]

    scores = read_scores(checkout.folder / "results/tables/scores.tsv")
    primary = scores[scores.metric == "spearman"]
    trained = [model for model in config["models"] if not model.endswith("untrained")]
    layers = primary[primary.model.isin(trained)]
    assert len(layers) == 8 + 10
    assert (layers[layers.layer != "00"].status == "ok").all()
    without = set(scores[scores.status == "not_available"].model)
    assert without == ({"hellinger_svd", "qc_only"} if name == "larry_mouse" else set())
    assert set(BASELINES) <= set(scores.model)
    page = (checkout.folder / "results/report.html").read_text(encoding="utf-8")
    assert f"pretrained here on {name}" in page.replace("<wbr>", "")  # where a long name may break


def test_normalised_values_are_refused_unless_the_study_says_what_they_are(checkout: Checkout) -> None:
    config = study_of_real_cells(DATA)["larry_mouse"]
    config["datasets"]["larry_mouse"]["values"] = "counts"
    target = "results/cells/larry_mouse/cells.h5ad"
    name = checkout.write_config("real.yaml", config)
    run = checkout.snakemake("--configfile", name, "--show-failed-logs", target)
    assert run.returncode != 0
    errors = [line.strip() for line in run.stdout.splitlines() if line.strip().startswith("error: ")]
    assert len(errors) == 1
    assert "larry_mouse_781.h5ad" in errors[0]
    assert "normalised" in errors[0]
    assert not (checkout.folder / target).exists()
