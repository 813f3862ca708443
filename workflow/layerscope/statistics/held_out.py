"""The layer chosen on one half of the data and scored on the other: what a choice is really worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class HeldOut:
    """A choice among layers, tried on many splits in halves: means over the choices."""

    estimate: float = np.nan  # the chosen layer's score on the other half
    gain: float = np.nan  # that minus the final layer's
    optimism: float = np.nan  # its score on the choosing half minus the estimate
    most_often: int = -1  # index of the layer that is chosen most often
    share: float = np.nan  # how often
    n_splits: int = 0


def held_out(one_half: npt.ArrayLike, other_half: npt.ArrayLike, final: int = -1) -> HeldOut:
    """Choose the highest layer on each half, ``(n_splits, n_layers)``, and score it on the other."""
    first, second = np.asarray(one_half, dtype=np.float64), np.asarray(other_half, dtype=np.float64)
    usable = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    if not usable.any():
        return HeldOut()
    choosing = np.concatenate([first[usable], second[usable]])
    scoring = np.concatenate([second[usable], first[usable]])
    rows = np.arange(len(choosing))
    chosen = choosing.argmax(axis=1)
    frequency = np.bincount(chosen, minlength=choosing.shape[1])
    on_choosing, on_scoring = choosing[rows, chosen], scoring[rows, chosen]
    return HeldOut(
        estimate=float(on_scoring.mean()),
        gain=float((on_scoring - scoring[:, final]).mean()),
        optimism=float((on_choosing - on_scoring).mean()),
        most_often=int(frequency.argmax()),
        share=float(frequency.max() / frequency.sum()),
        n_splits=int(usable.sum()),
    )
