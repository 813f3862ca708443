"""Which protocol decides where several were run.

By protocols ``paper`` and ``released``, layer and reference are made from the same cells, so that labels
without any meaning need not score 0. Protocol ``strict`` keeps the cells apart: where it was run for a
condition, it alone says which layer to use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

TRUSTED = "strict"
BY_TRUST = (TRUSTED, "paper", "released")


def most_trusted(protocols: Iterable[str]) -> str:
    """Protocol that decides among those that were run; unknown ones come last, by name."""
    known = {name: place for place, name in enumerate(BY_TRUST)}
    return min(protocols, key=lambda name: (known.get(name, len(known)), name))


def decides(table: pd.DataFrame, by: Sequence[str] = ("condition",)) -> pd.Series:
    """Whether a row is of the protocol that decides among all rows of the same condition, True or False."""
    return table["protocol"] == table.groupby(list(by))["protocol"].transform(most_trusted)
