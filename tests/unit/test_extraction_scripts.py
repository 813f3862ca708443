"""The scripts of extraction, run as a user runs them."""

import anndata as ad
import h5py
import numpy as np
import pytest
from cell_files import write_h5ad
from model_examples import all_layers, counts, write_scfoundation

import export_layer
import extract_layers
import merge_shards
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import read_provenance

N_GENES = 40
GENES = [f"G{i}" for i in range(N_GENES)]
KINDS = ["b", "a"] * 5


@pytest.fixture
def cells(tmp_path):
    write_scfoundation(tmp_path / "weights", N_GENES)
    return write_h5ad(tmp_path / "cells.h5ad", counts(10, N_GENES), GENES, obs={"cell_type": KINDS})


def extracted(cells, name, *options):
    output = cells.with_name(name)
    common = ["--family", "scfoundation", "--weights", str(cells.with_name("weights")), "--device", "cpu"]
    extract_layers.main([*common, "--cells", str(cells), "--output", str(output), *options])
    return output


def exported(embeddings, cells, layer="01"):
    output = embeddings.with_name("exported.h5ad")
    options = {"embeddings": embeddings, "cells": cells, "layer": layer, "output": output}
    export_layer.main([f"--{name}={value}" for name, value in options.items()])
    return ad.read_h5ad(output)


def test_a_layer_is_exported_with_the_cells_table_and_without_refused_cells(cells):
    path = extracted(cells, "m.h5ad", "--model", "small", "--set", "tgthighres=f1")
    layer = exported(path, cells)
    np.testing.assert_array_equal(layer.X, all_layers(path)["01"][:9])
    assert layer.obs["cell_type"].tolist() == KINDS[:9]
    assert '"layer": "01"' in layer.uns["layerscope"]
    assert read_provenance(path)["model"] == "small"
    assert read_provenance(path)["settings"]["tgthighres"] == "f1"


def test_a_layer_of_other_cells_is_not_exported(cells):
    three = write_h5ad(cells.with_name("three.h5ad"), counts(3, N_GENES), GENES)
    with pytest.raises(DataError, match="not those of"):
        exported(extracted(cells, "m.h5ad"), three)


@pytest.mark.parametrize("text", ["tgthighres", "=t4", "a=1 a=2"])
def test_settings_that_cannot_be_read_are_refused(cells, text):
    with pytest.raises(ConfigError, match="--set"):
        extracted(cells, "m.h5ad", "--set", *text.split())


def test_shards_are_merged_in_the_precision_that_was_asked_for(cells):
    half = ("--stored-dtype", "float16")
    whole, merged = extracted(cells, "whole.h5ad", *half), cells.with_name("merged.h5ad")
    shards = [extracted(cells, f"{i}.h5ad", *half, "--shard", str(i), "3") for i in (1, 2, 3)]
    merge_shards.main(["--shards", *map(str, shards), "--output", str(merged)])
    for path in (whole, merged):
        with h5py.File(path) as file:
            assert file["obsm/layer_01"].dtype == np.float16
    layers = all_layers(merged)
    for layer, matrix in all_layers(whole).items():
        np.testing.assert_allclose(layers[layer], matrix, rtol=2e-3, atol=2e-3)
    assert read_provenance(merged) == read_provenance(whole)
    np.testing.assert_array_equal(exported(merged, cells).X, layers["01"][:9])


def test_shards_that_are_not_all_or_not_alike_are_refused(cells):
    half = extracted(cells, "half.h5ad", "--shard", "1", "2")
    with pytest.raises(DataError, match="5 of 10 cells"):
        merge_shards.main(["--shards", str(half), "--output", "x.h5ad"])
    path = extracted(cells, "m.h5ad", "--model", "small", "--set", "tgthighres=f1")
    with pytest.raises(DataError, match="model, settings"):
        merge_shards.main(["--shards", str(half), str(path), "--output", "x.h5ad"])
    with pytest.raises(ConfigError, match=r"shard 11 of 11.*10 cells"):
        extracted(cells, "half.h5ad", "--shard", "11", "11")


def test_antibodies_beside_the_genes_change_no_layer(cells):
    matrix = counts(10, N_GENES)
    both = np.hstack([matrix, 500 * np.arange(20).reshape(10, 2)])
    kinds = ["Gene Expression"] * N_GENES + ["Antibody Capture"] * 2
    more = write_h5ad(cells.with_name("cite.h5ad"), both, [*GENES, "CD3", "CD4-1"], feature_types=kinds)
    alone, beside = (all_layers(extracted(file, f"{file.stem}_layers.h5ad")) for file in (cells, more))
    for layer, values in alone.items():
        np.testing.assert_array_equal(beside[layer], values)
