"""Which layer to use, by the statistics of the workflow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from layerscope.doors.representations import described
from layerscope.doors.scores import Scores
from layerscope.errors import ConfigError
from layerscope.statistics.layer_choice import choose_layers
from layerscope.statistics.verdict import verdict
from layerscope.tables import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYS = ["condition", "task", "protocol", "model"]


@dataclass(frozen=True)
class Recommendation:
    """What follows from scores, a row per condition, task, protocol and model; a loop takes them one by one.

    Attributes
    ----------
    table
        The rows of the workflow's ``layers.tsv``, and a column ``verdict``.
    curves
        Every layer, with simultaneous intervals.
    shifts
        Whether the best layer moves between conditions.
    scores
        What it was made from.
    """

    table: pd.DataFrame
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
        """The recommendation in plain sentences."""
        return "\n".join(self.table["recommendation"])

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Recommendation]:
        for row in range(len(self.table)):
            one = self.table.iloc[[row]].reset_index(drop=True)
            yield Recommendation(one, self.curves.merge(one[KEYS]), self.shifts, self.scores)

    def plot(self, task: str = "", protocol: str = "") -> Figure:
        """Draw every layer's score against depth, with intervals and baselines, as the report does.

        Which of several tasks or protocols must be said; otherwise there is nothing to say.
        """
        from layerscope.figures.layer_figure import figure_of, read_drawing
        from layerscope.figures.style import look

        task, protocol = self._only("task", task), self._only("protocol", protocol)
        with tempfile.TemporaryDirectory(prefix="layerscope-") as folder:
            scores, layers = Path(folder, "scores.tsv"), Path(folder, "layers.tsv")
            write_table(scores, self.scores.table)
            write_table(layers, self.table.drop(columns="verdict"))
            ceilings = Path(folder, "ceilings.tsv") if len(self.scores.ceilings) else None
            if ceilings:
                write_table(ceilings, self.scores.ceilings)
            settings = {"models": described(self.scores.models.values())}
            drawing = read_drawing(scores, task, protocol, settings, layers, ceilings)
        with look():
            return figure_of(drawing)

    def _only(self, column: str, wanted: str) -> str:
        there = list(dict.fromkeys(self.scores.table[column]))
        if wanted in there:
            return wanted
        if wanted or len(there) != 1:
            raise ConfigError(f"plot: {column}={wanted!r}; choose one of {', '.join(there)}")
        return str(there[0])

    def __repr__(self) -> str:
        return "\n".join(f"{row.verdict}: {row.recommendation}" for row in self.table.itertuples())

    def _repr_html_(self) -> str:
        lines = (
            f"<p><b>{escape(f'{row.model}, {row.condition}: {row.verdict}')}</b><br>"
            f"{escape(row.recommendation)}</p>"
            for row in self.table.itertuples()
        )
        return "\n".join(lines)


def recommend(scores: Scores) -> Recommendation:
    """Say which layer of each model to use, and how sure that is.

    Parameters
    ----------
    scores
        Result of :func:`layerscope.score`; join those of several conditions or models with ``+``, so that
        they are compared, and corrected for, together.

    Raises
    ------
    ConfigError
        If no score is of a model with numbered layers: there is no layer to choose.
    """
    chosen = choose_layers(scores.table, scores.resamples, scores.models)
    words = {(one.condition, one.task, one.protocol, one.model): verdict(one) for one in chosen.choices}
    keys = chosen.layers[KEYS].itertuples(index=False, name=None)
    table = chosen.layers.assign(verdict=[words[key] for key in keys])
    return Recommendation(table, chosen.curves, chosen.shifts, scores)
