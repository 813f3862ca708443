"""Models that hardly see the cells: what stands beside an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerscope.errors import KNOWN_COUNTS
from layerscope.figures.wording import layer_ranges

ALIKE = 0.99
"""Mean cosine of two cells above which a layer hardly tells cells apart."""


def alarms(
    settings: Mapping[str, Any], geometry: pd.DataFrame | None, warned: pd.DataFrame | None
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Sentences by condition and model, of those of which there are any.

    Parameters
    ----------
    settings
        ``conditions``, each with the condition whose ``cells`` it is scored on.
    geometry
        Shapes of layers, if they were described.
    warned
        What the jobs warned of, if it was gathered (:mod:`layerscope.report.warned`).
    """
    of_cells: dict[tuple[str, str], list[str]] = {}
    if warned is not None:
        for row in warned[warned["warning"].str.endswith(KNOWN_COUNTS)].itertuples():
            condition, model, *_ = row.of.split(", ")
            of_cells.setdefault((condition, model), []).append(f"{row.warning}.")
    if geometry is not None:
        alike = geometry[geometry["anisotropy"] > ALIKE]
        for (condition, model), rows in alike.groupby(["condition", "model"]):
            if set(rows["layer"].astype(str)) <= {"0", "00"}:
                continue  # what enters the first block is no candidate
            where = layer_ranges(rows["layer"])
            sentence = f"Cells hardly differ in {where}: the mean cosine of two is above {ALIKE:g}."
            of_cells.setdefault((condition, model), []).append(sentence)
    cells = {name: about.get("cells", name) for name, about in (settings.get("conditions") or {}).items()}
    return {
        (condition, model): tuple(dict.fromkeys(sentences))
        for condition, owner in cells.items()
        for (of, model), sentences in of_cells.items()
        if of == owner
    }
