"""What runs again after a change, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workflow_study import FINAL, STUDY, Checkout

from scanpy_cells import pbmc68k

Plan = Callable[..., dict[str, int]]


def models(*added: str) -> dict[str, Any]:
    study = STUDY["study"]
    return study | {"models": [*study["models"], *added]}


def test_a_second_run_has_nothing_to_do(finished: Checkout) -> None:
    run = finished.snakemake("--configfile", "study.yaml")
    assert run.returncode == 0
    assert "Nothing to be done" in run.stdout


def test_adding_a_baseline_runs_its_jobs_and_the_final_tables_only(plan: Plan) -> None:
    jobs = plan(study=models("hellinger_svd"))
    own = {"compute_baseline": 2, "score_layer": 2}
    assert jobs == own | {"compare_with_baselines": 1} | FINAL


def test_a_model_added_on_one_condition_runs_on_no_other(plan: Plan) -> None:
    added = {"simulated_Stim48hr": [*STUDY["study"]["models"], "hellinger_svd"]}
    jobs = plan(study=STUDY["study"] | {"models_of": added})
    own = {"compute_baseline": 1, "score_layer": 1}
    assert jobs == own | {"compare_with_baselines": 1} | FINAL


def test_adding_a_condition_with_models_of_its_own_runs_its_jobs_and_the_final_tables_only(
    plan: Plan,
) -> None:
    pbmc68k()  # skips where these cells are not at hand
    conditions = [*STUDY["study"]["conditions"], "pbmc68k"]
    own_models = {"pbmc68k": ["embedded_pbmc", "embedded_pbmc_untrained_1", "hvg_pca"]}
    jobs = plan(study=STUDY["study"] | {"conditions": conditions, "models_of": own_models})
    own = {"prepare_cells": 1, "pretrain_scfoundation": 1, "compute_baseline": 1, "extract_layers": 2}
    own |= {"score_layer": 6 + 6 + 1, "describe_geometry": 2, "compare_layers": 2}
    geometry = {"gather_geometry": 1, "compare_with_baselines": 1}
    assert jobs == own | geometry | FINAL | {"plot_scores": 3}


def test_adding_a_control_runs_its_jobs_and_the_final_tables_only(plan: Plan) -> None:
    jobs = plan(study=models("embedded_scfoundation_gene_permuted"))
    own = {"extract_layers": 2, "score_layer": 12}
    geometry = {"describe_geometry": 2, "compare_layers": 2}
    geometry |= {"gather_geometry": 1, "compare_with_baselines": 1}
    assert jobs == own | geometry | FINAL


def test_another_question_about_the_same_cells_extracts_nothing_again(plan: Plan) -> None:
    conditions = [*STUDY["study"]["conditions"], "simulated_cell_types"]
    jobs = plan(study=STUDY["study"] | {"conditions": conditions})
    assert jobs.pop("score_layer") >= 4 * 6
    assert jobs == FINAL | {"plot_scores": 3}


def test_defining_a_model_that_the_study_does_not_run_runs_nothing(plan: Plan) -> None:
    assert plan(models={"another": {"control": "untrained", "of": "embedded_tahoe_x1", "seed": 7}}) == {}


def test_another_resampling_seed_runs_the_scores_and_what_follows(plan: Plan) -> None:
    jobs = plan(seeds={"resampling": 2})
    geometry = {"describe_geometry", "compare_layers", "gather_geometry", "compare_with_baselines"}
    assert set(jobs) == {"score_layer", *geometry, *FINAL}


def test_another_pretraining_seed_runs_pretraining_and_what_follows(plan: Plan) -> None:
    jobs = plan(seeds={"pretraining": 2})
    assert jobs["pretrain_scfoundation"] == jobs["pretrain_tahoe_x1"] == 1
    assert jobs["extract_layers"] == 4 * 2
    assert not {"simulate_cells", "prepare_cells", "compute_baseline"} & set(jobs)


def test_another_selection_seed_runs_nothing_where_nothing_is_selected(plan: Plan) -> None:
    assert set(plan(seeds={"selection": 2})) <= {"write_report"}


def test_another_title_runs_figures_and_report_only(plan: Plan) -> None:
    jobs = plan(study=STUDY["study"] | {"title": "Another title"})
    drawn = {"plot_scores", "plot_layer_choice", "plot_layer_maps", "plot_geometry"}
    assert set(jobs) == {*drawn, "write_report"}


def test_a_stricter_filter_prepares_cells_again_but_simulates_none(plan: Plan) -> None:
    jobs = plan(quality={"min_genes_per_cell": 60})
    assert jobs["prepare_cells"] == 3
    assert "simulate_cells" not in jobs
