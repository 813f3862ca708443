"""Embeddings, and references of trajectories, with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from bad_cells import edited
from bad_ground import BUILDERS, Options, bad, write_trajectory
from trajectory_cells import cells as line_of_cells

from layerscope.extraction.embeddings_file import read_layer, write_official
from layerscope.tables import read_scores, read_table, write_table

LINE, SCREEN = "line_layer.h5ad", "screen_layer.h5ad"


def changed(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write an embeddings file again, with another matrix."""
    layer = read_layer(path, "official")
    write_official(path, layer.cell_ids, change(layer.matrix), layer.provenance)


def cut(path: Path, share: float = 0.6) -> None:
    """Keep the beginning of a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def root_of(at: Path) -> int:
    return int(np.flatnonzero(read_table(at / "pseudotime.tsv")["is_root"] == 1)[0])


def with_pseudotime(at: Path, **columns: object) -> None:
    """Write the reference again, with other columns."""
    table = read_table(at / "pseudotime.tsv", text=["cell_id", "neighbours"])
    write_table(at / "pseudotime.tsv", table.assign(**columns))


def with_cells(at: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Write the cells of the trajectory again, with other columns."""
    write_trajectory(at / "line.h5ad", change(line_of_cells()[0]))


BUILDERS |= {
    "embeddings_of_fewer_rows": lambda at: edited(at / LINE, "obsm/official", np.zeros((300, 4))),
    "layer_constant": lambda at: changed(at / LINE, np.ones_like),
    "layer_constant_of_a_screen": lambda at: changed(at / SCREEN, np.ones_like),
    "no_root": lambda at: with_cells(at, lambda obs: obs.drop(columns=["is_root", "time"])),
    "one_cell_type": lambda at: with_cells(at, lambda obs: obs.assign(cell_type="stem")),
    "no_cell_types": lambda at: with_cells(at, lambda obs: obs.drop(columns="cell_type")),
    "pseudotime_constant": lambda at: with_pseudotime(at, pseudotime=0.5),
    "pseudotime_with_two_roots": lambda at: with_pseudotime(at, is_root=[1, 1, *[0] * 398]),
}


@bad
def embeddings_of_bytes_changed(at: Path) -> None:
    with h5py.File(at / LINE) as stored:
        values = stored["obsm/official"].id
        place = values.get_offset() or values.get_chunk_info(0).byte_offset
    content = bytearray((at / LINE).read_bytes())
    content[place + 500 : place + 504] = b"\x00\x00\x80?"
    (at / LINE).write_bytes(bytes(content))


@bad
def embeddings_of_other_cells(at: Path) -> None:
    layer = read_layer(at / LINE, "official")
    write_official(at / LINE, [f"x{name}" for name in layer.cell_ids], layer.matrix, layer.provenance)


@bad
def embeddings_in_another_order(at: Path) -> None:
    layer = read_layer(at / SCREEN, "official")
    write_official(at / SCREEN, layer.cell_ids[::-1], layer.matrix[::-1], layer.provenance)


@bad
def layer_without_its_root(at: Path) -> None:
    rows = np.arange(400)[:, None]
    changed(at / LINE, lambda matrix: np.where(rows == root_of(at), np.nan, matrix))


@bad
def layer_with_refused_cells(at: Path) -> Options:
    rows = np.arange(400)[:, None]
    refused = (rows >= 30) & (rows < 60) & (rows != root_of(at))
    changed(at / LINE, lambda matrix: np.where(refused, np.nan, matrix))

    def check(out: Path) -> None:
        row = read_scores(out / "scores.tsv").set_index("metric").loc["spearman"]
        assert row["status"] == "ok" and row["ci_low"] <= row["estimate"] <= row["ci_high"]
        assert row["n_cells"] == 400 - refused.sum()
        assert "refused cells left out" in row["reason"]

    return {"check": check}


@bad
def graph_in_two_parts(at: Path) -> Options:
    half = np.arange(400)[:, None] % 2 == 1
    changed(at / LINE, lambda matrix: np.hstack([np.where(half, 0, matrix), np.where(half, matrix, 0)]))

    def check(out: Path) -> None:
        rows = read_scores(out / "scores.tsv").set_index("metric")
        assert rows.loc["share_unreachable", "estimate"] == 0.5
        assert "50.0% of cells unreachable" in rows.loc["spearman", "reason"]
        assert rows.loc["spearman", "n_cells"] == 200

    return {"check": check}


@bad
def few_cells(at: Path) -> None:
    obs = line_of_cells()[0].iloc[:8]
    write_trajectory(at / "line.h5ad", obs)
    write_official(at / LINE, list(obs.index), np.random.default_rng(0).random((8, 3)), {})
    table = read_table(at / "pseudotime.tsv", text=["cell_id", "neighbours"]).iloc[:8]
    write_table(at / "pseudotime.tsv", table.assign(is_root=[1, *[0] * 7]))


@bad
def one_time(at: Path) -> Options:
    days = pd.Categorical(["Day3"] * 400, ordered=True)
    with_cells(at, lambda obs: obs.assign(time=days).drop(columns="is_root"))

    def check(out: Path) -> None:
        reference = read_table(out / "reference" / "pseudotime.tsv")
        assert reference["root_source"].iloc[0].startswith("nearest to the centroid of 400 cells")
        assert reference["is_root"].sum() == 1

    return {"check": check}
