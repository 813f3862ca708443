"""Perturbations in the table of cells: which there are, how large, and which cells are whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.errors import DataError


def demand_labels(obs: pd.DataFrame, where: str) -> None:
    """Raise a DataError if the cells carry no perturbations, or no control can be told from them."""
    for name in ("perturbation", "is_control"):
        if name not in obs.columns:
            raise DataError(
                f"{where}: obs has no column {name!r}; name the dataset's column for it under `columns:` "
                "(and the control's label under `control:`)"
            )


def perturbation_sizes(obs: pd.DataFrame) -> dict[str, int]:
    """Cells of each perturbation, the largest first; without the control and cells without a label."""
    labels = obs["perturbation"].astype(str)[~obs["is_control"].to_numpy(dtype=bool)]
    sizes = Counter(labels[labels != ""])
    return dict(sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0])))


def largest(sizes: dict[str, int], min_cells: int, at_most: int | None) -> list[str]:
    """Perturbations of at least ``min_cells`` cells, of these the ``at_most`` largest, by name."""
    return sorted([name for name, size in sizes.items() if size >= min_cells][:at_most])


def group_cells(obs: pd.DataFrame, names: Sequence[str]) -> NDArray[np.int64]:
    """Item of each cell: 0 the control, ``i`` the perturbation ``names[i - 1]``, -1 all others."""
    number = {name: index + 1 for index, name in enumerate(names)}
    item = np.array([number.get(label, -1) for label in obs["perturbation"].astype(str)], dtype=np.int64)
    item[obs["is_control"].to_numpy(dtype=bool)] = 0
    return item
