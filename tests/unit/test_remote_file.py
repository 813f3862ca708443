"""A remote file reads like a local one, and only what is read is fetched."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import write_certificate
from fault_server import FaultServer, fault_seeds, first, random_faults
from layerscope.errors import SourceError
from layerscope.sources import many_ranges, remote_file
from layerscope.sources.hdf5_ranges import open_hdf5, row_ranges
from layerscope.sources.remote_file import RemoteFile
from layerscope.sources.transport import Retries

CONTENT = np.random.default_rng(0).bytes(300_000)
FAULTS = ["drop", "reset", "500", "503", "429", "short", "wrong_range", "ignore_range"]


def remote(server: FaultServer, folder: Path, attempts: int = 8, path: str = "/f") -> RemoteFile:
    return RemoteFile(server.url + path, folder / "parts", Retries(attempts, 0.001))


@settings(max_examples=25, deadline=None)
@given(reads=st.lists(st.tuples(st.integers(0, 310_000), st.integers(0, 60_000)), max_size=8))
def test_it_reads_like_a_local_file(tmp_path_factory, reads):
    local = io.BytesIO(CONTENT)
    with FaultServer({"/f": CONTENT}) as server, remote(server, tmp_path_factory.mktemp("r")) as file:
        for position, size in reads:
            assert file.seek(position) == local.seek(position)
            assert file.read(size) == local.read(size)
            assert file.tell() == local.tell()
        assert file.seek(-5, io.SEEK_END) == len(CONTENT) - 5
        assert file.read() == CONTENT[-5:]


def test_large_reads_are_exact_and_nothing_is_asked_twice(tmp_path):
    with FaultServer({"/f": CONTENT}) as server, remote(server, tmp_path) as file:
        server.reset_counts()
        for _ in range(2):
            file.seek(1000)
            assert file.read(100_000) == CONTENT[1000:101_000]
        assert server.bytes_sent == 100_000
        file.seek(50_000)
        file.read(70_000)
        assert server.bytes_sent == 119_000


def test_a_long_range_comes_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(remote_file, "WIDEST_BLOCK", 30_000)
    monkeypatch.setattr(many_ranges, "LONGEST_RANGE", 10_000)
    with FaultServer({"/f": CONTENT}) as server, remote(server, tmp_path) as file:
        server.reset_counts()
        file.fetch(np.array([[5, 100_000], [100_500, 100_600]]), "ranges")
        assert file.parts.read(5, 100_000) == CONTENT[5:100_000]
        assert sorted(r.stop - r.start for r in server.requests) == [100, 9_995, 30_000, 30_000, 30_000]


@pytest.mark.parametrize("seed", fault_seeds(*range(8)))
def test_many_ranges_come_right_whatever_fails(tmp_path, seed):
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 290_000, 60)
    ranges = np.column_stack([starts, starts + rng.integers(1, 5000, 60)])
    plan = random_faults(FAULTS, 0.5, seed)
    with (
        FaultServer({"/f": CONTENT}, plan, seed=seed) as server,
        remote(server, tmp_path, attempts=60) as file,
    ):
        file.fetch(ranges, "ranges")
        for start, stop in ranges.tolist():
            assert file.parts.read(start, stop) == CONTENT[start:stop]


def test_a_file_that_changes_between_two_ranges_is_refused(tmp_path):
    newer = CONTENT[::-1]
    with FaultServer({"/f": CONTENT}, changed={"/f": newer}) as server:
        with remote(server, tmp_path) as file:
            file.read(40_000)
            server.plan = lambda _: "change"
            with pytest.raises(SourceError, match="file changed"):
                file.fetch(np.array([[100_000, 140_000]]), "ranges")
        server.plan = first()
        with remote(server, tmp_path) as again:
            assert again.n_bytes_of_earlier_runs == 0
            assert again.read(40_000) == newer[:40_000]


def test_a_server_without_ranges_is_refused_before_anything_comes(tmp_path):
    with (
        FaultServer({"/f": CONTENT}, ranges=False) as server,
        pytest.raises(SourceError, match="not serve ranges"),
    ):
        remote(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_redirects_are_followed_with_their_range(tmp_path):
    redirects = {"/here": "/f"}
    with (
        FaultServer({"/f": CONTENT}, redirects=redirects) as server,
        remote(server, tmp_path, path="/here") as file,
    ):
        assert file.read(100) == CONTENT[:100]
        file.fetch(np.array([[1000, 2000], [90_000, 90_500]]), "ranges")
        assert file.parts.read(90_000, 90_500) == CONTENT[90_000:90_500]


def test_a_missing_file_is_named(tmp_path):
    with FaultServer({}) as server, pytest.raises(SourceError, match="no such file"):
        remote(server, tmp_path)


def test_a_certificate_is_trusted_where_the_environment_names_it(tmp_path, monkeypatch):
    write_certificate(tmp_path)
    with FaultServer({"/f": CONTENT}, certificate=tmp_path) as server:
        with pytest.raises(SourceError, match="no trusted connection"):
            remote(server, tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        with remote(server, tmp_path, attempts=2) as file:
            assert file.read(100) == CONTENT[:100]
            file.fetch(np.array([[1000, 2000], [90_000, 90_500]]), "ranges")
            assert file.parts.read(1000, 2000) == CONTENT[1000:2000]


def test_a_file_that_is_not_hdf5_is_named(tmp_path):
    with (
        FaultServer({"/f": CONTENT}) as server,
        remote(server, tmp_path) as file,
        pytest.raises(SourceError, match="an HDF5 file"),
    ):
        open_hdf5(file)


def test_a_failure_inside_hdf5_is_still_one_message(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as made:
        made["x"] = np.arange(100_000)
    content = (tmp_path / "f.h5").read_bytes()
    with FaultServer({"/f": content}) as server, remote(server, tmp_path, attempts=2) as file:
        stored = open_hdf5(file)
        server.plan = lambda _: "500"
        with pytest.raises(SourceError, match="2 failures"):
            stored["x"][()]


def test_values_in_other_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as made:
        made.create_dataset("x", (10,), "f4", external=[("other.bin", 0, 40)])
        with pytest.raises(SourceError, match="other files"):
            row_ranges(made["x"], np.array([0]), np.array([1]))
