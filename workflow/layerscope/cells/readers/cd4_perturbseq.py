"""Genome-scale CRISPRi perturb-seq of primary human CD4+ T cells (Zhu et al. 2025).

One file per donor and state, ``D1_Rest.assigned_guide.h5ad``; donor and state are only in its name. Reads the
whole file or a slice of it (see :mod:`layerscope.cells.slices`), which has the same layout.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from layerscope.cells.h5ad_file import open_h5ad
from layerscope.cells.readers import h5ad
from layerscope.cells.readers.source import Columns, SourceCells, file_name
from layerscope.cells.settings import CellSettings
from layerscope.errors import DataError

FILE_NAME = re.compile(r"(?P<donor>D\d+)_(?P<state>[A-Za-z0-9]+)\.", re.ASCII)
COLUMNS = {"perturbation": "perturbed_gene_name", "guide": "guide_id", "batch": "lane_id"}
SEVERAL_GUIDES = "multi_sgRNA"
TARGETING, NON_TARGETING = "targeting", "non-targeting"
OBS_COLUMNS = ("lane_id", "guide_id", "perturbed_gene_name", "guide_type", "low_quality")


def read(path: str | Path, settings: CellSettings) -> SourceCells:
    """Read one donor's cells in one state; non-targeting cells become the controls.

    Raises
    ------
    DataError
        If the name of the file gives no donor and state, or a column of the owners' layout is missing.
    """
    name = file_name(path)
    donor, _ = donor_and_state(name)
    with open_h5ad(path) as stored:
        columns = h5ad.stored_columns(stored, name)
        flags = owners_flags(columns)
        control = columns.labels("guide_type", "kind: cd4_perturbseq") == NON_TARGETING
    filled = replace(settings, columns={**COLUMNS, **settings.columns}, control=(), task=None)
    cells = h5ad.read(path, filled)
    cells.obs["is_control"] = control
    cells.obs["perturbation"] = np.where(control, NON_TARGETING, cells.obs["perturbation"].to_numpy())
    cells.obs["replicate"] = donor
    cells.left_out = [*flags, *cells.left_out]
    return cells


def donor_and_state(name: str) -> tuple[str, str]:
    """Donor and state from the name of a file (``D1_Rest.assigned_guide.h5ad``).

    Raises
    ------
    DataError
        If the name has another form.
    """
    found = FILE_NAME.match(name)
    if not found:
        raise DataError(f"{name}: expected a name such as D1_Rest.assigned_guide.h5ad (donor and state)")
    return found["donor"], found["state"]


def owners_flags(columns: Columns) -> list[tuple[str, str, np.ndarray]]:
    """The owners' flags as steps that leave cells out: good quality, one guide, of a known type."""
    key = "kind: cd4_perturbseq"
    low = np.char.lower(columns.labels("low_quality", key).astype(str))
    guides = columns.labels("guide_id", key)
    types = columns.labels("guide_type", key)
    return [
        ("low_quality", "false", np.isin(low, ("false", "0"))),
        ("guide_id", "one guide", ~np.isin(guides.astype(str), ("", SEVERAL_GUIDES))),
        (
            "guide_type",
            f"{TARGETING}, {NON_TARGETING}",
            np.isin(types.astype(str), (TARGETING, NON_TARGETING)),
        ),
    ]
