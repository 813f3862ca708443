"""The published embeddings of cells, beside those that the release gives here."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anndata as ad
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import read_layer
from layerscope.extraction.job import Extraction, prepare
from layerscope.models.published import PublishedEmbeddings, PublishedNumbers, ReferenceFile
from layerscope.sources.fetch import fetch
from layerscope.sources.settings import RemoteFile
from layerscope.tables import OFFICIAL
from layerscope.verification.checks import Check, equal, near

Matrix = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where files are that are compared, and how they get there."""

    weights: Path
    downloads: Path
    mirror: str | None = None

    def fetch(self, source: RemoteFile, what: str) -> Path:
        """A file of published numbers, fetched unless it is there."""
        settings = source.model_dump(mode="json", exclude_unset=True, exclude={"obsm"})
        output = self.downloads / what / Path(source.member or source.path or source.name).name
        fetch(settings, output, self.mirror)
        return output


def embedding_checks(
    published: PublishedEmbeddings, job: Extraction, place: Place, n_cells: int
) -> list[Check]:
    """Run the release over the first ``n_cells`` published cells and compare their official embeddings."""
    cells = place.fetch(published.cells, "cells")
    with TemporaryDirectory() as scratch:
        here = extracted(_as_h5ad(cells, Path(scratch)), job, place.weights, n_cells)
    if published.reference is None:
        return _compare_numbers(here, published)
    theirs = read_reference(place.fetch(published.reference, "reference"), published.reference)
    what, source = f"official embedding of {len(here)} cells", published.source
    if theirs.shape[0] < len(here) or theirs.shape[1] != here.shape[1]:
        expected = f"{len(here)} cells or more x {here.shape[1]}"
        return [equal(f"{what}: shape", source, " x ".join(map(str, theirs.shape)), expected)]
    theirs = theirs[: len(here)]
    size = np.linalg.norm(here, axis=1) * np.linalg.norm(theirs, axis=1)
    cosine = float(((here * theirs).sum(axis=1) / size).min())
    return [
        near(f"{what}: root mean square difference", source, _difference(here, theirs), published.tolerance),
        near(f"{what}: 1 - cosine", source, 1 - cosine, 1 - published.cosine, f"cosine {cosine:.6f}"),
    ]


def _compare_numbers(here: Matrix, published: PublishedEmbeddings) -> list[Check]:
    return [
        near(
            f"official embedding of cell {row.cell}: root mean square difference of {n_numbers} numbers",
            published.source,
            _difference(_ends(here[row.cell], row)[None], np.array([[*row.first, *row.last]])),
            published.tolerance,
        )
        for row in published.numbers
        if row.cell < len(here) and (n_numbers := len(row.first) + len(row.last))
    ]


def _ends(embedding: Matrix, row: PublishedNumbers) -> Matrix:
    return np.concatenate([embedding[: len(row.first)], embedding[len(embedding) - len(row.last) :]])


def _difference(here: Matrix, theirs: Matrix) -> float:
    """The largest root mean square difference of a cell."""
    return float(np.sqrt(((here.astype(np.float64) - theirs) ** 2).mean(axis=1)).max())


def extracted(cells: Path, job: Extraction, weights: Path, n_cells: int) -> Matrix:
    """Official embeddings of the first cells of a file."""
    with TemporaryDirectory() as scratch, closing(prepare(weights, cells, job)) as run:
        output = Path(scratch) / "embeddings.h5ad"
        run.write(output, range(min(n_cells, len(run.stream))))
        return read_layer(output, OFFICIAL).matrix


def _as_h5ad(cells: Path, scratch: Path) -> Path:
    """The file itself, or the h5ad of a table of counts."""
    if cells.suffix == ".h5ad":
        return cells
    try:
        counts = pd.read_csv(cells, index_col=0)
        matrix = sparse.csr_matrix(counts.to_numpy(dtype=np.float32))
    except ValueError as error:
        raise DataError(f"{cells}: not a table of counts, cells by genes ({error})") from error
    obs, var = (pd.DataFrame(index=names.astype(str)) for names in (counts.index, counts.columns))
    ad.AnnData(matrix, obs, var).write_h5ad(scratch / "cells.h5ad")
    return scratch / "cells.h5ad"


def read_reference(path: Path, reference: ReferenceFile) -> Matrix:
    """Published embeddings, cells x dimensions."""
    try:
        if path.suffix == ".npy":
            matrix = np.load(path, allow_pickle=False)
        else:
            with h5py.File(path) as file:
                matrix = file["obsm"][reference.obsm or "embeddings"][()]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: no published embeddings ({error}); fetch it again") from error
    if matrix.ndim != 2:
        raise DataError(f"{path}: expected cells x dimensions, found the shape {matrix.shape}")
    return np.asarray(matrix, dtype=np.float64)
