"""Say which layer of each model to use for each condition, and how sure that is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from layerscope.command_line import command, run
from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import choose_layers
from layerscope.tables import read_scores, write_table


def choose(
    *,
    scores: Path,
    resamples: Sequence[Path],
    models: Mapping[str, Any],
    output: Path,
    curves: Path,
    shifts: Path,
    conditions: Sequence[str] = (),
) -> None:
    """Say which layer of each model to use for each condition, and how sure that is.

    Parameters
    ----------
    scores
        All score rows of the study.
    resamples
        Bootstrap values (.npz) of its primary metrics.
    models
        JSON: model -> {kind, control, of, layers}.
    output, curves, shifts
        Tables to write: the layer to use; every layer with simultaneous intervals; moves of the best layer.
    conditions
        The study's order: shifts go from one condition to a later one.
    """
    rows = read_scores(scores)
    order = [*conditions, *sorted(set(rows["condition"]) - set(conditions))]
    rows["condition"] = pd.Categorical(rows["condition"], order)
    chosen = choose_layers(rows, resamples, models_of(models))
    for path, table in ((output, chosen.layers), (curves, chosen.curves), (shifts, chosen.shifts)):
        write_table(path, table)


main = command(choose)

if __name__ == "__main__":
    run(main)
