"""Chunks are found whatever their size, order and index, in as many round trips as the index has levels."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import write_elem

from fault_server import FaultServer
from layerscope.errors import SourceError
from layerscope.sources import many_ranges
from layerscope.sources.hdf5_ranges import fetch_values, find_chunks, open_hdf5, row_ranges
from layerscope.sources.remote_file import RemoteFile
from layerscope.sources.transport import Retries

FILES: dict[str, dict[str, Any]] = {
    "oldest": {},
    "user_block": {"userblock_size": 1024},
    "ordered_links": {"track_order": True},  # object headers of version 2 over a tree of version 1
    "newest": {"libver": "latest"},
}


def write(path: Path, values: np.ndarray, chunks: Sequence[int], order: str, **file: Any) -> None:
    """One dataset ``x``, whose chunks were written in this order, among others' chunks."""
    with h5py.File(path, "w", **file) as made:
        datasets = [
            made.create_dataset(
                name, values.shape, values.dtype, chunks=tuple(chunks), maxshape=(None, *values.shape[1:])
            )
            for name in ("x", "other")
        ]
        firsts = np.arange(0, len(values), chunks[0])
        if order != "ascending":
            firsts = firsts[::-1] if order == "descending" else np.random.default_rng(3).permutation(firsts)
        for first in firsts.tolist():
            for dataset in datasets:
                dataset[first : first + chunks[0]] = values[first : first + chunks[0]]


def remote(server: FaultServer, folder: Path) -> RemoteFile:
    return RemoteFile(f"{server.url}/f", folder / "parts", Retries(3, 0.001))


