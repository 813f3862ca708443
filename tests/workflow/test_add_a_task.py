"""The guide docs/guides/add_a_task.md, followed step by step: nothing else is touched, or runs again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from workflow_study import FINAL, ROOT, STUDY, Checkout

CELLS = "simulated_differentiation"
GUIDE = ROOT / "docs/guides/add_a_task.md"


@pytest.fixture(scope="module")
def extended(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the finished study to which the task was added."""
    folder = tmp_path_factory.mktemp("task") / "study"
    shutil.copytree(finished.folder, folder, symlinks=True)
    tasks = folder / "workflow/layerscope/tasks"
    shutil.copytree(GUIDE.with_name("evenness"), tasks / "evenness")
    catalogue = tasks / "catalogue.py"
    text = catalogue.read_text(encoding="utf-8")
    text = text.replace('"perturbation",', '"perturbation", "evenness",')
    catalogue.write_text(text, encoding="utf-8")
    checkout = Checkout(folder)
    study = STUDY["study"] | {"conditions": [*STUDY["study"]["conditions"], "even"]}
    conditions = {"even": {"cells_of": CELLS, "task": "evenness"}}
    settings = {"strict": {"power": 3}}
    checkout.write_config(
        "extended.yaml", STUDY | {"study": study, "conditions": conditions, "evenness": settings}
    )
    return checkout


def test_only_its_own_scores_and_the_final_tables_would_run(extended: Checkout) -> None:
    n_layers, n_twins, n_baselines = 6 + 6, 2, 2  # official embeddings among the layers
    scores = {"score_layer": n_layers * n_twins + n_baselines + 2 * 4}  # the last are planted layers
    assert extended.jobs("--configfile", "extended.yaml") == scores | FINAL | {"plot_scores": 3}


def test_its_scores_are_in_the_tables(extended: Checkout) -> None:
    run = extended.snakemake("results/tables/layers.tsv", "--configfile", "extended.yaml")
    assert run.returncode == 0, run.stdout[-4000:]
    scores = pd.read_csv(extended.folder / "results/tables/scores.tsv", sep="\t")
    rows = scores[scores["task"] == "evenness"]
    assert set(rows["condition"]) == {"even"} and rows["estimate"].notna().all()
    layers = pd.read_csv(extended.folder / "results/tables/layers.tsv", sep="\t")
    assert set(layers.loc[layers["task"] == "evenness", "metric"]) == {"evenness"}


def test_its_settings_are_checked_as_those_of_any_task(extended: Checkout) -> None:
    written = (extended.folder / "extended.yaml").read_text(encoding="utf-8")
    (Path(extended.folder) / "wrong.yaml").write_text(
        written.replace("power: 3", "power: x"), encoding="utf-8"
    )
    run = extended.snakemake("--dry-run", "--configfile", "wrong.yaml")
    assert run.returncode != 0 and "evenness: strict: power" in run.stdout
