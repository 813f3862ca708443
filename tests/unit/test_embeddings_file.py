"""The embeddings file holds every layer, is whole or absent, and is the same bytes for the same content."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import (
    read_layer,
    read_layers,
    read_provenance,
    read_rows,
    write_embeddings,
    write_official,
)

CELLS = ["a", "bé", "c"]
MATRIX = np.arange(6, dtype=np.float32).reshape(3, 2)


def written(path):
    layers = {"00": MATRIX, "official": MATRIX[:, :1].astype(np.float16)}
    blocks = ({name: matrix[rows] for name, matrix in layers.items()} for rows in (slice(2), slice(2, 3)))
    write_embeddings(path, CELLS, blocks, {"model": "m", "n": 3}, {1: "too short"})
    return path


def test_anndata_reads_what_was_written(tmp_path):
    cells = ad.read_h5ad(written(tmp_path / "m.h5ad"))
    assert cells.shape == (3, 0)
    assert cells.obs_names.tolist() == CELLS
    assert cells.obs["refused"].tolist() == ["", "too short", ""]
    np.testing.assert_array_equal(cells.obsm["layer_00"], MATRIX)
    assert cells.obsm["official"].dtype == np.float16
    assert '"model": "m"' in cells.uns["layerscope"]


def test_a_layer_comes_back_with_its_cells_and_provenance(tmp_path):
    path = written(tmp_path / "m.h5ad")
    layer = read_layer(path, "00")
    assert (layer.cell_ids, layer.provenance) == (CELLS, {"model": "m", "n": 3})
    assert layer.refused == ["", "too short", ""]
    np.testing.assert_array_equal(layer.matrix, MATRIX)
    assert read_layer(path, "official").matrix.dtype == np.float32
    assert read_layers(path) == ["00", "official"]
    assert read_provenance(path)["n"] == 3


def test_a_missing_layer_names_those_there_are(tmp_path):
    with pytest.raises(DataError, match=r"'07'.*00, official"):
        read_layer(written(tmp_path / "m.h5ad"), "07")


def test_what_is_no_embeddings_file_is_told(tmp_path):
    with pytest.raises(DataError, match="no such"):
        read_layer(tmp_path / "none.h5ad", "00")
    cut = tmp_path / "cut.h5ad"
    cut.write_bytes(written(tmp_path / "m.h5ad").read_bytes()[:700])
    with pytest.raises(DataError, match="whole HDF5"):
        read_layer(cut, "00")
    ad.AnnData(MATRIX).write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(DataError, match="not an embeddings"):
        read_layers(tmp_path / "cells.h5ad")


@pytest.mark.parametrize(
    "refused",
    [
        ["", "too short", ""],
        pd.Categorical(["", "too short", ""]),
        pd.Categorical([None, "too short", None]),
        pd.array([None, "too short", None], dtype="string"),
    ],
)
def test_a_file_that_anndata_has_written_again_is_read(tmp_path, refused):
    before = read_layer(written(tmp_path / "m.h5ad"), "official")
    cells = ad.read_h5ad(tmp_path / "m.h5ad")
    cells.obs = pd.DataFrame({"cluster": ["x", "y", "x"], "refused": refused}, index=cells.obs_names)
    cells.obs.index.name = "barcode"
    with ad.settings.override(allow_write_nullable_strings=True):
        cells.write_h5ad(tmp_path / "again.h5ad")
    after = read_layer(tmp_path / "again.h5ad", "official")
    assert (after.cell_ids, after.refused) == (before.cell_ids, before.refused)
    assert after.provenance == before.provenance
    np.testing.assert_array_equal(after.matrix, before.matrix)


def test_damaged_bytes_are_found_whichever_rows_are_read(tmp_path):
    path = tmp_path / "b.h5ad"
    write_official(path, [f"c{i}" for i in range(600)], np.ones((600, 4), dtype=np.float32), {})
    with h5py.File(path) as file:
        place = file["obsm/official"].id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 7] ^= 1
    path.write_bytes(content)
    for read in (read_layer, lambda *place: read_rows(*place, np.array([300]))):
        with pytest.raises(DataError, match=r"'official' is damaged.*delete"):
            read(path, "official")
    assert read_rows(path, "official", np.array([3])).shape == (1, 4)


def test_nothing_is_left_of_a_write_that_fails(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_official(tmp_path / "b.h5ad", CELLS, MATRIX, {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []
