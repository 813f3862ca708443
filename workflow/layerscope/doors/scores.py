"""Scores of layers for cells that a session holds: the rows that the workflow writes for the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from layerscope.cells.obs import read_obs
from layerscope.doors import keywords
from layerscope.doors.cells import Cells, labelled, prepared
from layerscope.doors.models import entries
from layerscope.doors.representations import Given, Representation, representations
from layerscope.errors import ConfigError
from layerscope.models.entries import Baseline
from layerscope.statistics.evidence import Identity, Model
from layerscope.tables import SCORE_COLUMNS, Score, read_scores
from layerscope.tasks.base import Task
from layerscope.tasks.catalogue import primary_metrics, task_named
from layerscope.tasks.jobs import ScoringJob, make_reference
from layerscope.tasks.jobs import score as score_one

CEILINGS = "ceilings.tsv"
NEED_VALUES = {"max_cells", "quality", "selection", "matrix", "values", "recover_counts"}
"""Keywords for which the values of the cells are read even where scores do not need them."""
SHOWN = ["condition", "model", "layer", "metric", "estimate", "ci_low", "ci_high", "status", "reason"]


@dataclass(frozen=True)
class Scores:
    """Scores of layers; ``+`` joins those of several calls.

    Attributes
    ----------
    table
        The score rows, one per layer and metric (see :class:`layerscope.tables.Score`).
    resamples
        By task, condition, protocol, model and layer: the values by which each metric is resampled.
    models
        What is known of the models.
    ceilings
        Rows of the noise ceilings, where the protocol has them.
    """

    table: pd.DataFrame
    resamples: Mapping[Identity, Mapping[str, npt.NDArray[np.float64]]]
    models: Mapping[str, Model]
    ceilings: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SCORE_COLUMNS)))

    def __add__(self, other: Scores) -> Scores:
        twice = set(self.resamples) & set(other.resamples)
        if twice:
            raise ConfigError(f"scores: {' '.join(min(twice))} is in both; name another condition or model")
        return Scores(
            pd.concat([self.table, other.table], ignore_index=True),
            {**self.resamples, **other.resamples},
            {**self.models, **other.models},
            pd.concat([self.ceilings, other.ceilings], ignore_index=True).drop_duplicates(),
        )

    @property
    def primary(self) -> pd.DataFrame:
        """The rows of each protocol's primary metric, and those that say why there is none."""
        chosen = [
            _primary(task, protocol, rows)
            for (task, protocol, _), rows in self.table.groupby(["task", "protocol", "condition"], sort=False)
        ]
        return pd.concat(chosen, ignore_index=True) if chosen else self.table

    def __repr__(self) -> str:
        return f"{self._title()}\n{self.primary[SHOWN].to_string(index=False)}"

    def _repr_html_(self) -> str:
        shown = self.primary[SHOWN].to_html(index=False, float_format="%.3f", na_rep="")
        return f"<p><b>{escape(self._title())}</b></p>{shown}"

    def _title(self) -> str:
        which = self.table[["task", "protocol"]].drop_duplicates().agg(", protocol ".join, axis=1)
        return f"Scores: {'; '.join(which)}"


def _primary(task: str, protocol: str, rows: pd.DataFrame) -> pd.DataFrame:
    candidates = primary_metrics(task, protocol)
    scored = set(rows.loc[rows["status"] == "ok", "metric"])
    metric = next((name for name in candidates if name in scored), candidates[0])
    return rows[rows["metric"].isin([metric, ""])]


