"""The difference of two scores, and p-values of many choices that are corrected for each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.statistics.multiple_testing import holm

NAN = float("nan")
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """A layer's score minus another, paired; NaN where the two are not paired.

    Interval and p-value hold for all layers of the model at once (max-T): they may be read for the highest.
    """

    estimate: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN

    @property
    def is_reference(self) -> bool:
        """Whether the layer is itself what it is compared with."""
        return self.estimate == 0 and self.p == 1 and math.isnan(self.low)

    @property
    def ahead(self) -> bool:
        """Whether the layer is shown to score higher."""
        return self.estimate > 0 and self.p < SIGNIFICANT

    @property
    def behind(self) -> bool:
        """Whether the layer is shown to score lower."""
        return self.estimate < 0 and self.p < SIGNIFICANT

    def columns(self, name: str) -> dict[str, float]:
        """Estimate and interval as columns of a row."""
        return {name: self.estimate, f"{name}_ci_low": self.low, f"{name}_ci_high": self.high}


def correct(rows: Sequence[dict[str, Any]], columns: Mapping[str, str]) -> None:
    """Fill columns of rows with other columns' p-values, corrected within each task and protocol (Holm).

    Planted layers are apart: a control whose truth is known must not cost the models any power.
    """
    families: dict[tuple[str, str, bool], list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault((row["task"], row["protocol"], row.get("planted", False)), []).append(row)
    for family in families.values():
        for column, alone in columns.items():
            for row, p in zip(family, holm([row[alone] for row in family]), strict=True):
                row[column] = float(p)
