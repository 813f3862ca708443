"""A study's configuration: what is accepted, what is refused and how, and what follows from it."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from jsonschema import Draft202012Validator

from layerscope import configuration_docs, gathering, jobs
from layerscope.cells.settings import CellSettings
from layerscope.demo.settings import Pretraining
from layerscope.errors import ConfigError
from layerscope.report.description import study_description
from layerscope.study import Study
from layerscope.tasks.catalogue import TASKS
from layerscope.tasks.perturbation.settings import StrictSettings
from scanpy_cells import pbmc68k

ROOT = Path(__file__).parents[2]


def read(*names: str) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name in names:
        config |= yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return config


@pytest.fixture
def config() -> dict[str, Any]:
    """The default study without what only makes it short."""
    study = read("models.yaml", "datasets.yaml", "config.yaml")
    del study["geometry"], study["perturbation"], study["label"]
    for name in ("simulated_Rest", "simulated_Stim8hr"):
        del study["study"]["models_of"][name]
    return study


@pytest.mark.parametrize("name", ["config.yaml", "referee.yaml", "labels.yaml", "paper.yaml", "scale.yaml"])
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
        assert {control["seed"] for control in controls if control["control"] == "untrained"} >= {
            1,
            2,
            3,
            4,
            5,
        }
        assert {control["control"] for control in controls} == {
            "untrained",
            "gene_permuted",
            "values_permuted",
            "thinned",
        }


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
        ("studdy", {}, ["unknown key 'studdy'", "did you mean 'study'", "allowed", "seeds"]),
        ("study.models", ["hvg_pcs"], ["unknown model 'hvg_pcs'", "did you mean 'hvg_pca'"]),
        ("study.conditions", ["D2_Rest"], ["unknown condition 'D2_Rest'", "did you mean 'D1_Rest'"]),
        ("study.conditions", ["simulated_atlas"], ["simulated_atlas", "has no task"]),
        (
            "study.protocols",
            {"trajectory": ["papre"]},
            ["'papre' is not allowed", "allowed: paper, released, strict"],
        ),
        ("seeds.resampling", -1, ["seeds: resampling", "-1", "at least 0"]),
        ("trajectory.paper.neighbours", 2, ["trajectory: paper: neighbours", "at least 3"]),
        ("trajectory.paper.resamples", 100, ["trajectory: paper", "unknown key 'resamples'"]),
        ("perturbation.strict.crossnobis", True, ["perturbation: strict", "unknown key 'crossnobis'"]),
        ("trajectory.paper.neighbors", 15, ["unknown key 'neighbors'", "did you mean 'neighbours'"]),
        ("models.new", {"family": "scgtp", "layers": 3, "weights": {}}, ["models: new", "fetch"]),
        ("models.new", {"family": "hvg_pca2"}, ["models: new: family", "hvg_pca"]),
        ("models.a/b", {"family": "hvg_pca"}, ["'a/b'", "letters, digits"]),
        ("models.new", {"control": "untrained", "of": "hvg_pca"}, ["models: new", "'seed' is missing"]),
        ("datasets.mine", {"kind": "h5ad", "values": "counts"}, ["datasets: mine", "'source' is missing"]),
        (
            "datasets.mine",
            {"kind": "h5ad", "values": "counts", "source": {"path": "a", "url": "b"}},
            ["datasets: mine: source", "exactly one", "path, url"],
        ),
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


def test_a_control_of_a_baseline_is_refused(config: dict[str, Any]) -> None:
    config["models"]["new"] = {"control": "untrained", "of": "hvg_pca", "seed": 1}
    config["study"]["models"].append("new")
    with pytest.raises(ConfigError, match="'hvg_pca' is not a foundation model"):
        Study.read(config)


def test_a_missing_file_is_named(config: dict[str, Any]) -> None:
    config["datasets"]["mine"] = {"kind": "h5ad", "values": "counts", "source": {"path": "absent.h5ad"}}
    config["conditions"]["mine"] = {"dataset": "mine", "task": "trajectory"}
    config["study"]["conditions"] = ["mine"]
    with pytest.raises(ConfigError, match=r"datasets: mine: source: path: there is no file 'absent.h5ad'"):
        Study.read(config)


def test_a_source_may_be_a_file_of_an_installed_package(config: dict[str, Any]) -> None:
    config["study"]["conditions"] = ["pbmc68k"]
    source = config["datasets"]["pbmc68k"]["source"]["package"]
    source |= {"name": "yaml", "file": "loader.py"}
    assert jobs.source_file(Study.read(config), "pbmc68k") == str(Path(yaml.__file__).with_name("loader.py"))
    source |= {"file": "absent.h5ad"}
    with pytest.raises(ConfigError, match=r"datasets: pbmc68k: source: package: .*has no file 'absent.h5ad'"):
        Study.read(config)
    source |= {"name": "no_such_package"}
    with pytest.raises(ConfigError, match="'no_such_package' is not installed here: `pip install"):
        Study.read(config)


def test_a_condition_may_be_scored_on_the_cells_of_another(config: dict[str, Any]) -> None:
    config["study"]["conditions"] = ["simulated_cell_types"]
    study = Study.read(config)
    assert study.cells_of("simulated_cell_types") == "simulated_differentiation"
    assert study.cells_of("simulated_Rest") == "simulated_Rest"
    assert study.is_simulated("simulated_cell_types")
    assert study.protocols("label") == ("strict",)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"cells_of": "simulated_diff"}, "unknown condition 'simulated_diff'"),
        ({"cells_of": "simulated_cell_types"}, "has no cells of its own; name 'simulated_differentiation'"),
        ({"cells_of": "simulated_Rest", "subset": {"batch": ["b"]}}, "'subset' belongs to 'simulated_Rest'"),
        ({"cells_of": "simulated_Rest", "task": "perturbation"}, "task perturbation chooses its own cells"),
        ({"cells_of": "simulated_Rest", "dataset": "simulated_atlas"}, "exactly one of these keys"),
    ],
)
def test_cells_that_cannot_be_shared_are_refused(
    config: dict[str, Any], entry: dict[str, Any], words: str
) -> None:
    config["conditions"]["mine"] = {"task": "label"} | entry
    with pytest.raises(ConfigError, match=words):
        Study.read(config)


@pytest.mark.parametrize(
    "place",
    [["conditions", "simulated_cell_types", "task"], ["study", "protocols", "cell_type"], ["cell_type"]],
)
def test_the_former_name_of_a_task_is_told_its_new_one(config: dict[str, Any], place: list[str]) -> None:
    *parents, last = place
    entry = config
    for key in parents:
        entry = entry.setdefault(key, {})
    entry[last] = "cell_type" if last == "task" else {}
    with pytest.raises(ConfigError, match="'cell_type' is called 'label' now") as error:
        Study.read(config)
    assert len(str(error.value).splitlines()) == 1


def test_a_condition_says_which_column_holds_its_labels(config: dict[str, Any]) -> None:
    config["study"]["conditions"] = ["simulated_cell_types"]
    config["conditions"]["simulated_cell_types"]["settings"] = {"column": "disease", "dealings": 50}
    with pytest.raises(ConfigError, match=r"labels: \[disease\]"):
        Study.read(config)
    config["datasets"]["simulated_differentiation"]["labels"] = ["disease"]
    study = Study.read(config)
    assert jobs.score_settings(study, "simulated_cell_types", "strict")["column"] == "disease"
    config["conditions"]["simulated_cell_types"]["settings"] = {"colum": "disease"}
    with pytest.raises(ConfigError, match="did you mean 'column'"):
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


REAL = ["embedded_pbmc", "embedded_pbmc_untrained_1", "hvg_pca"]


@pytest.fixture
def two_lists(config: dict[str, Any]) -> dict[str, Any]:
    """One condition with the models of the study, one with its own."""
    conditions, models = ["simulated_Rest", "pbmc68k"], ["embedded_tahoe_x1", "hvg_pca", "qc_only"]
    own = {"pbmc68k": REAL, "simulated_disease": ["scgpt"]}  # of what is not studied, nothing is run
    config["study"] |= {"conditions": conditions, "models": models, "models_of": own}
    return config


def test_a_condition_may_have_models_of_its_own(two_lists: dict[str, Any]) -> None:
    study = Study.read(two_lists)
    rest = ["embedded_tahoe_x1", "hvg_pca", "qc_only"]
    assert study.runs() == [*(("simulated_Rest", model) for model in rest), *(("pbmc68k", m) for m in REAL)]
    assert study.study.all_models == (*rest, *REAL[:2])
    assert study.study.conditions_of("hvg_pca") == ["simulated_Rest", "pbmc68k"]
    assert list(study_description(study)["models"]) == [*rest, *REAL[:2]]
    files = study.score_files("tsv")
    assert sum("/pbmc68k/" in file for file in files) == 6 + 6 + 1
    assert not [file for file in files if "/pbmc68k/" in file and "/qc_only/" in file]
    assert not [file for file in files if "/simulated_Rest/" in file and "/embedded_pbmc" in file]
    assert set(gathering.described_runs(study)) == {
        ("simulated_Rest", "embedded_tahoe_x1"),
        *(("pbmc68k", model) for model in REAL[:2]),
    }
    two_lists["geometry"] = {"conditions": ["simulated_Rest"]}
    assert {name for name, _ in gathering.described_runs(Study.read(two_lists))} == {"simulated_Rest"}
    logs = gathering.logs_of_numbers(study)
    assert {"pretrain/embedded_pbmc.log", "pretrain/embedded_tahoe_x1.log"} <= set(logs)
    assert "extract_layers/simulated_Rest/embedded_pbmc.log" not in logs


def test_a_control_that_is_alone_on_a_condition_is_no_repetition(two_lists: dict[str, Any]) -> None:
    seeds = [f"embedded_tahoe_x1_untrained_{seed}" for seed in (1, 2)]
    two_lists["study"] |= {"models": ["embedded_tahoe_x1", *seeds]}
    two_lists["study"]["conditions"] = ["simulated_Rest", "simulated_Stim8hr"]
    two_lists["study"]["models_of"] = {"simulated_Stim8hr": ["embedded_tahoe_x1", seeds[1]]}
    study = Study.read(two_lists)
    assert study.is_repetition("simulated_Rest", seeds[1])
    assert not study.is_repetition("simulated_Stim8hr", seeds[1])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pbmc86k": ["hvg_pca"]}, "models_of: unknown condition 'pbmc86k' .did you mean 'pbmc68k'"),
        ({"pbmc68k": ["hvg_pcs"]}, "models_of: pbmc68k: unknown model 'hvg_pcs' .did you mean 'hvg_pca'"),
        ({"pbmc68k": []}, "models_of: pbmc68k.*at least 1"),
        ({"pbmc68k": ["hvg_pca", "hvg_pca"]}, "models_of: pbmc68k.*hvg_pca"),
    ],
)
def test_models_of_a_condition_are_known_and_named_once(
    two_lists: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    two_lists["study"]["models_of"] = given
    with pytest.raises(ConfigError, match=words):
        Study.read(two_lists)


def test_gene_names_are_fetched_for_the_models_of_their_condition_alone(two_lists: dict[str, Any]) -> None:
    path = pbmc68k()
    two_lists["datasets"]["pbmc68k"]["source"] = {"path": str(path)}
    two_lists["study"]["models"] = ["geneformer_v1_10m"]
    assert jobs.gene_names_file(Study.read(two_lists), "pbmc68k") == []
    two_lists["study"]["models_of"]["pbmc68k"] = ["geneformer_v1_10m"]
    assert jobs.gene_names_file(Study.read(two_lists), "pbmc68k") != []


def test_a_model_may_be_pretrained_in_its_own_way(two_lists: dict[str, Any]) -> None:
    two_lists["pretraining"] = {"hidden": 32, "steps": 77}
    pretrain = two_lists["models"]["embedded_pbmc"]["weights"]["pretrain"]
    pretrain["settings"] = {"steps": 5}
    study = Study.read(two_lists)
    assert jobs.pretraining_settings(study, "embedded_tahoe_x1") | {"layers": 0} == {
        **Pretraining(hidden=32, steps=77).as_config(),
        "layers": 0,
    }
    own = jobs.pretraining_settings(study, "embedded_pbmc")
    assert (own["hidden"], own["steps"], own["layers"]) == (32, 5, 4)
    for wrong, words in (({"step": 5}, "did you mean 'steps'"), ({"heads": 5}, "5 heads do not divide")):
        pretrain["settings"] = wrong
        with pytest.raises(ConfigError, match=f"embedded_pbmc: weights: pretrain: settings.*{words}"):
            Study.read(two_lists)


def test_the_report_says_what_cells_cannot_show_and_who_was_pretrained_on_them(
    two_lists: dict[str, Any],
) -> None:
    conditions = study_description(Study.read(two_lists))["conditions"]
    assert "one donor, with 765 genes" in conditions["pbmc68k"]["note"]
    assert conditions["pbmc68k"]["note"].endswith("without their labels: embedded_pbmc.")
    assert conditions["simulated_Rest"]["note"] == ""


def test_a_control_has_the_layers_of_its_model(config: dict[str, Any]) -> None:
    study = Study.read(config)
    assert study.layers("embedded_tahoe_x1_untrained_1") == [
        *[f"{layer:02d}" for layer in range(5)],
        "official",
    ]
    assert study.layers("hvg_pca") == ["official"]


def test_of_several_seeds_of_a_control_all_but_the_first_are_repetitions(config: dict[str, Any]) -> None:
    named = [f"embedded_tahoe_x1_untrained_{seed}" for seed in (3, 2)]
    config["study"]["models"] = ["embedded_tahoe_x1", *named, "embedded_tahoe_x1_gene_permuted", "hvg_pca"]
    study = Study.read(config)
    repetitions = [study.is_repetition("simulated_Rest", model) for model in study.study.models]
    assert repetitions == [False, True, False, False, False]


def test_strict_is_what_a_study_gets_that_names_no_protocol(config: dict[str, Any]) -> None:
    del config["study"]["protocols"]
    study = Study.read(config)
    for task in ("trajectory", "perturbation", "label"):
        assert study.protocols(task) == ("strict",)


def test_the_same_defaults_hold_in_a_study_and_in_a_step(config: dict[str, Any]) -> None:
    study = Study.read(config)
    assert (study.geometry.cells, study.geometry.alignment_cells) == (2000, 1000)
    settings = jobs.score_settings(study, "simulated_Rest", "strict")
    assert StrictSettings.read(settings) == StrictSettings()
    assert "resamples" not in jobs.reference_settings(study, "simulated_Rest", "strict")


def test_a_token_budget_is_passed_on_only_where_one_is_set(config: dict[str, Any]) -> None:
    assert "--token-budget" not in jobs.extraction_options(Study.read(config), "embedded_tahoe_x1")
    config["extraction"] = {"token_budget": 999, "store": "float16"}
    options = jobs.extraction_options(Study.read(config), "embedded_tahoe_x1", "2", "3")
    assert options[-9:] == [
        *["--token-budget", "999", "--seed", "1", "--stored-dtype", "float16"],
        *["--shard", "2", "3"],
    ]


def test_a_condition_overrides_single_filters(config: dict[str, Any]) -> None:
    config["conditions"]["simulated_Rest"]["quality"] = {"min_genes_per_cell": 7}
    settings = jobs.cells_settings(Study.read(config), "simulated_Rest")
    assert settings["quality"] == config["quality"] | {"min_genes_per_cell": 7}
    assert CellSettings.read(settings).subset == {"activation": ("Rest",)}


def test_files_lie_where_rules_make_them(config: dict[str, Any]) -> None:
    model, cells = "embedded_tahoe_x1_untrained_1", "simulated_differentiation"
    config["study"] |= {
        "conditions": ["simulated_cell_types", "simulated_Rest"],
        "models": [model, "hvg_pca"],
    }
    config["extraction"] = {"keep": "sums"}
    study = Study.read(config)
    assert jobs.source_file(study, "simulated_Rest") == "resources/simulated/perturbation.h5ad"
    assert jobs.source_file(study, "cord_blood") == "resources/cord_blood_larry/GSE276896_adata_meta.h5ad"
    assert jobs.source_file(study, "D1_Rest") == "resources/cd4_perturbseq_D1_Rest/slice.h5ad"
    assert jobs.gene_names_file(study, "D1_Rest") == []
    assert jobs.gene_names_file(study, "cord_blood") == ["resources/gene_names/hgnc/hgnc_complete_set.txt"]
    assert jobs.weight_files(study, model)[0] == "resources/weights/embedded_tahoe_x1/model.safetensors"
    assert study.cells_of("simulated_cell_types") == cells
    assert (
        jobs.layers_file(study, "simulated_cell_types", model) == f"results/embeddings/{cells}/{model}.h5ad"
    )
    assert jobs.layers_file(study, "simulated_Rest", model) == f"results/sums/simulated_Rest/{model}.h5"
    assert jobs.reference_folder(study, "simulated_Rest", "strict") == [
        "results/references/simulated_Rest/strict"
    ]
    assert jobs.reference_folder(study, "simulated_cell_types", "strict") == []
    assert jobs.reference_baseline(study, "simulated_differentiation") == [
        f"results/embeddings/{cells}/hvg_pca.h5ad"
    ]
    assert {condition for condition, _ in gathering.described_runs(study)} == {cells}
    assert len(study.score_files("tsv")) == len(set(study.score_files("tsv")))


def test_names_that_models_need_and_a_file_of_ones_own_lacks_are_from_hgnc(
    config: dict[str, Any], tmp_path: Path
) -> None:
    def study(names: list[str], models: list[str], **dataset: Any) -> Study:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.h5ad"
        anndata.AnnData(np.ones((3, len(names))), var=pd.DataFrame(index=names)).write_h5ad(path)
        entry = {"kind": "h5ad", "source": {"path": str(path)}, "values": "counts", **dataset}
        config["datasets"]["own"] = entry
        config["conditions"]["own"] = {"dataset": "own", "task": "trajectory"}
        config["study"] |= {"conditions": ["own"], "models": models}
        return Study.read(config)

    symbols, ids = ["TP53", "CD3E", "MS4A1"], ["ENSG00000141510", "ENSG00000198851", "ENSG00000156738"]
    hgnc = ["resources/gene_names/hgnc/hgnc_complete_set.txt"]
    model, twin = "geneformer_v1_10m", "geneformer_v1_10m_untrained_1"
    assert jobs.gene_names_file(study(symbols, [model]), "own") == hgnc
    assert jobs.gene_names_file(study(symbols, [twin, "hvg_pca"]), "own") == hgnc
    assert jobs.gene_names_file(study(ids, ["scgpt"]), "own") == hgnc
    assert (
        jobs.gene_names_file(study(ids, [model]), "own")
        == jobs.gene_names_file(study(symbols, ["scgpt"]), "own")
        == []
    )
    assert jobs.gene_names_file(study(symbols, ["hvg_pca"]), "own") == []
    assert jobs.gene_names_file(study(symbols, [model], gene_names=None), "own") == []
    mouse = ["Trp53", "Cd3e", "Ms4a1"]
    assert jobs.gene_names_file(study(mouse, [model]), "own") == []
    for content, needed in (("human\tmouse\nTP53\tTrp53\nCD3E\tCd3e\n", hgnc), ("human\tmouse\n", [])):
        (table := tmp_path / f"{len(content)}.tsv").write_text(content)
        assert jobs.gene_names_file(study(mouse, [model], orthologs={"table": str(table)}), "own") == needed


def test_a_table_of_orthologs_is_a_table_of_the_study_or_a_file(
    config: dict[str, Any], tmp_path: Path
) -> None:
    dataset = config["datasets"]["simulated_differentiation"]
    mice = "simulated_differentiation"
    dataset["orthologs"] = {"table": "hcop_mouse", "policy": "sum"}
    study, fetched = (
        Study.read(config),
        "resources/gene_names/hcop_mouse/human_mouse_hcop_fifteen_column.txt.gz",
    )
    assert jobs.orthologs_file(study, mice) == [fetched]
    assert jobs.cells_settings(study, mice)["orthologs"] == {"table": fetched, "policy": "sum"}
    own = tmp_path / "own.tsv"
    dataset["orthologs"] = {"table": str(own)}
    with pytest.raises(
        ConfigError, match=r"own.tsv' is neither a file nor a table under gene_names: hgnc, hcop"
    ):
        Study.read(config)
    own.touch()
    assert jobs.orthologs_file(Study.read(config), mice) == [str(own)]
    del dataset["orthologs"]
    assert jobs.orthologs_file(Study.read(config), mice) == []
    assert "orthologs" not in jobs.cells_settings(Study.read(config), mice)


def test_reading_a_study_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'scanpy', 'pandas', 'anndata', 'numpy'} & set(sys.modules)"
    words = f"import sys, layerscope.study; sys.exit(str({heavy}) if {heavy} else 0)"
    subprocess.run([sys.executable, "-c", words], check=True, env={"PYTHONPATH": str(ROOT / "workflow")})


def test_the_schema_and_the_tables_of_keys_are_those_of_the_models() -> None:
    readme = (ROOT / configuration_docs.README).read_text(encoding="utf-8")
    assert (ROOT / configuration_docs.SCHEMA).read_text(encoding="utf-8") == configuration_docs.schema()
    assert configuration_docs.with_tables(readme) == readme
    assert re.search(r"\| `neighbours` \|.*\| `15` \| whole number from 3 \|", readme)


def test_the_studies_of_the_repository_obey_the_schema() -> None:
    schema = yaml.safe_load((ROOT / configuration_docs.SCHEMA).read_text(encoding="utf-8"))
    for name in ("config.yaml", "referee.yaml", "paper.yaml", "scale.yaml"):
        Draft202012Validator(schema).validate(read("models.yaml", "datasets.yaml", name))


def test_a_cap_of_a_condition_comes_with_the_seed_of_the_choice(config: dict[str, Any]) -> None:
    config["conditions"]["simulated_Rest"]["max_cells"] = 500
    config["seeds"]["selection"] = 7
    settings = jobs.cells_settings(Study.read(config), "simulated_Rest")
    assert (settings["max_cells"], settings["selection"]) == (500, {"seed": 7})
    assert CellSettings.read(settings).max_cells == 500
    config["conditions"]["simulated_cell_types"]["max_cells"] = 500
    with pytest.raises(ConfigError, match="'max_cells' belongs to 'simulated_differentiation'"):
        Study.read(config)
