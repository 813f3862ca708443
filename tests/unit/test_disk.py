"""A disk that is full, read-only or wrong about the time: one message that names a file, or right rows."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bad_ground import STEPS, Options, write_good
from bad_tables import rows

from layerscope.command_line import refused, run
from layerscope.files import whole
from layerscope.tables import write_scores

YEAR = 365 * 24 * 3600
HDF5 = (
    "Can't decrement id ref count (file write failed: time = Sat Nov 21 06:21:15 2026\n, "
    "filename = '/data/.partial.0a1b2c3d.cells.h5ad', file descriptor = 5, "
    "errno = 28, error message = 'No space left on device')"
)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_good(folder)
    write_scores(folder / "scores.tsv", rows() + rows("spearman_true_pseudotime"))
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of its own with some options; skips where that is not allowed."""
    mounted = []

    def mount(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a disk needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def ended(step: str, at: Path, out: Path, largest: int | None = None, **options: object) -> tuple[int, str]:
    """Run a step in a process of its own as its script would: exit status, and what it said of errors."""
    said = at.parent / "said"
    child = os.fork()
    if child == 0:
        sys.stderr = said.open("w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), 2)
        status = 0
        try:
            if largest is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
            run(lambda: STEPS[step](at, out, dict(options)))
        except SystemExit as leaving:
            os.write(2, str(leaving).encode())
            status = 1
        except BaseException as defect:  # noqa: BLE001 - the process ends here
            os.write(2, f"Traceback {defect!r}".encode())
            status = 2
        os._exit(status)
    _, status = os.waitpid(child, 0)
    text = said.read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in text and "Exception ignored" not in text
    return os.waitstatus_to_exitcode(status), "\n".join(x for x in text.splitlines() if "error: " in x)


WRITERS: list[tuple[str, str, Options]] = [
    ("prepare_cells", "cells.h5ad", {"input": "screen.h5ad", "settings": {}}),
    ("compute_baseline", "layers.h5ad", {"cells": "screen.h5ad"}),
    ("export_layer", "layer.h5ad", {}),
    ("sum_pseudobulk", "pseudobulk.h5ad", {}),
    ("reference_pseudotime", "reference/pseudotime.tsv", {}),
    ("score_trajectory", "scores.npz", {}),
    ("gather_scores", "all.parquet", {}),
]


@pytest.mark.parametrize(("step", "name", "options"), WRITERS, ids=[step for step, _, _ in WRITERS])
def test_a_file_that_cannot_be_written_whole_is_named_and_not_left(
    good, tmp_path, monkeypatch, step, name, options
):
    monkeypatch.chdir(good)
    out = tmp_path / "out"
    out.mkdir()
    status, said = ended(step, good, out, largest=3000, **options)
    assert (status, said.count("\n")) == (1, 0)
    assert f"error: {out / name}: " in said and "ulimit -f" in said
    assert not [path.name for path in out.iterdir() if path.name.endswith(name)]


def test_a_full_disk_is_named(good, tmp_path, monkeypatch, small_disk):
    monkeypatch.chdir(good)
    out = small_disk("size=8k")
    for step, name, options in WRITERS[:3]:
        status, said = ended(step, good, out, **options)
        assert status == 1
        assert f"error: {out / name}: the disk is full" in said
        assert list(out.iterdir()) == []


def test_a_read_only_disk_is_named(good, monkeypatch, small_disk):
    monkeypatch.chdir(good)
    out = small_disk("ro")
    for step, _, options in WRITERS:
        status, said = ended(step, good, out, **options)
        assert status == 1
        assert str(out) in said and "read-only" in said


def test_a_file_in_place_of_the_folder_is_named(good, tmp_path, monkeypatch):
    monkeypatch.chdir(good)
    (tmp_path / "results").write_text("", encoding="utf-8")
    status, said = ended("gather_scores", good, tmp_path / "results")
    assert status == 1
    assert f"{tmp_path / 'results'}: a file stands" in said


def test_what_hdf5_says_of_the_disk_is_put_in_words():
    assert refused(RuntimeError(HDF5)) == "/data/cells.h5ad: the disk is full: make room, and run again"
    try:
        raise KeyError("obs") from OSError(errno.EROFS, "Read-only file system", "results/x")
    except KeyError as error:
        assert str(refused(error)).startswith("results/x: the file system is read-only")


def test_what_the_disk_has_no_part_in_stays_a_defect():
    assert refused(RuntimeError("a defect")) is None
    assert refused(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "scores.tsv"
    path.write_text("kept\n", encoding="utf-8")
    with contextlib.suppress(OSError), whole(path) as scratch:
        scratch.write_text("half", encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [found.name for found in tmp_path.iterdir()] == ["scores.tsv"]
    assert path.read_text(encoding="utf-8") == "kept\n"


def test_who_outlived_a_kill_cannot_spoil_what_another_began(tmp_path):
    path = tmp_path / "scores.tsv"
    with contextlib.suppress(FileNotFoundError), whole(path) as orphan:
        orphan.write_text("old", encoding="utf-8")
        with whole(path) as scratch:
            scratch.write_text("new, half", encoding="utf-8")
            assert not orphan.exists()
            scratch.write_text("new, whole\n", encoding="utf-8")
    assert [(found.name, found.read_text(encoding="utf-8")) for found in tmp_path.iterdir()] == [
        ("scores.tsv", "new, whole\n")
    ]


def test_what_a_kill_left_goes_with_the_next_writer_and_nothing_else_does(tmp_path):
    for name in (".partial.0a1b2c3d.a.tsv", ".partial.0a1b2c3d.my.a.tsv", ".partial.a.tsv", "a.tsv"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    with whole(tmp_path / "a.tsv") as scratch:
        scratch.write_text("new", encoding="utf-8")
    names = {".partial.0a1b2c3d.my.a.tsv", ".partial.a.tsv", "a.tsv"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize("years", [-40, 30], ids=["long ago", "in the future"])
def test_the_dates_of_files_do_not_change_a_result(good, tmp_path, monkeypatch, years):
    monkeypatch.chdir(good)
    made = []
    for name, shift in (("now", 0), ("then", years * YEAR)):
        at, out = tmp_path / name / "in", tmp_path / name / "out"
        shutil.copytree(good, at)
        out.mkdir()
        for path in at.iterdir():
            date = path.stat().st_mtime + shift
            os.utime(path, (date, date))
        for step in ("score_trajectory", "gather_scores", "sum_pseudobulk", "compute_baseline"):
            STEPS[step](at, out, {"cells": at / "screen.h5ad"} if step == "compute_baseline" else {})
        made.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert len(made[0]) == 6 and made[0] == made[1]