def score(
    cells: Cells,
    layers: Given,
    *,
    task: str,
    protocol: str = "strict",
    condition: str = "cells",
    name: str = "embedding",
    seed: int = 1,
    threads: int = 1,
    jobs: int = 1,
    **more: Any,
) -> Scores:
    """Score layers by a task.

    Parameters
    ----------
    cells
        An AnnData in memory or backed, which is not changed, or the path of an h5ad file.
    layers
        The result of ``embed``, a mapping from names to arrays (rows in the order of the cells, or tables
        with the cells' names as index), names of arrays in ``obsm``, an embeddings file (``Path``), or a list
        of such.
    task
        Name of the task.
    protocol
        Name of one of its protocols.
    condition
        Name of these cells, for rows.
    name
        Name of the model where keys are names of layers alone (``"07"``, ``"layer_07"``).
    seed
        Of all that is drawn; the workflow's default is 1 too.
    threads
        To compute with, of each layer.
    jobs
        Layers that are scored at once, each by a process of its own; -1 for one on every core.

    Returns
    -------
    Scores, with the rows in ``.table``.

    Raises
    ------
    ConfigError, DataError
        If a keyword, the cells or a layer do not allow it: in one or two lines, with the remedy.
    """
    if jobs < 1 and jobs != -1:
        raise ConfigError(f"score: jobs: found {jobs}; expected 1 or more, or -1 for one on every core")
    chosen = task_named(task)
    own = keywords.of_task(chosen, protocol, more)
    settings = chosen.settings_of(protocol, own)
    given = representations(layers, cells, name)
    scoring = Scoring(chosen, protocol, settings, condition, seed, threads, jobs)
    with tempfile.TemporaryDirectory(prefix="layerscope-") as scratch:
        folder, of_cells = Path(scratch), keywords.of_cells(more, chosen)
        if chosen.has_reference or NEED_VALUES & set(more):
            canonical = prepared(cells, of_cells, condition, folder, more.get(keywords.GENE_NAMES))
            reference = scoring.reference(canonical, own, folder) if chosen.has_reference else None
            return scoring.of_all(given, read_obs(canonical), reference)
        return scoring.of_all(given, labelled(cells, of_cells, condition), None)


@dataclass(frozen=True)
class Scoring:
    """What all layers of a call are scored by."""

    task: Task
    protocol: str
    settings: Any
    condition: str
    seed: int
    threads: int
    jobs: int

    def reference(self, cells: Path, settings: Mapping[str, Any], folder: Path) -> Path:
        """Make what the layers are compared with, as the workflow's rules do."""
        baseline: list[Path] = []
        if self.task.baseline:
            from layerscope.models.baselines import compute_baseline

            entry = entries()[self.task.baseline]
            assert isinstance(entry, Baseline)
            baseline = [folder / "baseline.h5ad"]
            compute_baseline(entry.family, cells, baseline[0], entry.settings, self.seed)
        make_reference(
            task=self.task.name,
            protocol=self.protocol,
            condition=self.condition,
            cells=cells,
            settings=settings,
            output=folder / "reference",
            baseline=baseline,
            seed=self.seed if self.protocol in self.task.drawn_references else 0,
            threads=self.threads,
        )
        return folder / "reference"

    def of_all(self, given: Iterable[Representation], obs: pd.DataFrame, reference: Path | None) -> Scores:
        """Score every layer of every model."""
        from joblib import Parallel, delayed

        pairs = [(one, layer) for one in given for layer in one.layers]
        jobs = (delayed(score_one)(self.task.name, self.job(*pair, obs, reference)) for pair in pairs)
        at_once = Parallel(n_jobs=self.jobs, return_as="generator")(jobs)
        progress = tqdm(at_once, f"{self.task.name}, {self.protocol}", len(pairs), unit="layer")
        rows: list[Score] = []
        resamples: dict[Identity, Mapping[str, npt.NDArray[np.float64]]] = {}
        for (one, layer), scored in zip(pairs, progress, strict=True):
            rows += scored.rows
            identity = (self.task.name, self.condition, self.protocol, one.model.name, layer)
            resamples[identity] = scored.resamples
        table = pd.DataFrame([asdict(row) for row in rows], columns=list(SCORE_COLUMNS))
        made = Scores(table, resamples, {one.model.name: one.model for one, _ in pairs})
        ceilings = reference / CEILINGS if reference else None
        return replace(made, ceilings=read_scores(ceilings)) if ceilings and ceilings.exists() else made

    def job(self, one: Representation, layer: str, obs: pd.DataFrame, reference: Path | None) -> ScoringJob:
        """What is to be scored of one layer."""
        return ScoringJob(
            protocol=self.protocol,
            settings=self.settings,
            condition=self.condition,
            model=one.model.name,
            layer=layer,
            embeddings=one.layer(layer, obs.index),
            obs=obs,
            reference=reference,
            seed=self.seed,
            threads=self.threads,
        )


keywords.show(score, {**keywords.words_of_tasks(), **keywords.words_of_cells()})
