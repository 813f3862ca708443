"""Genome-scale CRISPRi perturb-seq of primary human CD4+ T cells (Zhu et al. 2025).

One file per donor and state, ``D1_Rest.assigned_guide.h5ad``; donor and state are only in its name. Reads the
whole file or a slice of it (see :mod:`layerscope.cells.slices`), which has the same layout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from layerscope.cells.readers import h5ad
from layerscope.cells.readers.columns import Columns
from layerscope.cells.readers.source import SourceCells
from layerscope.cells.settings import CellSettings
from layerscope.errors import DataError

FILE_NAME = re.compile(r"(?P<donor>D\d+)_(?P<state>[A-Za-z0-9]+)\.", re.ASCII)
COLUMNS = {"perturbation": "perturbed_gene_name", "guide": "guide_id", "batch": "lane_id"}
COLUMNS_READ = (*COLUMNS.values(), "guide_type", "low_quality")
SEVERAL_GUIDES = "multi_sgRNA"
TARGETING, NON_TARGETING = "targeting", "non-targeting"
KEY = "kind: cd4_perturbseq"


def read(path: str | Path, settings: CellSettings) -> SourceCells:
    """Read one donor's cells in one state; non-targeting cells become the controls."""
    return read_open(*h5ad.open_named(path), settings)


def read_open(file: h5py.File, name: str, settings: CellSettings) -> SourceCells:
    """Read a file that is open, under the name that its owners gave it; see :func:`read`."""
    donor, _ = donor_and_state(name)
    columns = h5ad.stored_columns(file, name)
    named = {**COLUMNS, **settings.columns}
    flags = owners_flags(columns, named["perturbation"], settings.missing)
    control = guide_types(columns) == NON_TARGETING
    filled = settings.model_copy(update={"columns": named, "control": (), "task": None})
    cells = h5ad.read_open(file, name, filled)
    cells.obs["is_control"] = control
    cells.obs["perturbation"] = np.where(control, NON_TARGETING, cells.obs["perturbation"].to_numpy())
    cells.obs["replicate"] = donor
    cells.left_out = [*flags, *cells.left_out]
    cells.used_columns = list(dict.fromkeys([*columns.used, *cells.used_columns]))
    return cells


def donor_and_state(name: str) -> tuple[str, str]:
    """Donor and state from the name of a file (``D1_Rest.assigned_guide.h5ad``)."""
    parts = FILE_NAME.match(name)
    if not parts:
        raise DataError(f"{name}: expected a name such as D1_Rest.assigned_guide.h5ad (donor and state)")
    return parts["donor"], parts["state"]


def owners_flags(
    columns: Columns, gene_column: str | None, missing: Sequence[str] = ()
) -> list[tuple[str, str, np.ndarray]]:
    """The owners' flags as steps that leave cells out: good quality, one guide, of known type and target."""
    low = columns.flags("low_quality", KEY) | (columns.labels("low_quality", KEY) == "")
    guides, types = pd.Index(columns.labels("guide_id", KEY)), guide_types(columns)
    targeting = types == TARGETING
    if gene_column is not None:
        targeting &= columns.labels(gene_column, KEY, missing) != ""
    return [
        ("low_quality", "false", ~low),
        ("guide_id", "one guide", ~guides.isin(["", SEVERAL_GUIDES])),
        ("guide_type", f"{TARGETING} with a gene, {NON_TARGETING}", targeting | (types == NON_TARGETING)),
    ]


def guide_types(columns: Columns) -> np.ndarray:
    """Type of each cell's guide in the owners' words, whatever the case they are written in."""
    types = columns.labels("guide_type", KEY)
    known = {
        label: label.casefold() for label in set(types) if label.casefold() in (TARGETING, NON_TARGETING)
    }
    if not known:
        raise DataError(
            f"{columns.name}: column 'guide_type' names no guide {TARGETING} or {NON_TARGETING}; "
            f"there are: {', '.join(sorted(set(types) - {''})[:10]) or 'none'}"
        )
    return np.array([known.get(label, label) for label in types], dtype=object)
