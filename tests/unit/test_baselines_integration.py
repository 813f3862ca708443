"""Baselines that are told the batches: what they do with a package, and what is said without it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from perturbation_cells import experiment, write

from layerscope.cells.canonical import read_cells
from layerscope.errors import DataError, ModelError
from layerscope.extraction.embeddings_file import Layer, read_layer
from layerscope.models.baselines import compute_baseline
from layerscope.models.catalogue import FAMILIES

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "integration"
HARMONY = """
class Made: pass
def run_harmony(data, meta, names, random_state, verbose):
    made = Made()
    moved = data - meta.groupby(names[0])[names[0]].transform("size").to_numpy()[:, None]
    made.Z_corr = moved if {transposed} == 0 else moved.T
    return made
"""
SCVI = """
import numpy as np
class settings: seed = None
class model:
    class SCVI:
        @staticmethod
        def setup_anndata(data, batch_key): data.uns["batch"] = batch_key
        def __init__(self, data, n_latent): self.data, self.n_latent = data, n_latent
        def train(self, max_epochs): self.epochs = max_epochs
        def get_latent_representation(self):
            batch = (self.data.obs[self.data.uns["batch"]] == "b").to_numpy()
            told = [settings.seed, self.epochs, self.data.n_vars, float(self.data.X.max())]
            return np.column_stack([np.tile(told, (self.data.n_obs, 1)), batch])[:, : self.n_latent]
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    measured = experiment()
    measured.obs["batch"] = np.where(np.arange(measured.n_obs) % 3 == 0, "a", "b")
    measured.obs["lane"] = np.where(np.arange(measured.n_obs) % 2 == 0, "a", "b")
    return write(tmp_path_factory.mktemp("cells") / "cells.h5ad", measured)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules are found before those that are installed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = {name: sys.modules.pop(name, None) for name in ("harmonypy", "scvi")}
    yield tmp_path
    for name, module in installed.items():
        sys.modules.pop(name, None)
        sys.modules.update({name: module} if module else {})


def made(folder: Path, name: str, cells: Path, **settings: object) -> Layer:
    compute_baseline(name, cells, folder / f"{name}.h5ad", settings, seed=3)
    return read_layer(folder / f"{name}.h5ad", "official")


@pytest.mark.parametrize("transposed", [0, 1])
def test_harmony_moves_the_components_of_hvg_pca(package: Path, cells: Path, transposed: int) -> None:
    (package / "harmonypy.py").write_text(HARMONY.format(transposed=transposed))
    layer = made(package, "harmony_pca", cells, n_components=12, n_top_genes=50, batch="lane")
    components = made(package, "hvg_pca", cells, n_components=12, n_top_genes=50).matrix
    sizes = read_cells(cells).obs["lane"].value_counts()
    shifts = read_cells(cells).obs["lane"].map(sizes).astype(float).to_numpy()
    np.testing.assert_allclose(layer.matrix, components - shifts[:, None], rtol=1e-5)
    assert "column lane" in " ".join(layer.provenance["notes"])


def test_scvi_is_trained_on_counts_with_the_batch_of_every_cell(package: Path, cells: Path) -> None:
    (package / "scvi.py").write_text(SCVI)
    data = read_cells(cells)
    layer = made(package, "scvi", cells, n_components=5, n_top_genes=50)
    seed, epochs, n_genes, largest = layer.matrix[0, :4]
    assert (seed, n_genes) == (3, 50)
    assert epochs == min(round(20000 / data.n_obs * 400), 400)
    assert largest == int(largest) > 1
    np.testing.assert_array_equal(layer.matrix[:, 4], data.obs["batch"] == "b")
    assert made(package, "scvi", cells, n_components=5, epochs=7).matrix[0, 1] == 7


@pytest.mark.parametrize(
    ("settings", "told"), [({"batch": "slide"}, "'slide'"), ({"batch": "one"}, "one label")]
)
def test_cells_without_batches_are_refused(
    package: Path, cells: Path, settings: dict[str, str], told: str
) -> None:
    (package / "harmonypy.py").write_text(HARMONY.format(transposed=0))
    data = read_cells(cells)
    data.obs["one"] = "x"
    with pytest.raises(DataError, match=told):
        made(package, "harmony_pca", write(package / "cells.h5ad", data), **settings)


@pytest.mark.parametrize("name", ["harmony_pca", "scvi"])
def test_without_its_package_a_baseline_says_what_to_install(
    tmp_path: Path, cells: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerscope.models.catalogue.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=f"pip install {FAMILIES[name].package}"):
        made(tmp_path, name, cells)


def test_harmony_gives_what_harmony_gives() -> None:
    harmonypy = pytest.importorskip("harmonypy", reason="harmonypy is no requirement and is not installed")
    import pandas as pd

    before, after = (
        np.load(GOLDEN / f"pbmc_three_chemistries_{name}.npz") for name in ("pca20", "pca20_harmony")
    )
    batches = pd.DataFrame({"batch": before["technology"]})
    moved = harmonypy.run_harmony(
        before["embedding"].astype(float), batches, ["batch"], random_state=0, verbose=False
    ).Z_corr
    moved = moved if moved.shape == after["embedding"].shape else moved.T
    np.testing.assert_allclose(moved, after["embedding"], atol=0.05)
