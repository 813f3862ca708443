"""Scores of layers for cells that a session holds: the rows that the workflow writes for the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
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
    with tempfile.TemporaryDirectory(prefix="layerscope-") as scratch:
        folder, of_cells, reference = Path(scratch), keywords.of_cells(more, chosen), None
        about: dict[str, Any] = {"protocol": protocol, "condition": condition, "threads": threads}
        if chosen.has_reference or NEED_VALUES & set(more):
            canonical = prepared(cells, of_cells, condition, folder, more.get(keywords.GENE_NAMES))
            obs = read_obs(canonical)
            if chosen.has_reference:
                reference = _reference(chosen, canonical, seed, settings=own, **about)
        else:
            obs = labelled(cells, of_cells, condition)
        job = partial(ScoringJob, settings=settings, obs=obs, reference=reference, seed=seed, **about)
        made = _all_layers(task, given, job, jobs)
        ceilings = reference / CEILINGS if reference else None
        return replace(made, ceilings=read_scores(ceilings)) if ceilings and ceilings.exists() else made


def _reference(task: Task, cells: Path, seed: int, **options: Any) -> Path:
    """Make what the layers are compared with, as the workflow's rules do."""
    baseline: list[Path] = []
    if task.baseline:
        from layerscope.models.baselines import compute_baseline

        entry = entries()[task.baseline]
        assert isinstance(entry, Baseline)
        baseline = [cells.with_name("baseline.h5ad")]
        compute_baseline(entry.family, cells, baseline[0], entry.settings, seed)
    drawn = options["protocol"] in task.drawn_references
    folder = cells.with_name("reference")
    made: dict[str, Any] = {"task": task.name, "cells": cells, "baseline": baseline, "output": folder}
    make_reference(**made, seed=seed if drawn else 0, **options)
    return folder


def _all_layers(task: str, given: Iterable[Representation], job: partial[ScoringJob], at_once: int) -> Scores:
    """Score every layer of every model."""
    from joblib import Parallel, delayed

    about, pairs = job.keywords, [(one, layer) for one in given for layer in one.layers]
    made = (
        job(model=one.model.name, layer=layer, embeddings=one.layer(layer, about["obs"].index))
        for one, layer in pairs
    )
    parallel = Parallel(n_jobs=at_once, return_as="generator")
    scores = parallel(delayed(score_one)(task, each) for each in made)
    progress = tqdm(scores, f"{task}, {about['protocol']}", len(pairs), unit="layer")
    rows: list[Score] = []
    resamples: dict[Identity, Mapping[str, npt.NDArray[np.float64]]] = {}
    for (one, layer), scored in zip(pairs, progress, strict=True):
        rows += scored.rows
        identity = (task, about["condition"], about["protocol"], one.model.name, layer)
        resamples[identity] = scored.resamples
    table = pd.DataFrame([asdict(row) for row in rows], columns=list(SCORE_COLUMNS))
    return Scores(table, resamples, {one.model.name: one.model for one, _ in pairs})


keywords.show(score, {**keywords.words_of_tasks(), **keywords.words_of_cells()})
