"""Embeddings, and references of trajectories, with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from bad_ground import Options, bad, write_trajectory
from trajectory_cells import cells as line_of_cells

from layerscope.extraction.embeddings_file import read_layer, write_official
from layerscope.tables import read_scores, read_table, write_table


def changed(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write an embeddings file again, with another matrix."""
    found = read_layer(path, "official")
    write_official(path, found.cell_ids, change(found.matrix), found.provenance)


def cut(path: Path, share: float = 0.6) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


# --- embeddings ---------------------------------------------------------------------------------------------


@bad
def embeddings_missing(at: Path) -> None:
    (at / "line_layer.h5ad").unlink()


@bad
def embeddings_truncated(at: Path) -> None:
    cut(at / "line_layer.h5ad")


@bad
def embeddings_empty(at: Path) -> None:
    (at / "line_layer.h5ad").write_bytes(b"")


@bad
def embeddings_of_bytes_changed(at: Path) -> None:
    path = at / "line_layer.h5ad"
    with h5py.File(path) as stored:
        place = stored["obsm/official"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 500 : place + 504] = b"\x00\x00\x80?"
    path.write_bytes(bytes(content))


@bad
def embeddings_without_index(at: Path) -> None:
    with h5py.File(at / "line_layer.h5ad", "r+") as stored:
        del stored["obs/_index"]


@bad
def embeddings_without_refused(at: Path) -> None:
    with h5py.File(at / "line_layer.h5ad", "r+") as stored:
        del stored["obs/refused"]


@bad
def embeddings_are_cells(at: Path) -> Options:
    return {"embeddings": at / "line.h5ad"}


@bad
def embeddings_of_a_vector(at: Path) -> None:
    with h5py.File(at / "line_layer.h5ad", "r+") as stored:
        del stored["obsm/official"]
        stored["obsm/official"] = np.zeros(400, dtype=np.float32)


@bad
def embeddings_of_fewer_rows(at: Path) -> None:
    with h5py.File(at / "line_layer.h5ad", "r+") as stored:
        del stored["obsm/official"]
        stored["obsm/official"] = np.zeros((300, 4), dtype=np.float32)


@bad
def embeddings_without_a_layer(at: Path) -> Options:
    return {"layer": "07"}


@bad
def embeddings_layer_is_words(at: Path) -> Options:
    return {"layer": "../x"}


@bad
def embeddings_of_other_cells(at: Path) -> None:
    path = at / "line_layer.h5ad"
    found = read_layer(path, "official")
    write_official(path, [f"x{name}" for name in found.cell_ids], found.matrix, found.provenance)


@bad
def embeddings_in_another_order(at: Path) -> None:
    path = at / "screen_layer.h5ad"
    found = read_layer(path, "official")
    write_official(path, found.cell_ids[::-1], found.matrix[::-1], found.provenance)


@bad
def embeddings_exported_of_other_cells(at: Path) -> Options:
    return {"embeddings": at / "screen_layer.h5ad"}


@bad
def embeddings_bad_provenance(at: Path) -> None:
    with h5py.File(at / "line_layer.h5ad", "r+") as stored:
        del stored["uns/layerscope"]
        stored["uns"].create_dataset("layerscope", data="{not json", dtype=h5py.string_dtype())


@bad
def layer_constant(at: Path) -> None:
    changed(at / "line_layer.h5ad", np.ones_like)


@bad
def layer_constant_of_a_screen(at: Path) -> None:
    changed(at / "screen_layer.h5ad", np.ones_like)


@bad
def layer_constant_of_cell_types(at: Path) -> None:
    changed(at / "line_layer.h5ad", np.ones_like)


@bad
def layer_zero_of_a_screen(at: Path) -> None:
    changed(at / "screen_layer.h5ad", np.zeros_like)


@bad
def layer_all_refused(at: Path) -> None:
    changed(at / "line_layer.h5ad", lambda matrix: np.full_like(matrix, np.nan))


@bad
def layer_all_refused_of_a_screen(at: Path) -> None:
    changed(at / "screen_layer.h5ad", lambda matrix: np.full_like(matrix, np.nan))


@bad
def layer_all_refused_of_cell_types(at: Path) -> None:
    changed(at / "line_layer.h5ad", lambda matrix: np.full_like(matrix, np.nan))


@bad
def layer_without_its_root(at: Path) -> None:
    root = int(np.flatnonzero(read_table(at / "pseudotime.tsv")["is_root"] == 1)[0])

    def refuse(matrix: np.ndarray) -> np.ndarray:
        matrix[root] = np.nan
        return matrix

    changed(at / "line_layer.h5ad", refuse)


