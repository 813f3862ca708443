"""A slice of scattered cells from a file laid out as the real screen's, from a server as far away.

    make rehearsal-slice

The real file of D1_Rest has 3,074,496 cells in 143 GB; of this one as great a share of the cells is wanted,
in chunks of the same length, so that requests and bytes are in proportion to the number of cells.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from distant_server import DistantServer

from layerscope.sources.manifest import read_manifest
from layouts import symbols, write_cd4_perturbseq

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NAME = "D1_Rest.assigned_guide.h5ad"
CHUNK = int(os.environ.get("LAYERSCOPE_SLICE_CHUNK", "7618"))
DELAY = float(os.environ.get("LAYERSCOPE_SLICE_DELAY", "0.05"))
N_CELLS = int(os.environ.get("LAYERSCOPE_SLICE_CELLS", "200000"))
APPENDED, N_GENES = 1_000, 18_130
REAL_CELLS, REAL_CHOSEN = 3_074_496, 50_000
BYTES_PER_SECOND, LONGEST = 100e6, 15 * 60
LOST_BY_A_KILL = 32 * CHUNK * 8 + (1 << 18)  # requests on their way, and what is not on the disk yet
N_TARGETS, CHOSEN_TARGETS = 100, 20


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """More than 100,000 chunks in each array; deleted at the end."""
    path = tmp_path_factory.mktemp("bucket") / NAME
    write_cd4_perturbseq(
        path,
        N_CELLS,
        genes=symbols(N_GENES),
        targets=[f"TARGET{i}" for i in range(N_TARGETS)],
        detected=0.16,
        storage={"chunks": (CHUNK,)},
        drawn=[],
        appended=APPENDED,
        controls=0.005,
    )
    yield path
    path.unlink()


def command(url: str, folder: Path) -> list[str]:
    chosen = N_CELLS * REAL_CHOSEN // REAL_CELLS
    per_target = chosen // (CHOSEN_TARGETS + 5)
    selection = {
        "most_cells": CHOSEN_TARGETS,
        "max_cells_per_perturbation": per_target,
        "max_control_cells": chosen - per_target * CHOSEN_TARGETS,
    }
    asked = {"url": url, "kind": "cd4_perturbseq", "selection": selection}
    made = ["--output", str(folder / "slice.h5ad"), "--choice", str(folder / "choice.tsv")]
    return [sys.executable, "scripts/slice_cells.py", "--settings", json.dumps(asked), *made]


def start(url: str, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": "workflow"}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command(url, folder), cwd=ROOT, env=environment, stderr=log)


def bytes_of_rows(file: Path, cut: Path) -> tuple[int, int]:
    """Number of the slice's rows, all of which are right, and the bytes of them in the file."""
    n_bytes = 0
    with h5py.File(file) as whole, h5py.File(cut) as part:
        position = {name: row for row, name in enumerate(whole["obs/_index"].asstr()[()])}
        rows = [position[name] for name in part["obs/_index"].asstr()[()]]
        starts, cut_starts = whole["X/indptr"][()], part["X/indptr"][()]
        arrays = {name: (whole[f"X/{name}"], part[f"X/{name}"][()]) for name in ("data", "indices")}
        for number, row in enumerate(rows):
            for of_whole, of_part in arrays.values():
                values = of_whole[starts[row] : starts[row + 1]]
                assert np.array_equal(values, of_part[cut_starts[number] : cut_starts[number + 1]])
                n_bytes += values.nbytes
        assert arrays["data"][0].chunks == arrays["indices"][0].chunks == (CHUNK,)
        assert N_CELLS < 200_000 or CHUNK > 7_618 or arrays["data"][0].id.get_num_chunks() > 100_000
    return len(rows), n_bytes


def test_scattered_rows_cost_what_they_must(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with DistantServer(file, DELAY, at_once=32) as server:
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        assert start(server.url, tmp_path / "out").wait() == 0, (tmp_path / "out/log").read_text()
        seconds, served = time.monotonic() - began, server.served()
        work = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before.ru_utime
    n_rows, of_rows = bytes_of_rows(file, tmp_path / "out/slice.h5ad")
    larger = REAL_CHOSEN / n_rows
    projected = seconds * larger + served.n_bytes * larger / BYTES_PER_SECOND
    with capfd.disabled():
        print(
            f"\n{n_rows:,} of {N_CELLS:,} cells in {file.stat().st_size / 1e9:.2f} GB: "
            f"{served.requests:,} requests, {served.n_bytes / 1e6:.1f} MB, "
            f"of which rows {of_rows / 1e6:.1f} MB, in {served.seconds:.1f} s "
            f"({seconds:.1f} s and {work:.1f} CPU-s in all)\n"
            f"{REAL_CHOSEN:,} of {REAL_CELLS:,} cells: {served.requests * larger:,.0f} requests, "
            f"{served.n_bytes * larger / 1e9:.2f} GB, at most {projected / 60:.1f} min"
        )
    assert served.at_once == 32
    assert served.n_bytes == read_manifest(tmp_path / "out/slice.h5ad")["n_bytes_moved"]
    assert served.n_bytes <= 1.3 * of_rows + 0.02 * file.stat().st_size
    if (N_CELLS, CHUNK, DELAY) == (200_000, 7_618, 0.05):
        assert served.requests <= 4 * n_rows
        assert projected < LONGEST


def test_a_killed_slice_fetches_nothing_again(file: Path, tmp_path: Path) -> None:
    with DistantServer(file, delay=0.01) as server:
        assert start(server.url, tmp_path / "right").wait() == 0
        in_all = server.served().n_bytes
        for share in (1.2, 1.5, 1.8):
            process = start(server.url, tmp_path / "killed")
            while server.served().n_bytes < share * in_all and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not (tmp_path / "killed/slice.h5ad").exists()
        assert start(server.url, tmp_path / "killed").wait() == 0
        assert server.served().n_bytes <= 2 * in_all + 3 * LOST_BY_A_KILL
    assert (tmp_path / "killed/slice.h5ad").read_bytes() == (tmp_path / "right/slice.h5ad").read_bytes()
