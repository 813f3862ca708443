"""Baselines that are told which batch each cell is of, and take batches away: layers of a model are not told.

Each runs a package that is no requirement of this project (harmonypy is under the GPL, scvi-tools brings
thirty others): ``catalogue.py`` names it, and where it is not installed the model has no scores, and says so.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.models.representation import Representation, variable_genes

if TYPE_CHECKING:
    from anndata import AnnData

USES_BATCHES = "uses batch labels: column {}"
SCVI_STEPS, SCVI_MOST_EPOCHS = 20_000, 400
"""scvi-tools trains 400 epochs, of more than 20,000 cells fewer in proportion."""


def harmony_pca(
    cells: AnnData, seed: int, batch: str = "batch", n_top_genes: int = 2000, n_components: int = 50
) -> Representation:
    """Principal components of ``hvg_pca``, moved by Harmony (Korsunsky et al. 2019) until batches overlap."""
    from layerscope.models.baselines import hvg_pca  # which lists this function

    labels = batch_labels(cells, batch, "harmony_pca")
    components = hvg_pca(cells, seed, n_top_genes, n_components)
    harmony = import_module("harmonypy").run_harmony(
        components.matrix.astype(np.float64), labels, [batch], random_state=seed, verbose=False
    )
    corrected = np.asarray(harmony.Z_corr)
    # cells x components since 2.0, components x cells before
    corrected = corrected if corrected.shape == components.matrix.shape else corrected.T
    return Representation(corrected.astype(np.float32), [USES_BATCHES.format(batch), *components.notes])


def scvi(
    cells: AnnData,
    seed: int,
    batch: str = "batch",
    n_top_genes: int = 2000,
    n_components: int = 10,
    epochs: int = 0,
) -> Representation:
    """Latent means of scVI (Lopez et al. 2018) on counts of highly variable genes, its defaults otherwise.

    With ``epochs`` 0 as many as scvi-tools takes for so many cells.
    """
    import anndata

    package = import_module("scvi")
    labels = batch_labels(cells, batch, "scvi")
    genes, notes = variable_genes(cells, n_top_genes)
    counts = anndata.AnnData(cells.X[:, genes].copy(), obs=labels)
    package.settings.seed = seed
    package.model.SCVI.setup_anndata(counts, batch_key=batch)
    model: Any = package.model.SCVI(counts, n_latent=n_components)
    model.train(max_epochs=epochs or min(round(SCVI_STEPS / counts.n_obs * 400), SCVI_MOST_EPOCHS))
    latent: NDArray[Any] = model.get_latent_representation()
    return Representation(np.asarray(latent, dtype=np.float32), [USES_BATCHES.format(batch), *notes])


def batch_labels(cells: AnnData, column: str, name: str) -> pd.DataFrame:
    """The batch of every cell as text, in a table of one column."""
    if column not in cells.obs:
        raise DataError(
            f"{name} needs the batch of every cell: there is no column {column!r}; name it, "
            f"`settings: {{batch: COLUMN}}` of the model, or leave {name} out of the models"
        )
    labels = cells.obs[column]
    known = labels.notna() & (labels.astype(str) != "")
    if not known.all():
        raise DataError(
            f"{name} needs the batch of every cell: column {column!r} has none for {int((~known).sum())} "
            f"cells; leave them out of the condition (`exclude`), or {name} out of the models"
        )
    if labels.nunique() < 2:
        raise DataError(f"{name}: column {column!r} has one label; leave {name} out of the models")
    return pd.DataFrame({column: labels.astype(str).to_numpy()}, index=cells.obs_names)
