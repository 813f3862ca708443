"""GSE276896: human cord blood with LARRY barcodes (Gao et al. 2025, CLADES), ``GSE276896_adata_meta.h5ad``.

``X`` is scaled and ``raw`` is log-normalised (natural log1p of counts per 10,000), so counts are recovered
from ``raw`` and ``obs['total_counts']``, exactly or not at all. The owners' diffusion pseudotime and its root
cell are kept.
"""

from __future__ import annotations

from pathlib import Path

from layerscope.cells.readers import h5ad
from layerscope.cells.readers.source import SourceCells
from layerscope.cells.settings import CellSettings, Recovery
from layerscope.errors import DataError

COLUMNS = {
    "time": "Timepoint",
    "batch": "Batch",
    "cell_type": "def_lab",
    "clone": "Meta clones",
    "reference_pseudotime": "dpt_pseudotime",
}
TIME_ORDER = ("Day3", "Day10", "Day17")
NO_CLONE = ("-1.0", "-1")


def read(path: str | Path, settings: CellSettings) -> SourceCells:
    """Read the owners' file; settings that name other columns or another root take precedence."""
    counts = settings.values == "counts"
    filled = settings.model_copy(
        update={
            "matrix": settings.matrix or "raw",
            "columns": {**COLUMNS, **settings.columns},
            "time_order": settings.time_order or TIME_ORDER,
            "missing": (*settings.missing, *NO_CLONE),
            "recover_counts": settings.recover_counts or (Recovery() if counts else None),
        }
    )
    cells = h5ad.read(path, filled)
    if cells.root_cell is None:
        raise DataError(f"{cells.name}: expected the owners' root cell in uns['iroot']; there is none")
    if not settings.root:
        _add_root(cells)
    return cells


def _add_root(cells: SourceCells) -> None:
    """The root set: cells of the earliest time that carry the cell type of the owners' root cell."""
    owners = cells.obs.loc[cells.root_cell]
    earliest = cells.obs["time"].cat.categories[0]
    is_root = (cells.obs["time"] == earliest) & (cells.obs["cell_type"] == owners["cell_type"])
    cells.obs["is_root"] = is_root.to_numpy(dtype=bool)
    cells.remarks.append(
        f"root set: {int(is_root.sum())} cells of {earliest} labelled {owners['cell_type']!r}, "
        f"the label of the owners' root cell {cells.root_cell}"
    )
