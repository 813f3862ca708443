"""What a referee would object to the paper, and the output of this study that answers it.

The objections are those that arXiv 2604.14838 leaves open: no error bars, no significance of its peak, no
controls for scale, noise and training, a first-layer advantage that nothing was tried against, and splits,
cell numbers and settings that are not given. Each is answered by a file, a column and a number of this study,
or is said not to have been run, with what to configure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerscope.figures.layer_choice import TEXT
from layerscope.figures.models import read_models
from layerscope.report.objections import OBJECTIONS
from layerscope.report.outputs import KEY, Outputs
from layerscope.tables import TEXT_COLUMNS, read_scores, read_table, write_table

COLUMNS = ("objection", "status", "answer", "configure", "number", "file", "column")
ANSWERED, IN_PART, NOT_RUN = "answered", "in part", "not run"


def referee(study: Outputs) -> pd.DataFrame:
    """One row per objection, with :data:`COLUMNS`; ``number`` is NaN where ``status`` is ``not run``."""
    rows = []
    for objection, answer in OBJECTIONS.items():
        found = answer(study)
        if isinstance(found, str):
            rows.append((objection, NOT_RUN, "", found, np.nan, "", ""))
            continue
        status = IN_PART if found.configure else ANSWERED
        rows.append((objection, status, found.says, found.configure, found.number, found.file, found.column))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_referee(
    output: str | Path,
    *,
    scores: str | Path,
    layers: str | Path,
    curves: str | Path,
    ceilings: str | Path | None,
    summaries: Sequence[str | Path],
    settings: Mapping[str, Any],
    resamples: Sequence[str | Path] = (),
) -> None:
    """Answer the objections from the tables of a study and write ``referee.tsv``.

    Parameters
    ----------
    output
        The table to write.
    scores, layers, curves, ceilings
        Tables of the study; no ceilings where protocol ``strict`` was not run.
    summaries
        ``.../CONDITION/summary.tsv``: cells per filter.
    settings
        ``models`` and ``config``, as the report gets them.
    resamples
        Bootstrap values of the layers that a control takes something from.

    Raises
    ------
    ConfigError, DataError
        If the settings name no models, or a table lacks a column.
    """
    by_condition = {Path(path).parent.name: read_table(path, text=["group"]) for path in summaries}
    results = Path(scores).parent.parent
    paths = {
        "scores": str(scores),
        "layers": str(layers),
        "curves": str(curves),
        "ceilings": str(ceilings or ""),
        "summaries": str(Path(summaries[0]).parent.parent / "CONDITION" / "summary.tsv") if summaries else "",
        "report": str(results / "report.html"),
        "figures": str(results / "figures"),
    }
    study = Outputs(
        scores=read_scores(scores),
        layers=read_table(layers, text=[*TEXT, "layers_above_untrained"]),
        curves=read_table(curves, text=KEY),
        ceilings=read_table(ceilings, text=TEXT_COLUMNS) if ceilings else pd.DataFrame(),
        summaries=by_condition,
        models=read_models(settings),
        config=settings.get("config") or {},
        paths=paths,
        resamples=[str(path) for path in resamples],
    )
    write_table(output, referee(study))
