"""Does the best layer move between conditions? The table of shifts, and in a sentence what it says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from layerscope.report.formats import signed
from layerscope.report.grid import Finding, Source, grid_of, without_constant, without_empty
from layerscope.statistics.choice import SIGNIFICANT
from layerscope.statistics.trust import decides
from layerscope.tables import read_table

TEXT = ("task", "protocol", "model", "best_layer", "other_best_layer", "layers_possible_in_both")
NUMBERS = ("shift", "shift_ci_low", "shift_ci_high", "p_same_holm")
LABELS = {"shift_ci_low": "from", "shift_ci_high": "to", "sentence": "in words"}
MEANINGS = {
    "shift": "depth of the best layer in the other, later condition minus that in the first",
    "shift_ci_low": "95% interval of the shift",
    "shift_ci_high": "95% interval of the shift",
    "layers_possible_in_both": "layers not excluded from being the best in both conditions; each condition "
    "tests them at 0.025 (Bonferroni), so they need not be those that are in both 95% confidence sets",
    "p_same": "tests that some layer is the best in both",
    "p_same_holm": "p_same corrected for all rows of the task and protocol (Holm)",
}


def moves(path: str | Path, page: str | Path) -> Finding | None:
    """Read the table of shifts, for a page that is written to ``page``; None where it has no pair."""
    table = read_table(path, text=TEXT, columns=(*TEXT, *NUMBERS))
    if table.empty:
        return None
    shown, note = without_constant(without_empty(table))
    grid = grid_of(
        shown,
        key="table-shifts",
        caption="Shift of the best layer's depth between conditions, with its 95% interval",
        source=Source.beside(path, page),
        labels=LABELS,
        meanings=MEANINGS,
        choices=("model", "protocol"),
        filterable=True,
        note=note,
    )
    return Finding(in_words(table[decides(table, ["task"])]), grid)


def in_words(table: pd.DataFrame) -> str:
    """In how many pairs of conditions a move is shown, and how far the best layer may have moved."""
    tested = table[table["p_same_holm"].notna()]
    if tested.empty:
        return f"{_pairs(len(table))} of conditions could not be tested: there are no resampled scores."
    shown = int((tested["p_same_holm"] < SIGNIFICANT).sum())
    words = (
        f"A move of the best layer is shown in {shown} of {len(tested)} pairs of conditions (each model "
        f"counts; protocol {', '.join(sorted(set(table['protocol'])))}; p below {SIGNIFICANT} after Holm's "
        f"correction). Shifts of its depth are "
        f"{signed(table['shift'].min(), 2)} to {signed(table['shift'].max(), 2)}, their 95% intervals lie "
        f"between {signed(table['shift_ci_low'].min(), 2)} and {signed(table['shift_ci_high'].max(), 2)}."
    )
    untested = len(table) - len(tested)
    return words + (f" {_pairs(untested)} could not be tested." if untested else "")


def _pairs(number: int) -> str:
    return f"{number} pair{'' if number == 1 else 's'}"
