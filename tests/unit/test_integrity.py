"""The weights that run are the ones that were meant: of known checksums, unchanged, whole and finite."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from family_examples import EXAMPLES, Study, study_of
from model_examples import SCFOUNDATION, load_scfoundation, load_tensors, save_tensors

from layerscope.errors import ConfigError, LayerscopeError, ModelError
from layerscope.extraction.embeddings_file import read_provenance
from layerscope.models.integrity import demand_finite
from layerscope.sources.manifest import sha256, write_manifest


@pytest.fixture(params=EXAMPLES)
def study(request, tmp_path):
    return study_of(EXAMPLES[request.param], tmp_path, n_cells=4)


def release_files(study: Study) -> list[Path]:
    return sorted(path for path in study.folder.rglob("*") if path.is_file() and path != study.cells)


def read_files(study: Study) -> dict[str, dict[str, str]]:
    """What the provenance says of the files that ran."""
    weights: dict[str, dict[str, str]] = read_provenance(study.extract())["weights"]
    return weights


def flip_a_byte(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 0x10
    path.write_bytes(content)


def test_the_checksum_of_every_file_that_ran_stands_in_the_provenance(study):
    files = read_files(study)
    assert len(files) >= 2
    assert {name: file["sha256"] for name, file in files.items()} == {
        name: sha256(study.weights / name) for name in files
    }


def test_where_a_file_came_from_stands_in_the_provenance(tmp_path):
    study = study_of(EXAMPLES["tahoe_x1"], tmp_path, n_cells=4)
    write_manifest(study.weights / "model.safetensors", "https://host/m", revision="abc", etag="e")
    write_manifest(study.weights / "vocab.json", str(tmp_path / "mine.json"))
    files = read_files(study)
    assert files["model.safetensors"].items() >= {"url": "https://host/m", "revision": "abc"}.items()
    assert set(files["vocab.json"]) == {"sha256"}


def test_a_file_that_is_no_longer_the_fetched_one_does_not_run(study):
    for name in read_files(study):
        path = study.weights / name
        content = path.read_bytes()
        write_manifest(path, "https://host/file")
        flip_a_byte(path, -1)
        with pytest.raises(ModelError) as refused:
            study.extract("again.h5ad")
        assert str(path.name) in str(refused.value) and "SHA-256" in str(refused.value)
        path.write_bytes(content)
    study.extract("again.h5ad")


def test_a_file_with_a_known_checksum_needs_no_manifest(study):
    known = {name: file["sha256"] for name, file in read_files(study).items()}
    study.extract("known.h5ad", sha256=known)
    with pytest.raises(ConfigError, match=r"absent\.bin"):
        study.extract("misspelt.h5ad", sha256={**known, "absent.bin": "0" * 64})
    name = next(iter(known))
    flip_a_byte(study.weights / name, -1)
    with pytest.raises(ModelError, match="SHA-256"):
        study.extract("again.h5ad", sha256=known)


def spoil(path: Path, number: float) -> str:
    """Put a number into the largest tensor of a file of weights; its name."""
    tensors = load_tensors(path)
    name = max(tensors, key=lambda name: tensors[name].numel())
    tensors[name].reshape(-1)[-1] = number
    save_tensors(tensors, path)
    return name


def test_weights_that_are_not_finite_are_refused_by_name(study):
    path = study.example.load(study.weights).weights
    name = spoil(path, np.nan)
    with pytest.raises(ModelError) as refused:
        study.extract("again.h5ad")
    assert name.removeprefix("model.") in str(refused.value) and path.name in str(refused.value)
    assert "--dtype" not in str(refused.value)


@pytest.mark.parametrize("number", [np.inf, -np.inf])
def test_infinite_numbers_are_refused_as_well(number):
    with pytest.raises(ModelError, match="table holds 1 of 3"):
        demand_finite(torch.tensor([1.0, number, 2.0]), "table", Path("model.pt"))


def test_numbers_whose_sum_outgrows_the_precision_are_finite():
    demand_finite(torch.full((40,), 6e4, dtype=torch.float16), "table", Path("model.pt"))
    with pytest.raises(ModelError, match="table holds 1 of 41"):
        demand_finite(torch.tensor([6e4] * 40 + [torch.nan], dtype=torch.float16), "table", Path("m"))


@pytest.mark.parametrize("family", EXAMPLES)
def test_damage_without_a_known_checksum_is_a_message_or_runs(family, tmp_path):
    study = study_of(EXAMPLES[family], tmp_path, n_cells=4)
    rng = np.random.default_rng(1)
    n_refused = 0
    for path in release_files(study):
        content = path.read_bytes()
        # heads and tails hold what readers look at first
        places = [*range(0, 64, 6), *(-k for k in range(1, 120, 10)), *rng.integers(len(content), size=8)]
        for place in places:
            flip_a_byte(path, int(place))
            try:
                study.example.load(study.weights)
            except LayerscopeError:
                n_refused += 1
            path.write_bytes(content)
    assert n_refused > 10


def test_a_refused_checkpoint_comes_with_the_safe_way_on(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "gene_index.tsv").write_bytes((SCFOUNDATION / "gene_index.tsv").read_bytes())
    path = tmp_path / "models.ckpt"
    content = torch.load(SCFOUNDATION / "models.ckpt", weights_only=True)
    content["made"] = np.datetime64("2024-01-01")
    torch.save(content, path)
    write_manifest(path, "https://host/models.ckpt")
    with pytest.raises(ModelError) as refused:
        load_scfoundation(tmp_path, gene_list="gene_index.tsv")
    message = str(refused.value)
    assert f"trust_sha256={sha256(path)}" in message and "https://host/models.ckpt" in message
    model = load_scfoundation(tmp_path, gene_list="gene_index.tsv", trust_sha256=sha256(path))
    assert "trust_sha256" not in model.settings
