"""Which layer to use, by the statistics of the workflow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from layerscope.doors.representations import described
from layerscope.doors.scores import Scores
from layerscope.errors import ConfigError
from layerscope.statistics.layer_choice import MARGIN, choose_layers
from layerscope.statistics.representation_verdict import ANSWER
from layerscope.statistics.representations import choose_representations
from layerscope.statistics.verdict import names_another_baseline
from layerscope.tables import OFFICIAL, write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYS = ["condition", "task", "protocol", "model"]
FACTS = {
    "use": "use",
    "sure": "sure",
    "better than a PCA": "beats_pca",
    "better than the best baseline": "beats_baseline",
    "training helped": "training_helped",
    "next": "next",
}
"""What is printed below a verdict, and the columns of the table that have it."""


@dataclass(frozen=True)
class Recommendation:
    """What follows from scores, row by row; a loop takes the rows one by one.

    Attributes
    ----------
    table
        A row per condition, task, protocol and model with numbered layers: those of the workflow's
        ``layers.tsv``. Where no model has such layers, a row for the best of the representations.
    representations
        What each model gives of itself (``official``), compared with each other.
    curves
        Every layer, with simultaneous intervals.
    shifts
        Whether the best layer moves between conditions.
    scores
        What it was made from.
    """

    table: pd.DataFrame
    representations: pd.DataFrame
    curves: pd.DataFrame
    shifts: pd.DataFrame
    scores: Scores

    @property
    def verdict(self) -> str | dict[tuple[str, ...], str]:
        """The verdict; of several rows, by condition, task, protocol and model."""
        words = self.table["verdict"].tolist()
        if len(words) == 1:
            return str(words[0])
        return dict(zip(self.table[KEYS].itertuples(index=False, name=None), words, strict=True))

    @property
    def text(self) -> str:
        """The verdicts, each with its sentence and the facts beside it."""
        return "\n\n".join("\n".join(_lines(row)) for row in self.table.fillna("").to_dict("records"))

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Recommendation]:
        for row in range(len(self.table)):
            yield replace(self, table=self.table.iloc[[row]].reset_index(drop=True))

    def plot(self, task: str = "", protocol: str = "") -> Figure:
        """Draw the scores as the report does: of layers against depth, of representations side by side.

        ``task`` and ``protocol`` need to be named where there are several.
        """
        from layerscope.figures.layer_figure import scores_figure

        layers = self.table[self.table["best_layer"] != OFFICIAL]
        which = self._only("task", task), self._only("protocol", protocol)
        tables = {
            "scores": self.scores.table,
            "layers": layers,
            "ceilings": self.scores.ceilings,
            "representations": self.representations,
        }
        with tempfile.TemporaryDirectory(prefix="layerscope-") as folder:
            paths = {name: Path(folder, f"{name}.tsv") for name in tables}
            for name, table in tables.items():
                write_table(paths[name], table)
            return scores_figure(
                paths["scores"],
                *which,
                {"models": described(self.scores.models.values())},
                layers_path=paths["layers"] if len(layers) else None,
                ceilings_path=paths["ceilings"] if len(self.scores.ceilings) else None,
                representations_path=paths["representations"],
            )[0]

    def _only(self, column: str, wanted: str) -> str:
        there = list(dict.fromkeys(self.scores.table[column]))
        if wanted in there:
            return wanted
        if wanted or len(there) != 1:
            raise ConfigError(f"plot: {column}={wanted!r}; choose one of {', '.join(there)}")
        return str(there[0])

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        rows = [_lines(row) for row in self.table.fillna("").to_dict("records")]
        return "\n".join(
            f"<p><b>{escape(title)}</b><br>{'<br>'.join(map(escape, facts))}</p>" for title, *facts in rows
        )


def _lines(row: Mapping[str, Any]) -> list[str]:
    """What a row says, line by line."""
    title = f"{row['condition']}, {row['model']}, protocol {row['protocol']}: {row['verdict']}"
    facts = {name: row.get(column, "") for name, column in FACTS.items()}
    if not names_another_baseline(row):
        del facts["better than the best baseline"]
    return [title, row["sentence"], *(f"  {name}: {fact}" for name, fact in facts.items() if fact)]


def recommend(scores: Scores, margin: float = MARGIN) -> Recommendation:
    """Say which layer of each model to use, or which representation, and how sure that is.

    Parameters
    ----------
    scores
        Result of :func:`layerscope.score`; join those of several conditions or models with ``+``, so that
        they are compared, and corrected for, together.
    margin
        How far below the final layer a layer may score and be as good, as a share of the metric's range.
    """
    evidence = scores.table, scores.resamples, scores.models
    chosen = choose_layers(*evidence, margin)
    layers, representations = chosen.layers, choose_representations(*evidence)
    alone = _without_layers(representations, layers)
    tables = [rows for rows in (layers, alone) if len(rows)] or [layers]
    table = pd.concat(tables, ignore_index=True)
    return Recommendation(table, representations, chosen.curves, chosen.shifts, scores)


def _without_layers(representations: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """The best representation of every condition, task and protocol of which no layer was chosen."""
    best = representations.drop_duplicates(KEYS[:3]).assign(best_layer=OFFICIAL)
    layered = set(layers[KEYS[:3]].itertuples(index=False, name=None))
    keys = best[KEYS[:3]].itertuples(index=False, name=None)
    alone = best[pd.Series([key not in layered for key in keys], best.index, dtype=bool)]
    numbers = {name: f"best_{name}" for name in ("estimate", "ci_low", "ci_high")}
    about = ["metric", "status", "reason", "best_layer", *numbers.values(), *ANSWER]
    return alone.rename(columns=numbers)[[*KEYS, *about]]