@bad
def layer_with_refused_cells(at: Path) -> Options:
    root = int(np.flatnonzero(read_table(at / "pseudotime.tsv")["is_root"] == 1)[0])

    def refuse(matrix: np.ndarray) -> np.ndarray:
        matrix[[i for i in range(30, 60) if i != root]] = np.inf
        return matrix

    changed(at / "line_layer.h5ad", refuse)

    def check(out: Path) -> None:
        row = read_scores(out / "scores.tsv").set_index("metric").loc["spearman"]
        assert row["status"] == "ok" and row["ci_low"] <= row["estimate"] <= row["ci_high"]
        assert row["n_cells"] in (370, 371)
        assert "refused cells left out" in row["reason"]

    return {"check": check}


@bad
def graph_in_two_parts(at: Path) -> Options:
    half = np.arange(400) % 2 == 1

    def apart(matrix: np.ndarray) -> np.ndarray:
        wide = np.zeros((len(matrix), 2 * matrix.shape[1]), dtype=np.float32)
        wide[~half, : matrix.shape[1]] = matrix[~half]
        wide[half, matrix.shape[1] :] = matrix[half]
        return wide

    changed(at / "line_layer.h5ad", apart)

    def check(out: Path) -> None:
        rows = read_scores(out / "scores.tsv").set_index("metric")
        assert rows.loc["share_unreachable", "estimate"] == 0.5
        assert "50.0% of cells unreachable (graph of 2 components)" in rows.loc["spearman", "reason"]
        assert rows.loc["spearman", "n_cells"] == 200

    return {"check": check}


@bad
def few_cells(at: Path) -> None:
    obs, _ = line_of_cells()
    obs = obs.iloc[:8]
    write_trajectory(at / "line.h5ad", obs)
    write_official(at / "line_layer.h5ad", list(obs.index), np.random.default_rng(0).random((8, 3)), {})
    table = read_table(at / "pseudotime.tsv", text=["cell_id", "neighbours"]).iloc[:8]
    write_table(at / "pseudotime.tsv", table.assign(is_root=[1, *[0] * 7]))


# --- the cells of a trajectory ------------------------------------------------------------------------------


@bad
def no_root(at: Path) -> None:
    obs, _ = line_of_cells()
    write_trajectory(at / "line.h5ad", obs.drop(columns=["is_root", "time"]))


@bad
def one_time(at: Path) -> Options:
    obs, _ = line_of_cells()
    obs["time"] = pd.Categorical(["Day3"] * len(obs), ordered=True)
    write_trajectory(at / "line.h5ad", obs.drop(columns="is_root"))

    def check(out: Path) -> None:
        found = read_table(out / "pseudotime.tsv")
        assert (
            found["root_source"].iloc[0] == "nearest to the centroid of 400 cells at the earliest time, Day3"
        )
        assert found["is_root"].sum() == 1

    return {"check": check}


@bad
def pseudotime_constant(at: Path) -> None:
    table = read_table(at / "pseudotime.tsv", text=["cell_id", "neighbours"])
    write_table(at / "pseudotime.tsv", table.assign(pseudotime=0.5))


@bad
def pseudotime_missing(at: Path) -> None:
    (at / "pseudotime.tsv").unlink()


@bad
def pseudotime_empty(at: Path) -> None:
    (at / "pseudotime.tsv").write_text("", encoding="utf-8")


@bad
def pseudotime_cut(at: Path) -> None:
    cut(at / "pseudotime.tsv", 0.99)


@bad
def pseudotime_of_words(at: Path) -> None:
    table = read_table(at / "pseudotime.tsv", text=["cell_id", "neighbours"])
    table["pseudotime"] = ["early", *table["pseudotime"].astype(str)[1:]]
    write_table(at / "pseudotime.tsv", table)


@bad
def pseudotime_with_two_roots(at: Path) -> None:
    table = read_table(at / "pseudotime.tsv", text=["cell_id", "neighbours"])
    table.loc[:1, "is_root"] = 1
    write_table(at / "pseudotime.tsv", table.assign(is_root=[1, 1, *[0] * (len(table) - 2)]))


@bad
def one_cell_type(at: Path) -> None:
    obs, _ = line_of_cells()
    write_trajectory(at / "line.h5ad", obs.assign(cell_type="stem"))


@bad
def no_cell_types(at: Path) -> None:
    obs, _ = line_of_cells()
    write_trajectory(at / "line.h5ad", obs.drop(columns="cell_type"))
