"""Embeddings, and references of trajectories, with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from bad_cells import edited
from bad_ground import BUILDERS, Options, bad, write_trajectory
from trajectory_cells import cells as line_of_cells

from layerscope.extraction.embeddings_file import read_layer, write_official
from layerscope.tables import read_table, write_table

LINE, SCREEN = "line_layer.h5ad", "screen_layer.h5ad"


def cut(path: Path, share: float = 0.6) -> None:
    """Keep the beginning of a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def with_cells(at: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Write the cells of the trajectory again, with other columns."""
    write_trajectory(at / "line.h5ad", change(line_of_cells()[0]))


BUILDERS |= {
    "embeddings_of_fewer_rows": lambda at: edited(at / LINE, "obsm/official", np.zeros((300, 4))),
    "no_root": lambda at: with_cells(at, lambda obs: obs.drop(columns=["is_root", "time"])),
}


@bad
def embeddings_in_another_order(at: Path) -> None:
    layer = read_layer(at / SCREEN, "official")
    write_official(at / SCREEN, layer.cell_ids[::-1], layer.matrix[::-1], layer.provenance)


@bad
def one_time(at: Path) -> Options:
    days = pd.Categorical(["Day3"] * 400, ordered=True)
    with_cells(at, lambda obs: obs.assign(time=days).drop(columns="is_root"))

    def check(out: Path) -> None:
        reference = read_table(out / "reference" / "pseudotime.tsv")
        assert reference["root_source"].iloc[0].startswith("nearest to the centroid of 400 cells")
        assert reference["is_root"].sum() == 1

    return {"check": check}


@bad
def pseudotime_with_two_roots(at: Path) -> None:
    table = read_table(at / "pseudotime.tsv", text=["cell_id", "neighbours"])
    write_table(at / "pseudotime.tsv", table.assign(is_root=[1, 1, *[0] * 398]))
