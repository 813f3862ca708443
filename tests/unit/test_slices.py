"""Of a remote file only the chosen cells come: right, counted, resumed, whatever fails."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from slice_examples import FILE, SELECTION, STORAGE, serving, sliced, write_original

from fault_server import FaultServer, fault_seeds, first, random_faults, start_script
from layerscope.cells.canonical import provenance, read_cells
from layerscope.cells.prepare import prepare
from layerscope.errors import ConfigError, DataError, SourceError
from layerscope.sources.manifest import read_manifest
from layerscope.tables import read_table
from layouts import write_cd4_perturbseq

FAULTS = ["drop", "reset", "500", "503", "429", "short", "wrong_range", "ignore_range"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return {layout: write_original(tmp_path_factory.mktemp(layout), layout) for layout in STORAGE}


def same_bytes(one: Path, two: Path) -> bool:
    return (one / "slice.h5ad").read_bytes() == (two / "slice.h5ad").read_bytes()


@pytest.mark.parametrize("layout", STORAGE)
def test_the_slice_holds_the_chosen_cells_of_every_layout(originals, tmp_path, layout):
    with serving(originals[layout]) as server:
        cells = sliced(server, tmp_path)
    whole = anndata.read_h5ad(originals[layout])[cells.obs_names]
    assert np.array_equal(cells.X.toarray(), whole.X.toarray())
    assert cells.obs.astype(str).equals(whole.obs[cells.obs.columns].astype(str))
    assert not cells.obs["low_quality"].any()
    sizes = cells.obs["perturbed_gene_name"].value_counts()
    assert (sizes["NTC"], len(sizes), sizes.max()) == (25, 4, 30)
    assert list(cells.var_names) == list(whole.var_names)
    names = {"choice.tsv", "slice.h5ad", "slice.h5ad.manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("chunk", "types"),
    [
        (50, ("uint16", "int32")),
        (977, ("float32", "int32")),
        (977, ("int64", "uint32")),
        (20_000, ("uint8", "int64")),
    ],
)
def test_the_slice_is_right_whatever_the_types_and_chunks(tmp_path, types, chunk):
    original = tmp_path / FILE
    storage = {"chunks": (chunk,)}
    write_cd4_perturbseq(original, n_cells=700, storage=storage, appended=90, types=types)
    with serving(original) as server:
        cells = sliced(server, tmp_path / "out")
    whole = anndata.read_h5ad(original)[cells.obs_names]
    assert np.array_equal(cells.X.toarray(), whole.X.toarray())


def test_a_slice_is_prepared_as_the_whole_file_is(originals, tmp_path):
    with serving(originals["contiguous"]) as server:
        sliced(server, tmp_path)
    settings = {"kind": "cd4_perturbseq", "task": "perturbation", "selection": SELECTION}
    for name, source in (("whole", originals["contiguous"]), ("part", tmp_path / "slice.h5ad")):
        prepare([source], settings, "D1_Rest", tmp_path / f"{name}.h5ad", tmp_path / f"{name}.tsv")
    whole, part = read_cells(tmp_path / "whole.h5ad"), read_cells(tmp_path / "part.h5ad")
    assert (whole.X != part.X).nnz == 0
    pd.testing.assert_frame_equal(whole.obs, part.obs)
    assert provenance(part)["source"] == [FILE]
    table = read_table(tmp_path / "part.tsv", text=("threshold", "remark"))
    before = table[table["step"] == "slice"]
    assert before["filter"].tolist() == ["low_quality", "guide_id", "guide_type", "selection"]
    assert (before["cells_before"].iloc[0], before["cells_after"].iloc[-1]) == (1500, part.n_obs)


def test_the_choice_is_told_in_a_table(originals, tmp_path):
    with serving(originals["contiguous"]) as server:
        cells = sliced(server, tmp_path)
    table = read_table(tmp_path / "choice.tsv")
    assert table["cells_chosen"].sum() == cells.n_obs
    assert table["perturbation"].iloc[0] == "non-targeting"
    assert table["is_control"].tolist() == [True] + [False] * (len(table) - 1)
    assert (table["cells_in_file"] >= table["cells_passing"]).all()
    assert set(table["seed"]) == {5}
    assert table["guides"].iloc[1] == 2


def test_the_same_choice_gives_the_same_bytes(originals, tmp_path):
    with serving(originals["gzip"]) as server:
        sliced(server, tmp_path / "one")
        sliced(server, tmp_path / "two", selection={**SELECTION, "seed": 6})
        sliced(server, tmp_path / "two")
    assert same_bytes(tmp_path / "one", tmp_path / "two")


def test_a_slice_that_is_there_is_not_fetched_again(originals, tmp_path):
    with serving(originals["contiguous"]) as server:
        sliced(server, tmp_path)
        server.reset_counts()
        sliced(server, tmp_path)
        assert server.requests == []


@pytest.mark.parametrize(
    ("layout", "seed"),
    list(zip(["contiguous", "gzip", "chunked"], fault_seeds(0, 2, 3), strict=True)),
)
def test_whatever_fails_the_slice_is_right(originals, tmp_path, layout, seed):
    with serving(originals[layout]) as server:
        sliced(server, tmp_path / "undisturbed")
        server.plan, server.seed = random_faults(FAULTS, 0.4, seed), seed
        server.reset_counts()
        sliced(server, tmp_path / "disturbed", attempts=60)
    assert same_bytes(tmp_path / "undisturbed", tmp_path / "disturbed")


def test_a_damaged_file_is_refused_and_nothing_of_it_is_kept(originals, tmp_path):
    content = bytearray(originals["gzip"].read_bytes())
    with h5py.File(originals["gzip"]) as stored:
        data = stored["X/data"]
        for number in range(data.id.get_num_chunks()):
            info = data.id.get_chunk_info(number)
            content[info.byte_offset + 20 : info.byte_offset + 40] = b"\xff" * 20
    server = FaultServer({f"/b/{FILE}": bytes(content)})
    with server, pytest.raises(SourceError, match="is damaged"):
        sliced(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def fetched(folder: Path) -> int:
    """Bytes of the remote file that an unfinished slice has kept."""
    n_bytes = 0
    for part in (folder / ".download.slice.h5ad").glob("*.part"):
        n_bytes += part.stat().st_size - len(part.read_bytes().split(b"\n")[0]) - 1
    return n_bytes


@pytest.mark.parametrize("layout", ["contiguous", "gzip"])
def test_giving_up_keeps_what_came(originals, tmp_path, layout):
    with serving(originals[layout]) as server:
        sliced(server, tmp_path / "right")
        in_all, n_requests = server.bytes_sent, len(server.requests)
        server.plan = lambda request: "503" if request.number > n_requests * 0.7 else ""
        server.reset_counts()
        with pytest.raises(SourceError, match="2 failures"):
            sliced(server, tmp_path / "broken", attempts=2)
        assert not (tmp_path / "broken" / "slice.h5ad").exists()
        had = fetched(tmp_path / "broken")
        server.plan = first()
        server.reset_counts()
        sliced(server, tmp_path / "broken")
        assert had > 0
        assert server.bytes_sent <= (in_all - had) * 1.05 + 2000
    assert read_manifest(tmp_path / "broken" / "slice.h5ad")["n_bytes_of_earlier_runs"] == had
    assert same_bytes(tmp_path / "right", tmp_path / "broken")


def test_a_full_disk_is_said_and_the_next_run_goes_on(originals, tmp_path, monkeypatch):
    written = 0
    really = Path.write_bytes

    def until_full(self: Path, content: bytes) -> int:
        nonlocal written
        written += len(content)
        if written > 100_000:
            raise OSError(28, "No space left on device")
        return really(self, content)

    with serving(originals["contiguous"]) as server:
        monkeypatch.setattr(Path, "write_bytes", until_full)
        with pytest.raises(OSError, match="No space left") as full:
            sliced(server, tmp_path / "out")
        assert full.value.filename == str(tmp_path / "out" / "slice.h5ad")
        monkeypatch.undo()
        sliced(server, tmp_path / "out")
        sliced(server, tmp_path / "right")
    assert same_bytes(tmp_path / "right", tmp_path / "out")


@pytest.mark.parametrize("seed", fault_seeds(1))
def test_a_killed_process_goes_on_where_it_was(originals, tmp_path, seed):
    with serving(originals["contiguous"]) as server:
        sliced(server, tmp_path / "right")
        in_all = server.bytes_sent
        server.reset_counts()
        server.seconds_per_piece = 0.02
        asked = {"url": f"{server.url}/b/{FILE}", "kind": "cd4_perturbseq", "selection": SELECTION}
        options = {"settings": json.dumps(asked), "output": tmp_path / "slice.h5ad"}
        options["choice"] = tmp_path / "choice.tsv"
        process = start_script("slice_cells.py", **options)
        share = np.random.default_rng(seed).uniform(0.3, 0.9)
        while server.bytes_sent < share * in_all and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.wait()
        had = fetched(tmp_path)
        assert had > 0
        time.sleep(0.3)
        server.seconds_per_piece = 0
        server.reset_counts()
        assert start_script("slice_cells.py", **options).wait() == 0
        n_bytes = sum(request.stop - request.start for request in server.requests)
        assert n_bytes <= (in_all - had) * 1.05 + 1000
    assert (tmp_path / "slice.h5ad").read_bytes() == (tmp_path / "right" / "slice.h5ad").read_bytes()
    assert not (tmp_path / ".download.slice.h5ad").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "10x"}, "kind '10x' .*h5ad and cd4_perturbseq"),
        ({"kind": "h5ad", "columns": {"batch": "lane"}}, "no column 'lane' in obs"),
        ({"kind": "h5ad", "subset": {"lane_id": "lane_9"}}, "no cell is labelled 'lane_9'"),
        ({"url": ""}, "is no https://"),
    ],
)
def test_settings_that_do_not_fit_are_refused(originals, tmp_path, settings, words):
    with serving(originals["contiguous"]) as server, pytest.raises((ConfigError, DataError), match=words):
        sliced(server, tmp_path, **settings)


def test_any_h5ad_file_can_be_sliced(originals, tmp_path):
    asked = {"kind": "h5ad", "subset": {"lane_id": "lane_2"}, "columns": {"batch": "lane_id"}}
    with serving(originals["gzip"]) as server:
        cells = sliced(server, tmp_path, **asked)
    whole = anndata.read_h5ad(originals["gzip"])
    expected = whole[whole.obs["lane_id"] == "lane_2"]
    assert list(cells.obs_names) == list(expected.obs_names)
    assert np.array_equal(cells.X.toarray(), expected.X.toarray())


def test_matrices_by_columns_are_refused(originals, tmp_path):
    whole = anndata.read_h5ad(originals["contiguous"])
    whole.X = whole.X.tocsc()
    whole.write_h5ad(tmp_path / FILE)
    with serving(tmp_path / FILE) as server, pytest.raises(SourceError, match=r"\(CSC\)"):
        sliced(server, tmp_path / "out")
