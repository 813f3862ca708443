"""A study's configuration: what is accepted, what is refused and how, and what follows from it."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from layerscope import study
from layerscope.errors import ConfigError

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


def read(*names: str) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name in names:
        config |= yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return config


@pytest.fixture
def config() -> dict[str, Any]:
    return read("models.yaml", "datasets.yaml", "config.yaml")


@pytest.mark.parametrize(
    "name", ["config.yaml", "referee.yaml", "cell_types.yaml", "paper.yaml", "scale.yaml"]
)
def test_the_studies_of_the_repository_are_complete(name: str) -> None:
    completed = study.complete(read("models.yaml", "datasets.yaml", name), SCHEMA)
    assert study.runs(completed)
    assert completed["resampling"]["resamples"] == 1000


def test_the_study_for_a_referee_has_every_protocol_and_control() -> None:
    entries = read("models.yaml", "datasets.yaml", "referee.yaml")
    studied = study.complete(entries, SCHEMA)["study"]
    everything = {"paper", "released", "strict"}
    assert all(everything == set(studied["protocols"][task]) for task in ("trajectory", "perturbation"))
    tasks = {entries["conditions"][condition]["task"] for condition in studied["conditions"]}
    assert tasks == set(studied["protocols"]) == {"trajectory", "perturbation", "cell_type"}
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
        }


def test_completing_leaves_the_argument_alone(config: dict[str, Any]) -> None:
    before = copy.deepcopy(config)
    study.complete(config, SCHEMA)
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
        ("study.modles", [], ["study", "unknown key 'modles'", "models"]),
        ("study.models", ["hvg_pcs"], ["unknown model 'hvg_pcs'", "did you mean 'hvg_pca'"]),
        ("study.conditions", ["D2_Rest"], ["unknown condition 'D2_Rest'", "did you mean 'D1_Rest'"]),
        ("study.conditions", ["simulated_atlas"], ["simulated_atlas", "has no task"]),
        (
            "study.protocols",
            {"trajectory": ["papre"]},
            ["'papre' is not allowed", "allowed: paper, released, strict"],
        ),
        ("seeds.resampling", -1, ["seeds: resampling", "-1"]),
        ("seeds.resampling", "one", ["seeds: resampling", "'one'", "integer"]),
        ("extraction.device", "tpu", ["extraction: device", "'tpu'", "auto, cpu, cuda"]),
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
        study.complete(config, SCHEMA)
    for word in words:
        assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_control_of_a_baseline_is_refused(config: dict[str, Any]) -> None:
    config["models"]["new"] = {"control": "untrained", "of": "hvg_pca", "seed": 1}
    config["study"]["models"].append("new")
    with pytest.raises(ConfigError, match="'hvg_pca' is not a foundation model"):
        study.complete(config, SCHEMA)


def test_a_missing_file_is_named(config: dict[str, Any]) -> None:
    config["datasets"]["mine"] = {"kind": "h5ad", "values": "counts", "source": {"path": "absent.h5ad"}}
    config["conditions"]["mine"] = {"dataset": "mine", "task": "trajectory"}
    config["study"]["conditions"] = ["mine"]
    with pytest.raises(ConfigError, match=r"datasets: mine: source: path: there is no file 'absent.h5ad'"):
        study.complete(config, SCHEMA)


def test_a_condition_may_be_scored_on_the_cells_of_another(config: dict[str, Any]) -> None:
    config["study"]["conditions"] = ["simulated_cell_types"]
    completed = study.complete(config, SCHEMA)
    assert study.cells_of(completed, "simulated_cell_types") == "simulated_differentiation"
    assert study.cells_of(completed, "simulated_Rest") == "simulated_Rest"
    assert study.is_simulated(completed, "simulated_cell_types")
    assert completed["study"]["protocols"]["cell_type"] == ["strict"]


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
    config["conditions"]["mine"] = {"task": "cell_type"} | entry
    with pytest.raises(ConfigError, match=words):
        study.complete(config, SCHEMA)


def test_models_that_need_counts_are_not_run_on_normalised_values(config: dict[str, Any]) -> None:
    config["datasets"]["simulated_differentiation"]["values"] = "log_normalised"
    completed = study.complete(config, SCHEMA)
    excluded = {(row["condition"], row["model"]) for row in study.unavailable(completed)}
    assert ("simulated_differentiation", "hellinger_svd") in excluded
    assert ("simulated_differentiation", "embedded_tahoe_x1") not in excluded
    assert not excluded & set(study.runs(completed))
    assert len(excluded) + len(study.runs(completed)) == 4 * len(config["study"]["models"])


def test_a_control_has_the_layers_of_its_model(config: dict[str, Any]) -> None:
    completed = study.complete(config, SCHEMA)
    assert study.layers(completed, "embedded_tahoe_x1_untrained_1") == [
        *[f"{layer:02d}" for layer in range(9)],
        "official",
    ]
    assert study.layers(completed, "hvg_pca") == ["official"]


def test_of_several_seeds_of_a_control_all_but_the_first_are_repetitions(config: dict[str, Any]) -> None:
    named = [f"embedded_tahoe_x1_untrained_{seed}" for seed in (3, 2)]
    config["study"]["models"] = ["embedded_tahoe_x1", *named, "embedded_tahoe_x1_gene_permuted", "hvg_pca"]
    repetitions = [study.is_repetition(config, model) for model in config["study"]["models"]]
    assert repetitions == [False, True, False, False, False]


def keys_of(schema: Any) -> set[str]:
    """Every property that a schema names, at any depth."""
    if isinstance(schema, list):
        return set().union(*map(keys_of, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    named = set(schema.get("properties", {}))
    return named.union(*(keys_of(value) for value in schema.values()))


def test_every_key_is_explained() -> None:
    explained = set(re.findall(r"[A-Za-z_0-9]+", (ROOT / "config" / "README.md").read_text(encoding="utf-8")))
    assert keys_of(yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))) - explained == set()
