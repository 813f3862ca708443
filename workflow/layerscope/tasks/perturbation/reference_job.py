"""Make the reference of a condition from its files, for the protocols that need no DESeq2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerscope.cells.canonical import read_obs
from layerscope.errors import ConfigError, DataError
from layerscope.tables import OFFICIAL, Subject, write_scores
from layerscope.tasks.perturbation.ceilings import ceiling_rows
from layerscope.tasks.perturbation.design import read_design
from layerscope.tasks.perturbation.released import released_reference
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.strict_reference import make_reference, read_expression, write_reference

PROTOCOLS = ("released", "strict")


def reference_perturbation(
    protocol: str,
    cells: str | Path,
    output: str | Path,
    ceilings: str | Path,
    condition: str,
    settings: Mapping[str, Any],
    seed: int,
    design: str | Path | None = None,
) -> None:
    """Make the reference of a condition, and the table of its noise ceilings.

    Parameters
    ----------
    protocol
        ``"released"`` (which has no ceilings: its table is empty) or ``"strict"``.
    cells
        The condition's canonical cells.
    output, ceilings
        The reference and the table to make.
    condition
        Name for the rows.
    settings
        The protocol's, see :mod:`layerscope.tasks.perturbation.settings`.
    seed
        Seed of the splits.
    design
        The design of splits, for protocol ``strict``.

    Raises
    ------
    ConfigError
        If the protocol is unknown, or has no design where it needs one.
    DataError
        If the design is not one of these cells, or the cells do not allow the protocol.
    """
    if protocol == "released":
        released_reference(cells, output, settings)
        write_scores(ceilings, [])
    elif protocol == "strict":
        if design is None:
            raise ConfigError("protocol strict needs --design, the design of splits of these cells")
        _strict(cells, design, output, ceilings, condition, StrictSettings.read(settings), seed)
    else:
        raise ConfigError(f"protocol: expected one of {', '.join(PROTOCOLS)}, found {protocol!r}")


def _strict(
    cells: str | Path,
    design: str | Path,
    output: str | Path,
    ceilings: str | Path,
    condition: str,
    settings: StrictSettings,
    seed: int,
) -> None:
    obs, plan = read_obs(cells), read_design(design)
    if obs.index.tolist() != plan.cell_ids:
        raise DataError(f"{design}: not a design of the cells of {cells}; delete it and run again")
    expression = read_expression(cells, plan, settings.min_counts_per_gene)
    reference = make_reference(expression, plan, settings, seed)
    write_reference(output, reference)
    subject = Subject(
        condition=condition,
        model="reference",
        layer=OFFICIAL,
        depth=math.nan,
        task="perturbation",
        protocol="strict",
        seed=seed,
    )
    write_scores(ceilings, ceiling_rows(expression, reference, plan, obs, subject, settings))
