"""A study's configuration: what is accepted, what is refused and how, and what follows from it."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from study_configs import OF_PBMC, ROOT, default_config, read, two_lists

from layerscope.errors import ConfigError
from layerscope.models.catalogue import CONTROLS
from layerscope.report.description import study_description
from layerscope.study import configuration_docs, gathering, jobs
from layerscope.study.runs import Study
from layerscope.tasks.catalogue import TASKS

CONFIGS = ("config.yaml", "referee.yaml", "labels.yaml", "paper.yaml", "scale.yaml")
REST = {"task": "label", "cells_of": "simulated_Rest"}


@pytest.fixture
def config() -> dict[str, Any]:
    return default_config()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_studies_of_the_repository_are_complete(name: str) -> None:
    study = Study.read(read("models.yaml", "datasets.yaml", name))
    assert study.runs()
    assert study.resampling.resamples == 1000


def test_the_study_for_a_referee_has_every_protocol_and_control() -> None:
    entries = read("models.yaml", "datasets.yaml", "referee.yaml")
    study, studied = Study.read(entries), entries["study"]
    everything = {"paper", "released", "strict"}
    assert all(everything == set(study.protocols(task)) for task in ("trajectory", "perturbation"))
    assert study.tasks() == sorted(TASKS)
    for model in ("embedded_scfoundation", "embedded_tahoe_x1"):
        controls = [entries["models"][name] for name in studied["models"] if name.startswith(f"{model}_")]
        assert {control["control"] for control in controls} == set(CONTROLS)
        assert sum(control["control"] == "untrained" for control in controls) >= 5


def test_completing_leaves_the_argument_alone(config: dict[str, Any]) -> None:
    before = copy.deepcopy(config)
    Study.read(config)
    assert config == before


def set_key(config: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        config = config.setdefault(parent, {})
    config[last] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("study.conditions", ["D2_Rest"], ["unknown condition 'D2_Rest'", "did you mean 'D1_Rest'"]),
        ("study.conditions", ["simulated_atlas"], ["simulated_atlas", "has no task"]),
        ("study.models_of", {"pbmc86k": ["hvg_pca"]}, ["models_of: unknown condition", "'pbmc68k'"]),
        ("study.models_of", {"pbmc68k": ["hvg_pcs"]}, ["models_of: pbmc68k: unknown model", "'hvg_pca'"]),
        ("study.models_of", {"pbmc68k": []}, ["models_of: pbmc68k", "at least 1"]),
        ("study.models_of", {"pbmc68k": ["hvg_pca"] * 2}, ["models_of: pbmc68k", "stands twice"]),
        ("study.protocols", {"trajectory": ["papre"]}, ["'papre'", "allowed: paper, released, strict"]),
        ("seeds.resampling", -1, ["seeds: resampling", "-1", "at least 0"]),
        ("trajectory.paper.resamples", 100, ["trajectory: paper", "unknown key 'resamples'"]),
        ("models.new", {"family": "scgtp", "layers": 3, "weights": {}}, ["models: new", "fetch"]),
        ("models.new", {"family": "hvg_pca2"}, ["models: new: family", "hvg_pca"]),
        ("models.new", {"control": "untrained", "of": "hvg_pca"}, ["models: new", "'seed' is missing"]),
        ("conditions.simulated_cell_types.task", "cell_type", ["'cell_type'", "'label'"]),
        ("study.protocols.cell_type", {}, ["'cell_type'", "'label'"]),
        ("cell_type", {}, ["'cell_type'", "'label'"]),
        ("conditions.mine", REST | {"cells_of": "simulated_diff"}, ["unknown condition 'simulated_diff'"]),
        ("conditions.mine", REST | {"cells_of": "simulated_cell_types"}, ["'simulated_differentiation'"]),
        ("conditions.mine", REST | {"subset": {"batch": ["b"]}}, ["'subset' belongs"]),
        ("conditions.mine", REST | {"task": "perturbation"}, ["task perturbation"]),
        ("conditions.mine", REST | {"dataset": "simulated_atlas"}, ["exactly one of"]),
        ("datasets.mine", {"kind": "h5ad", "values": "counts"}, ["datasets: mine", "'source' is missing"]),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(
    config: dict[str, Any], path: str, value: Any, words: list[str]
) -> None:
    set_key(config, path, value)
    with pytest.raises(ConfigError) as refusal:
        Study.read(config)
    for word in words:
        assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_condition_may_be_scored_on_the_cells_of_another(config: dict[str, Any]) -> None:
    config["study"]["conditions"] = ["simulated_cell_types"]
    study = Study.read(config)
    assert study.cells_of("simulated_cell_types") == "simulated_differentiation"
    assert study.cells_of("simulated_Rest") == "simulated_Rest"
    assert study.is_simulated("simulated_cell_types")
    assert study.protocols("label") == ("strict",)


def test_a_condition_says_which_column_holds_its_labels(config: dict[str, Any]) -> None:
    config["study"]["conditions"] = ["simulated_cell_types"]
    config["conditions"]["simulated_cell_types"]["settings"] = {"column": "disease", "dealings": 50}
    with pytest.raises(ConfigError, match=r"labels: \[disease\]"):
        Study.read(config)
    config["datasets"]["simulated_differentiation"]["labels"] = ["disease"]
    study = Study.read(config)
    assert jobs.score_settings(study, "simulated_cell_types", "strict")["column"] == "disease"
    config["conditions"]["simulated_cell_types"]["settings"] = {"colum": "disease"}
    with pytest.raises(ConfigError, match="mean 'column'"):
        Study.read(config)


def test_models_that_need_counts_are_not_run_on_normalised_values(config: dict[str, Any]) -> None:
    config["datasets"]["simulated_differentiation"]["values"] = "log_normalised"
    config["study"]["models"].append("embedded_tahoe_x1_thinned_1")
    study = Study.read(config)
    excluded = {(row["condition"], row["model"]) for row in study.unavailable()}
    assert ("simulated_differentiation", "hellinger_svd") in excluded
    assert ("simulated_differentiation", "embedded_tahoe_x1") not in excluded
    assert ("simulated_differentiation", "embedded_tahoe_x1_thinned_1") in excluded
    assert not excluded & set(study.runs())
    every = [model for condition in study.study.conditions for model in study.study.models_on(condition)]
    assert len(excluded) + len(study.runs()) == len(every)


def test_a_condition_may_have_models_of_its_own() -> None:
    config = two_lists()
    study = Study.read(config)
    rest = ["embedded_tahoe_x1", "hvg_pca", "qc_only"]
    assert study.runs() == [
        *(("simulated_Rest", model) for model in rest),
        *(("pbmc68k", m) for m in OF_PBMC),
    ]
    assert study.study.all_models == (*rest, *OF_PBMC[:2])
    assert study.study.conditions_of("hvg_pca") == ["simulated_Rest", "pbmc68k"]
    assert list(study_description(study)["models"]) == [*rest, *OF_PBMC[:2]]
    files = study.score_files("tsv")
    assert sum("/pbmc68k/" in file for file in files) == 6 + 6 + 1
    assert not [file for file in files if "/pbmc68k/" in file and "/qc_only/" in file]
    assert not [file for file in files if "/simulated_Rest/" in file and "/embedded_pbmc" in file]
    assert set(gathering.described_runs(study)) == {
        ("simulated_Rest", "embedded_tahoe_x1"),
        *(("pbmc68k", model) for model in OF_PBMC[:2]),
    }
    config["geometry"] = {"conditions": ["simulated_Rest"]}
    assert {name for name, _ in gathering.described_runs(Study.read(config))} == {"simulated_Rest"}
    logs = gathering.logs_of_numbers(study)
    assert {"pretrain/embedded_pbmc.log", "pretrain/embedded_tahoe_x1.log"} <= set(logs)
    assert "extract_layers/simulated_Rest/embedded_pbmc.log" not in logs


def test_of_seeds_of_a_control_on_a_condition_all_but_the_lowest_are_repetitions() -> None:
    config = two_lists()
    seeds = [f"embedded_tahoe_x1_untrained_{seed}" for seed in (3, 2)]
    models = ["embedded_tahoe_x1", *seeds, "embedded_tahoe_x1_gene_permuted", "hvg_pca"]
    config["study"] |= {"models": models, "models_of": {"pbmc68k": seeds[:1]}}
    study = Study.read(config)
    repetitions = [study.is_repetition("simulated_Rest", model) for model in models]
    assert repetitions == [False, True, False, False, False]
    assert not study.is_repetition("pbmc68k", seeds[0])


def test_the_report_says_what_cells_cannot_show_and_who_was_pretrained_on_them() -> None:
    conditions = study_description(Study.read(two_lists()))["conditions"]
    assert "765 genes" in conditions["pbmc68k"]["note"]
    assert conditions["pbmc68k"]["note"].endswith(": embedded_pbmc.")
    assert conditions["simulated_Rest"]["note"] == ""


def test_strict_is_what_a_study_gets_that_names_no_protocol(config: dict[str, Any]) -> None:
    del config["study"]["protocols"]
    study = Study.read(config)
    for task in ("trajectory", "perturbation", "label"):
        assert study.protocols(task) == ("strict",)


def test_reading_a_study_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'scanpy', 'pandas', 'anndata', 'numpy'} & set(sys.modules)"
    words = f"import sys, layerscope.study.runs; sys.exit(str({heavy}) if {heavy} else 0)"
    subprocess.run([sys.executable, "-c", words], check=True, env={"PYTHONPATH": str(ROOT / "workflow")})


def test_the_schema_and_the_tables_of_keys_are_those_of_the_models() -> None:
    readme = (ROOT / configuration_docs.README).read_text(encoding="utf-8")
    assert (ROOT / configuration_docs.SCHEMA).read_text(encoding="utf-8") == configuration_docs.schema()
    assert configuration_docs.with_tables(readme) == readme
    assert re.search(r"\| `neighbours` \|.*\| `15` \| whole number from 3 \|", readme)


def test_the_studies_of_the_repository_obey_the_schema() -> None:
    schema = yaml.safe_load((ROOT / configuration_docs.SCHEMA).read_text(encoding="utf-8"))
    for name in CONFIGS:
        Draft202012Validator(schema).validate(read("models.yaml", "datasets.yaml", name))
