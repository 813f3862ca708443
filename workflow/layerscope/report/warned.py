"""One table of everything that was warned of while the numbers of a study were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from layerscope.errors import WARNING
from layerscope.figures.models import Model, read_models
from layerscope.figures.wording import condition_order, plain
from layerscope.tables import read_scores, read_table, write_table

COLUMNS = ("step", "of", "warning", "log")
STUDY = "study"
NO_LOG = "its log is not there: what it warned of is not known"


def write_warnings(
    output: str | Path,
    *,
    folder: str | Path,
    logs: Sequence[str],
    scores: str | Path,
    settings: Mapping[str, Any],
) -> None:
    """Gather the warnings of a study.

    Parameters
    ----------
    output
        The table to write, with :data:`COLUMNS`: first what the study as a whole lacks, then the warnings of
        each job. It is the same for the same logs, whichever of the jobs ran this time.
    folder, logs
        Folder of the logs, and the logs in it, each ``STEP/WHAT/IT/WAS/ABOUT.log``.
    scores
        All scores.
    settings
        ``models`` and ``order`` of the conditions, as the report gets them.
    """
    rows = [(STUDY, of, warning, "") for of, warning in study_warnings(read_scores(scores), settings)]
    for name in logs:
        log = Path(folder, name)
        step, *of = Path(name).with_suffix("").parts
        rows += [(plain(step), ", ".join(of), warning, log.as_posix()) for warning in warnings_of(log)]
    write_table(output, pd.DataFrame(rows, columns=list(COLUMNS)))


def warnings_of(log: Path) -> list[str]:
    """The different warnings of a log, sorted; a job that outlived a kill may have left gaps (NUL) in it."""
    if not log.is_file():
        return [NO_LOG]
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\0", "").splitlines()
    return sorted({line.removeprefix(WARNING).strip() for line in lines if line.startswith(WARNING)})


def study_warnings(scores: pd.DataFrame, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Model or condition, and what a reader should know of it before trusting a number."""
    models: Mapping[str, Model] = read_models(settings)
    foundation = [model.name for model in models.values() if model.kind == "foundation"]
    has_control = {model.of for model in models.values() if model.control == "untrained"}
    for name in foundation:
        if name not in has_control and not models[name].is_planted:
            yield name, "no untrained control: what its training adds is not known"
    for name in condition_order(settings, scores["condition"]):
        rows = scores[(scores["condition"] == name) & scores["model"].isin(foundation)]
        if len(rows) and not (rows["status"] == "ok").any():
            yield name, "no foundation model has a score"


def read_warnings(path: str | Path) -> pd.DataFrame:
    """Read the table that :func:`write_warnings` writes."""
    return read_table(path, text=COLUMNS, columns=COLUMNS)
