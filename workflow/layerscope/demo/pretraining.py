"""Pretrain a small model with a released architecture on any canonical cells, in about a minute.

The result is a release folder like the owners' own, read by the same loader, so that everything downstream
of the weights is exercised as it is for the real models. A batch is cut into :data:`SHARDS`, each computed on
one thread, and their gradients are summed in order: on one machine the same cells, settings and seed give the
same weights.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layerscope import __version__
from layerscope.cells.obs import read_provenance
from layerscope.demo.corpus import Corpus, gene_names, read_corpus
from layerscope.demo.muon import Muon
from layerscope.demo.objectives import OBJECTIVES, Inputs, Objective
from layerscope.demo.settings import Pretraining
from layerscope.errors import ConfigError
from layerscope.files import refuse_overwriting, whole
from layerscope.models.catalogue import implementation
from layerscope.models.settings import Settings

log = logging.getLogger(__name__)

SHARDS = 2
MIN_MATRIX_SIDE = 8
WARM_UP, LAST_RATE = 0.07, 0.05
ADAM_RATE, ADAM_DECAY = 3e-3, 0.01
MAX_GRADIENT_NORM = 1.0
HELD_OUT_SHARE, MAX_HELD_OUT = 0.1, 400
CELLS_FOR_MEANS = 1000  # about as many training cells give the means that the model is compared with
REPORTS = 20
PROVENANCE = "provenance.json"


def pretrain(
    family: str, cells: Path, settings: Mapping[str, Any], seed: int, output: Path, threads: int = 2
) -> dict[str, Any]:
    """Pretrain a model and write its release folder.

    Parameters
    ----------
    family
        ``scfoundation`` or ``tahoe_x1``.
    cells
        Canonical cells; the model's vocabulary is their genes.
    settings
        Settings that replace defaults of :class:`Pretraining`.
    seed
        Of the weights and the batches.
    threads
        At most; more than :data:`SHARDS` are of no use. Does not change the result.
    output
        Folder for the release's files and ``provenance.json``.

    Returns
    -------
    What ``provenance.json`` holds: what the model was trained on, the loss as it fell, and on cells held
    out the mean squared error of masked values beside that of predicting their mean, and each gene's mean.
    """
    if family not in OBJECTIVES:
        raise ConfigError(f"pretraining: no objective for {family!r}; there are {', '.join(OBJECTIVES)}")
    refuse_overwriting(output, cells)
    refuse_overwriting(output / PROVENANCE, cells)
    chosen = Pretraining.read(settings, "pretraining")
    described = read_provenance(cells)
    genes = gene_names(cells, family)
    with _single_threaded():
        objective = OBJECTIVES[family](len(genes), chosen.layers, chosen.hidden, chosen.heads, seed)
        corpus = _corpus(family, cells, genes, objective, output)
        rng = np.random.default_rng([seed, 1])
        order = rng.permutation(len(corpus))
        n_held_out = min(math.ceil(HELD_OUT_SHARE * len(corpus)), MAX_HELD_OUT)
        held_out, trained_on = np.sort(order[:n_held_out]), np.sort(order[n_held_out:])
        curve = _train(objective, corpus, trained_on, chosen, rng, threads)
        errors = _compare(objective, corpus, trained_on, held_out, chosen, seed)
    condition = str(described.get("condition", cells.stem))
    if errors["model"] >= 0.95 * errors["gene_means"]:
        log.warning(
            "masked values are predicted hardly better (%.3f) than by each gene's mean (%.3f): the "
            "layers have learned little; raise pretraining.steps, or take more cells",
            errors["model"],
            errors["gene_means"],
        )
    provenance = {
        "trained_on": f"{condition} ({len(trained_on)} cells, {len(genes)} genes), here, by layerscope",
        "family": family,
        "cells": {key: described[key] for key in ("condition", "dataset", "source") if key in described},
        "settings": chosen.model_dump(),
        "seed": seed,
        "held_out_mean_squared_error": errors,
        "loss": curve,
        "layerscope_version": __version__,
        "torch_version": torch.__version__.partition("+")[0],
    }
    objective.write(output, genes)
    with whole(output / PROVENANCE) as scratch:
        scratch.write_text(json.dumps(provenance, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return provenance


def _corpus(family: str, cells: Path, genes: list[str], objective: Objective, output: Path) -> Corpus:
    """Read the cells through the tokeniser of the model to be, loaded from a release of its first weights."""
    with tempfile.TemporaryDirectory() as folder:
        objective.write(Path(folder), genes)
        for path in Path(folder).iterdir():
            refuse_overwriting(output / path.name, cells)
        model = implementation(family).load(Path(folder), Settings({}, family), 0)
        return read_corpus(cells, model, objective.n_special)


def _train(
    objective: Objective,
    corpus: Corpus,
    cells: np.ndarray,
    settings: Pretraining,
    rng: np.random.Generator,
    threads: int,
) -> list[list[float]]:
    """Train in place; the loss as ``[step, mean loss since the last report]``."""
    parameters = [p for p in objective.parameters() if p.requires_grad]
    matrices = [p for p in parameters if p.ndim == 2 and min(p.shape) >= MIN_MATRIX_SIDE]
    vectors = [p for p in parameters if all(p is not m for m in matrices)]
    muon, adam = Muon(matrices), torch.optim.AdamW(vectors, lr=ADAM_RATE, weight_decay=ADAM_DECAY, fused=True)
    objective.start_from(*map(torch.from_numpy, corpus.means(cells)))
    size, max_visible = min(settings.batch, len(cells)), _max_visible(objective, settings)
    curve: list[list[float]] = []
    losses: list[float] = []
    started = time.monotonic()

    def shards() -> list[Inputs]:
        parts = np.array_split(rng.choice(cells, size, replace=False), SHARDS)
        draws = [corpus.draw(part, settings.masked, max_visible, rng) for part in parts]
        return [objective.inputs(corpus, draw, rng) for draw in draws]

    with ThreadPoolExecutor(min(threads, SHARDS), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        coming = shards()
        for step in range(1, settings.steps + 1):
            running = [pool.submit(_gradients, objective, parameters, shard) for shard in coming]
            coming = shards()
            done = [task.result() for task in running]
            losses.append(sum(loss for loss, _ in done) / SHARDS)
            for index, parameter in enumerate(parameters):
                parameter.grad = reduce(torch.add, [gradients[index] for _, gradients in done]) / SHARDS
            nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
            share = rate_at(step, settings.steps)
            adam.param_groups[0]["lr"] = ADAM_RATE * share
            adam.step()
            muon.step(settings.rate * share, pool)
            if step * REPORTS // settings.steps > (step - 1) * REPORTS // settings.steps:
                curve.append([step, round(float(np.mean(losses)), 6)])
                left = (time.monotonic() - started) / step * (settings.steps - step)
                log.info("step %d of %d, loss %.4f, %.0f s left", step, settings.steps, curve[-1][1], left)
                losses.clear()
    return curve


def _gradients(
    objective: Objective, parameters: list[nn.Parameter], shard: Inputs
) -> tuple[float, list[Tensor]]:
    loss = objective.loss(shard)
    return loss.item(), list(torch.autograd.grad(loss, parameters, materialize_grads=True))


def rate_at(step: int, steps: int) -> float:
    """Share of the learning rate at a step: a linear rise, then half a cosine down to a twentieth."""
    warm_up = max(1, round(WARM_UP * steps))
    if step <= warm_up:
        return step / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done))


def _compare(
    objective: Objective,
    corpus: Corpus,
    trained_on: np.ndarray,
    held_out: np.ndarray,
    settings: Pretraining,
    seed: int,
) -> dict[str, float]:
    """Mean squared error of masked values in held-out cells: the model's, and that of predicting means."""
    rng = np.random.default_rng([seed, 2])

    def masked(cells: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        draw = corpus.draw(cells, settings.masked, _max_visible(objective, settings), rng)
        with torch.inference_mode():
            return objective.masked(objective.inputs(corpus, draw, None))

    _, known, known_genes = masked(trained_on[:: max(1, len(trained_on) // CELLS_FOR_MEANS)])
    predicted, truth, genes = masked(held_out)
    n_genes = corpus.n_genes
    mean = known.mean()
    times = torch.bincount(known_genes, minlength=n_genes)
    summed = torch.zeros(n_genes).index_add_(0, known_genes, known)
    gene_means = torch.where(times > 0, summed / times.clamp(min=1), mean)
    error = {"model": predicted, "gene_means": gene_means[genes], "mean": mean.expand_as(truth)}
    errors = {name: round(float((guess - truth).square().mean()), 6) for name, guess in error.items()}
    words = "mean squared error on %d held-out cells: model %.4f, each gene's mean %.4f, mean %.4f"
    log.info(words, len(held_out), *errors.values())
    return errors


def _max_visible(objective: Objective, settings: Pretraining) -> int:
    """Most visible genes of a cell, so that all its genes in the sentence are at most ``tokens``."""
    share = 1 - settings.masked if objective.sees_masked else 1
    return max(1, round(settings.tokens * share))


@contextmanager
def _single_threaded() -> Iterator[None]:
    """One thread per operation: what an operation sums on several threads depends on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
