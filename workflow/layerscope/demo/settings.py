"""What can be set in simulating and pretraining, with its defaults and the values that make sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from layerscope.errors import ConfigError

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Settings that every draw shares.

    Attributes
    ----------
    program_seed
        Seed of the regulatory program (genes, loadings, targets). Draws that are to share one biology share
        it.
    genes, mitochondrial_genes
        Genes in all, and how many of them are mitochondrial.
    median_counts, counts_spread
        Median of the log-normal library size, and its standard deviation on the natural-log scale.
    damaged_share, empty_share
        Shares of damaged cells (high mitochondrial fraction) and of nearly empty droplets.
    batches, batch_spread
        Number of batches, and the standard deviation of their effects on a gene's log-rate.
    """

    program_seed: int = 1
    genes: int = 1000
    mitochondrial_genes: int = 13
    median_counts: float = 380.0
    counts_spread: float = 0.45
    damaged_share: float = 0.04
    empty_share: float = 0.015
    batches: int = 2
    batch_spread: float = 0.12

    ranges: ClassVar[dict[str, Range]] = {
        "program_seed": (0, 2**32 - 1),
        "genes": (300, 50_000),
        "mitochondrial_genes": (1, 40),
        "median_counts": (50, 1e6),
        "counts_spread": (0, 2),
        "damaged_share": (0, 0.5),
        "empty_share": (0, 0.5),
        "batches": (1, 50),
        "batch_spread": (0, 1),
    }


@dataclass(frozen=True, kw_only=True)
class Differentiation(Simulation):
    """Settings of the draw ``differentiation``: ``cells`` in all, and the share of them with a barcode."""

    cells: int = 2000
    clonal_share: float = 0.6

    ranges: ClassVar[dict[str, Range]] = {
        **Simulation.ranges,
        "cells": (50, 1_000_000),
        "clonal_share": (0, 1),
    }


@dataclass(frozen=True, kw_only=True)
class Perturbation(Simulation):
    """Settings of the draw ``perturbation``.

    Attributes
    ----------
    cells_per_state
        Cells of each of the three activation states.
    perturbations
        Knocked-down regulators, two guides each.
    lanes
        Lanes in all, shared out over the batches.
    control_share, control_guides
        Share of non-targeting cells, and the number of their guides.
    """

    cells_per_state: int = 2500
    perturbations: int = 24
    lanes: int = 4
    control_share: float = 0.12
    control_guides: int = 4

    ranges: ClassVar[dict[str, Range]] = {
        **Simulation.ranges,
        "cells_per_state": (50, 1_000_000),
        "perturbations": (2, 120),
        "lanes": (1, 50),
        "control_share": (0.01, 0.9),
        "control_guides": (1, 50),
    }


@dataclass(frozen=True, kw_only=True)
class Atlas(Perturbation):
    """Settings of the draw ``atlas``: ``cells`` in all, and the share of them that are activated cells."""

    cells: int = 4000
    activated_share: float = 0.6
    batches: int = 4

    ranges: ClassVar[dict[str, Range]] = {
        **Perturbation.ranges,
        "cells": (50, 1_000_000),
        "activated_share": (0, 1),
    }


DRAWS: dict[str, type[Simulation]] = {
    "differentiation": Differentiation,
    "perturbation": Perturbation,
    "atlas": Atlas,
}


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Settings of pretraining.

    Attributes
    ----------
    layers, hidden, heads
        Size of the encoder.
    steps, batch
        Optimiser steps, and cells in each.
    tokens
        Genes of a cell in a sentence at most.
    masked
        Share of the expressed genes that the model must predict.
    rate
        Learning rate of the matrices (see :class:`layerscope.demo.muon.Muon`).
    """

    layers: int = 6
    hidden: int = 64
    heads: int = 4
    steps: int = 600
    batch: int = 32
    tokens: int = 64
    masked: float = 0.3
    rate: float = 0.02

    ranges: ClassVar[dict[str, Range]] = {
        "layers": (1, 48),
        "hidden": (8, 4096),
        "heads": (1, 64),
        "steps": (1, 1_000_000),
        "batch": (2, 4096),
        "tokens": (1, 100_000),
        "masked": (0.01, 0.9),
        "rate": (1e-6, 1),
    }


def draw_settings(draw: str, given: Mapping[str, Any]) -> Simulation:
    """Settings of a draw: its defaults, overlaid by what is given.

    Raises
    ------
    ConfigError
        If the draw or a key is unknown, or a value has another type or lies outside its range.
    """
    if draw not in DRAWS:
        raise ConfigError(f"simulation: unknown draw {draw!r}; there are {', '.join(DRAWS)}")
    _check(f"simulation {draw}", DRAWS[draw], given)
    return DRAWS[draw](**given)


def pretraining_settings(given: Mapping[str, Any]) -> Pretraining:
    """Settings of pretraining: the defaults, overlaid by what is given.

    Raises
    ------
    ConfigError
        If a key is unknown, a value has another type or lies outside its range, or the heads do not divide
        the width.
    """
    _check("pretraining", Pretraining, given)
    chosen = Pretraining(**given)
    if chosen.hidden % chosen.heads:
        raise ConfigError(f"pretraining: {chosen.heads} heads do not divide a width of {chosen.hidden}")
    return chosen


def _check(owner: str, kind: type[Simulation] | type[Pretraining], given: Mapping[str, Any]) -> None:
    defaults = {field.name: field.default for field in fields(kind)}
    for key, value in given.items():
        if key not in defaults:
            raise ConfigError(f"{owner}: unknown setting {key!r}; known are {', '.join(sorted(defaults))}")
        low, high = kind.ranges[key]
        whole = isinstance(defaults[key], int)
        number = isinstance(value, int) or (isinstance(value, float) and not whole)
        if isinstance(value, bool) or not number or not low <= value <= high:
            expected = f"a {'whole ' if whole else ''}number from {low:g} to {high:g}"
            raise ConfigError(f"{owner}: {key} is {value!r}; expected {expected}")