def scattered(n_rows: int, n_spans: int, longest: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Ascending spans of rows that do not overlap; some are empty."""
    rng = np.random.default_rng(seed)
    firsts = np.sort(rng.choice(n_rows - longest, n_spans, replace=False))
    lasts = np.minimum(firsts + rng.integers(0, longest, n_spans), np.append(firsts[1:], n_rows))
    return firsts, lasts


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    ("chunk", "order", "kind"),
    [(3, "shuffled", "i8"), (7, "ascending", "f4"), (61, "descending", "i4"), (1000, "ascending", "u2")],
)
def test_only_the_spans_of_chunks_without_filters_are_fetched(tmp_path, file, chunk, order, kind):
    values = np.random.default_rng(0).integers(0, 60_000, 9_011).astype(kind)
    write(tmp_path / "f.h5", values, (chunk,), order, **FILES[file])
    firsts, lasts = scattered(len(values), 40, 30)
    with FaultServer({"/f": (tmp_path / "f.h5").read_bytes()}) as server, remote(server, tmp_path) as file_:
        stored = open_hdf5(file_)["x"]
        ranges = row_ranges(stored, firsts, lasts, file_)
        assert (ranges[:, 1] - ranges[:, 0]).sum() == (lasts - firsts).sum() * values.itemsize
        file_.fetch(ranges, "rows")
        server.reset_counts()
        for first, last in zip(firsts, lasts, strict=True):
            assert np.array_equal(stored[first:last], values[first:last])
        assert server.requests == []


@pytest.mark.parametrize("chunks", [(5, 40), (3, 7), (50, 1)])
def test_rows_of_a_dense_matrix_in_tiles_are_found(tmp_path, chunks):
    values = np.arange(600 * 40.0).reshape(600, 40)
    write(tmp_path / "f.h5", values, chunks, "shuffled")
    rows = np.array([0, 7, 8, 99, 333, 599])
    with FaultServer({"/f": (tmp_path / "f.h5").read_bytes()}) as server, remote(server, tmp_path) as file:
        stored = open_hdf5(file)["x"]
        file.fetch(row_ranges(stored, rows, rows + 1, file), "rows")
        server.reset_counts()
        assert np.array_equal(np.vstack([stored[row] for row in rows]), values[rows])
        assert server.requests == []


@pytest.mark.parametrize("file", ["oldest", "user_block", "ordered_links"])
def test_the_tree_says_what_hdf5_says_level_by_level(tmp_path, file, monkeypatch, caplog):
    write(tmp_path / "f.h5", np.arange(15_000), (3,), "shuffled", **FILES[file])
    wanted = np.zeros(5_000, dtype=bool)
    wanted[[0, 1, 500, 501, 3_000, 4_999]] = True
    caplog.set_level(logging.INFO)
    with h5py.File(tmp_path / "f.h5") as local:
        expected = find_chunks(local["x"], wanted, None)
    levels = []
    fetch_ranges = many_ranges.fetch_ranges

    def counted(*given: Any) -> None:
        levels.append(len(given[2]))
        fetch_ranges(*given)

    monkeypatch.setattr("layerscope.sources.remote_file.fetch_ranges", counted)
    with FaultServer({"/f": (tmp_path / "f.h5").read_bytes()}) as server, remote(server, tmp_path) as remote_:
        stored = open_hdf5(remote_)["x"]
        server.reset_counts()
        assert np.array_equal(find_chunks(stored, wanted, remote_), expected)
        assert len(server.requests) <= sum(levels)  # none but those of whole levels
    assert len(levels) <= 3
    assert sum(levels) <= 1 + 5 + 5
    assert "HDF5 itself" not in caplog.text


def test_another_index_is_read_by_hdf5_and_the_log_says_so(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    layouts: dict[str, dict[str, Any]] = {
        "extensible": {"maxshape": (None,)},
        "fixed": {},
        "single": {"chunks": (900,)},
        "tree": {"maxshape": (None, None)},
    }
    with h5py.File(tmp_path / "f.h5", "w", libver="latest") as made:
        for name, how in layouts.items():
            shape = (900, 1) if name == "tree" else (900,)
            tiles = (10, 1) if name == "tree" else (10,)
            made.create_dataset(name, data=np.arange(900).reshape(shape), **{"chunks": tiles, **how})
    with FaultServer({"/f": (tmp_path / "f.h5").read_bytes()}) as server, remote(server, tmp_path) as file:
        for name in layouts:
            caplog.clear()
            stored = open_hdf5(file)[name]
            file.fetch(row_ranges(stored, np.array([95]), np.array([123]), file), "rows")
            server.reset_counts()
            assert stored[95:123].ravel().tolist() == list(range(95, 123))
            assert server.requests == []
            assert "HDF5 itself" in caplog.text


def test_chunks_that_were_never_written_hold_nothing(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as made:
        made.create_dataset("none", (100,), "i4", chunks=(10,), fillvalue=7)
        made.create_dataset("some", (100,), "i4", chunks=(10,), fillvalue=7)[35:38] = 1
    with FaultServer({"/f": (tmp_path / "f.h5").read_bytes()}) as server, remote(server, tmp_path) as file:
        stored = open_hdf5(file)
        assert len(row_ranges(stored["none"], np.array([5]), np.array([45]), file)) == 0
        assert len(row_ranges(stored["some"], np.array([5]), np.array([45]), file)) == 1
        assert stored["some"][33:36].tolist() == [7, 7, 1]


@pytest.mark.parametrize(
    ("at", "byte"), [(0, b"X"), (4, b"\x00"), (5, b"\x07"), (24 + 8, b"\x55" * 8), (24 + 24, b"\x55" * 8)]
)
def test_a_damaged_tree_is_not_followed(tmp_path, at, byte):
    write(tmp_path / "f.h5", np.arange(3_000), (3,), "ascending")
    content = bytearray((tmp_path / "f.h5").read_bytes())
    starts = [match.start() for match in re.finditer(b"TREE\x01", bytes(content))]
    assert len(starts) > 10
    for start in starts:
        content[start + at : start + at + len(byte)] = byte
    with FaultServer({"/f": bytes(content)}) as server, remote(server, tmp_path) as file:
        stored = open_hdf5(file)["x"]
        with pytest.raises(ValueError, match="x: "):
            file.fetch(row_ranges(stored, np.array([5]), np.array([2_000]), file), "rows")


@pytest.mark.parametrize("storage", [{}, {"chunks": (50,)}, {"chunks": (50,), "compression": "gzip"}])
@pytest.mark.parametrize("file", ["oldest", "user_block", "newest"])
def test_tables_come_at_once_with_their_text(tmp_path, file, storage):
    names = [f"AACGTTAGC{'T' * (i % 70)}{i:08d}-1" for i in range(6_000)]
    table = pd.DataFrame(
        {
            "lane": pd.Categorical([f"lane {i % 61}" for i in range(6_000)]),
            "note": np.where(np.arange(6_000) % 3 == 0, "", "é" * 9).astype(object),
            "n": np.arange(6_000),
        },
        index=names,
    )
    with h5py.File(tmp_path / "f.h5", "w", **FILES[file]) as made:
        write_elem(made, "obs", table, dataset_kwargs=storage)
        made["scalar"] = "text"
        made["empty"] = np.zeros(0)
    with FaultServer({"/f": (tmp_path / "f.h5").read_bytes()}) as server, remote(server, tmp_path) as remote_:
        obs = open_hdf5(remote_)["obs"]
        parts = [obs["_index"], obs["note"], obs["n"], obs["lane/codes"], obs["lane/categories"]]
        fetch_values(remote_, [*parts, obs.file["scalar"], obs.file["empty"]], "tables")
        server.reset_counts()
        assert obs["_index"].asstr()[()].tolist() == names
        assert obs["note"].asstr()[()].tolist() == table["note"].tolist()
        assert obs["n"][()].tolist() == list(range(6_000))
        assert obs["lane/codes"][()].tolist() == [
            sorted(map(str, range(61))).index(str(i % 61)) for i in range(6_000)
        ]
        if "compression" not in storage:
            assert server.requests == []


def test_one_that_cannot_be_had_ends_the_others(tmp_path):
    plan = lambda request: "404" if request.number == 9 else ""  # noqa: E731
    with FaultServer({"/f": bytes(900_000)}, plan) as server, remote(server, tmp_path) as file:
        starts = np.arange(0, 900_000, 3_000)
        with pytest.raises(SourceError, match="no such file"):
            file.fetch(np.column_stack([starts, starts + 10]), "ranges")
        assert len(server.requests) < 150
