"""Which cells enter a condition: seeded caps, and of a screen the perturbations with most cells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from layerscope.cells.settings import Selection
from layerscope.errors import DataError


def stable_order(cell_ids: Iterable[str], seed: int) -> np.ndarray:
    """Give every cell a random number (uint64) that depends on the seed and its id alone."""
    key = f"{seed}:".encode()
    digests = b"".join(hashlib.blake2b(key + cell.encode(), digest_size=8).digest() for cell in cell_ids)
    numbers: np.ndarray = np.frombuffer(digests, dtype="<u8")
    return numbers


def capped(
    cell_ids: pd.Index, strata: pd.DataFrame, most: int, seed: int, every_stratum: bool = False
) -> np.ndarray:
    """Choose at most ``most`` cells, every stratum (combination of columns) in proportion to its cells.

    Within a stratum the cells are put in a random order; the cell at place ``r`` of ``n`` (from 0) has the
    quantile ``(r + 1/2) / n``, and the cells with the smallest quantiles are taken (ties by the random
    number). With ``every_stratum`` the first cell of each comes before any second one. The choice does not
    depend on the order of the cells.
    """
    if len(cell_ids) <= most:
        return np.ones(len(cell_ids), dtype=bool)
    number = stable_order(cell_ids, seed)
    names = list(strata.columns)
    codes = strata.groupby(names, sort=False, observed=True).ngroup().to_numpy() if names else 0
    frame = pd.DataFrame({"stratum": codes, "number": number})
    within = frame.groupby("stratum")["number"]
    rank = within.rank(method="first")
    quantile = ((rank - 0.5) / within.transform("size")).to_numpy()
    if every_stratum:
        quantile[rank == 1] = 0
    keep = np.zeros(len(cell_ids), dtype=bool)
    keep[np.lexsort((cell_ids.to_numpy(dtype=str), number, quantile))[:most]] = True
    return keep


def choose(obs: pd.DataFrame, selection: Selection, where: str) -> np.ndarray:
    """Choose the cells of a perturbation condition; those without a perturbation are never chosen."""
    names = obs["perturbation"].astype(object).to_numpy()
    control = obs["is_control"].to_numpy(dtype=bool)
    targeting: np.ndarray = ~control & (names != "")
    perturbations = _perturbations(names[targeting], selection, where)
    group = np.where(control, -1, pd.Index(perturbations).get_indexer(pd.Index(names)))
    keep: np.ndarray = control | (targeting & (group >= 0))
    if not control.any():
        raise DataError(f"{where}: no control cells are left; check `control`, `subset` and `quality`")
    strata = obs[[name for name in ("guide", "batch") if name in obs]]
    for number in range(-1, len(perturbations)):
        most = selection.max_control_cells if number < 0 else selection.max_cells_per_perturbation
        if most is not None:
            inside = np.flatnonzero(keep & (group == number))
            chosen = capped(obs.index[inside], strata.iloc[inside], most, selection.seed)
            keep[inside[~chosen]] = False
    return keep


def _perturbations(names: np.ndarray, selection: Selection, where: str) -> list[str]:
    sizes = pd.Series(names, dtype=object).value_counts()
    ranked = sorted(sizes.items(), key=lambda entry: (-entry[1], str(entry[0])))
    enough = [str(name) for name, size in ranked if size >= (selection.min_cells or 1)]
    if not enough:
        largest = f"the largest has {ranked[0][1]} cells" if ranked else "there are none"
        raise DataError(
            f"{where}: no perturbation has {selection.min_cells or 1} cells ({largest}); "
            "check `selection: min_cells`, `subset` and `quality`"
        )
    return enough[: selection.most_cells]
