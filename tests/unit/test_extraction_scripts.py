"""The scripts of extraction, run as a user runs them."""

import anndata as ad
import h5py
import numpy as np
import pytest
from model_examples import all_layers, counts, write_h5ad, write_scfoundation

import export_layer
import extract_layers
import merge_shards
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import read_provenance

N_GENES = 40


@pytest.fixture
def embeddings(tmp_path):
    weights = write_scfoundation(tmp_path / "weights", N_GENES)
    genes = [f"G{i}" for i in range(N_GENES)]
    kind = ["b", "a"] * 5
    cells = write_h5ad(tmp_path / "cells.h5ad", counts(10, N_GENES), genes, obs={"cell_type": kind})
    output = tmp_path / "m.h5ad"
    common = ["--family", "scfoundation", "--weights", str(weights), "--cells", str(cells), "--device", "cpu"]
    extract_layers.main([*common, "--output", str(output), "--model", "small", "--set", "tgthighres=f1"])
    return cells, output


def test_a_layer_is_exported_with_the_cells_table_and_without_refused_cells(embeddings, tmp_path):
    cells, path = embeddings
    output = tmp_path / "out" / "layer_01.h5ad"
    export_layer.main(
        ["--embeddings", str(path), "--cells", str(cells), "--layer", "01", "--output", str(output)]
    )
    found = ad.read_h5ad(output)
    assert found.shape == (9, 16)
    np.testing.assert_array_equal(found.X, all_layers(path)["01"][:9])
    assert found.obs["cell_type"].tolist() == (["b", "a"] * 5)[:9]
    assert '"layer": "01"' in found.uns["layerscope"]


def test_a_layer_of_other_cells_is_not_exported(embeddings, tmp_path):
    _, path = embeddings
    other = write_h5ad(tmp_path / "other.h5ad", counts(3, N_GENES), [f"G{i}" for i in range(N_GENES)])
    with pytest.raises(DataError, match="not those of"):
        export_layer.main(
            ["--embeddings", str(path), "--cells", str(other), "--layer", "01", "--output", "x.h5ad"]
        )


@pytest.mark.parametrize("text", ["tgthighres", "=t4", "a=1 a=2"])
def test_settings_that_cannot_be_read_are_refused(text):
    with pytest.raises(ConfigError, match="--set"):
        extract_layers.main(
            [
                "--family",
                "tahoe_x1",
                "--weights",
                "w",
                "--cells",
                "c",
                "--output",
                "o",
                "--set",
                *text.split(),
            ]
        )


def test_shards_are_merged_in_the_precision_that_was_asked_for(tmp_path):
    weights = write_scfoundation(tmp_path / "weights", N_GENES)
    cells = write_h5ad(tmp_path / "cells.h5ad", counts(10, N_GENES), [f"G{i}" for i in range(N_GENES)])
    common = ["--family", "scfoundation", "--weights", str(weights), "--cells", str(cells), "--device", "cpu"]
    common += ["--stored-dtype", "float16"]
    extract_layers.main([*common, "--output", str(tmp_path / "whole.h5ad")])
    shards = [str(tmp_path / f"{i}.h5ad") for i in (1, 2, 3)]
    for number, shard in enumerate(shards, start=1):
        extract_layers.main([*common, "--output", shard, "--shard", str(number), "3"])
    merge_shards.main(["--shards", *shards, "--output", str(tmp_path / "merged.h5ad")])
    with h5py.File(tmp_path / "merged.h5ad") as merged, h5py.File(tmp_path / "whole.h5ad") as whole:
        assert merged["obsm/layer_01"].dtype == whole["obsm/layer_01"].dtype == np.float16
    one, other = (all_layers(tmp_path / f"{name}.h5ad") for name in ("whole", "merged"))
    for layer, matrix in one.items():
        np.testing.assert_allclose(other[layer], matrix, rtol=2e-3, atol=2e-3)
    assert read_provenance(tmp_path / "merged.h5ad") == read_provenance(tmp_path / "whole.h5ad")
    export = ["--embeddings", str(tmp_path / "merged.h5ad"), "--cells", str(cells), "--layer", "01"]
    export_layer.main([*export, "--output", str(tmp_path / "layer.h5ad")])
    np.testing.assert_array_equal(ad.read_h5ad(tmp_path / "layer.h5ad").X, other["01"][:9])


def test_shards_that_are_not_all_or_not_alike_are_refused(embeddings, tmp_path):
    cells, path = embeddings
    common = ["--family", "scfoundation", "--weights", str(tmp_path / "weights"), "--cells", str(cells)]
    half = str(tmp_path / "half.h5ad")
    extract_layers.main([*common, "--device", "cpu", "--output", half, "--shard", "1", "2"])
    with pytest.raises(DataError, match="5 of 10 cells"):
        merge_shards.main(["--shards", half, "--output", "x.h5ad"])
    with pytest.raises(DataError, match="other model, settings than"):
        merge_shards.main(["--shards", half, str(path), "--output", "x.h5ad"])
    with pytest.raises(ConfigError, match="shard 11 of 11: there are 10 cells"):
        extract_layers.main([*common, "--output", half, "--shard", "11", "11"])
