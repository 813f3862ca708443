"""Records count when they are marked as done, and at no other time."""

from pathlib import Path

import numpy as np
import pytest

from layerscope.errors import ConfigError
from layerscope.extraction.partial_run import Column, Finished, PartialRun

COLUMNS = [Column("00", 2, np.dtype(np.float32)), Column("official", 3, np.dtype(np.float16))]
RUN = {"model": "m"}
CELLS = range(10, 16)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


def started(folder, run=RUN):
    return PartialRun(folder, run, COLUMNS, CELLS)


def finished(*rows, shortened=True):
    numbers = np.array(rows, dtype=np.int64)
    layers = {c.layer: np.repeat(numbers[:, None], c.width, axis=1).astype(c.dtype) for c in COLUMNS}
    return Finished(rows=numbers, layers=layers, shortened=np.full(len(rows), shortened))


def content(partial):
    blocks = list(partial.blocks())
    layers = {c.layer: np.concatenate([block[c.layer] for block in blocks]) for c in COLUMNS}
    assert layers["official"].dtype == np.float16
    np.testing.assert_array_equal(layers["official"][:, 2], layers["00"][:, 0])
    return layers["00"][:, 0].tolist()


def test_cells_come_back_in_order_and_refused_ones_as_nan(folder):
    with started(folder) as partial:
        partial.append(finished(14, 10, 12))
        partial.append(finished(11, 15))
        partial.refused[13] = "empty"
        partial.commit()
        assert partial.done.tolist() == [True, True, True, False, True, True]
        np.testing.assert_array_equal(content(partial), [10, 11, 12, np.nan, 14, 15])
        partial.remove()
    assert not folder.exists()


def test_a_later_run_goes_on_from_the_last_commit(folder):
    with started(folder) as partial:
        partial.append(finished(10, 12))
        partial.append(finished(11, shortened=False))
        partial.commit()
        partial.append(finished(13))
    with started(folder) as partial:
        assert partial.done.tolist() == [True, True, True, False, False, False]
        assert partial.n_shortened == 2
        partial.append(finished(13, 14, 15))
        partial.commit()
        np.testing.assert_array_equal(content(partial), list(CELLS))


def test_what_is_of_another_run_is_thrown_away(folder):
    with started(folder) as partial:
        partial.append(finished(10))
        partial.commit()
    with started(folder, {"model": "other"}) as partial:
        assert not partial.done.any()


def lose_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("file", ["records.bin", "done.bin", "run.json"])
@pytest.mark.parametrize("lose", [Path.unlink, lose_half, lambda path: path.write_bytes(b"")])
def test_a_lost_part_is_one_message_and_no_cell_is_taken_for_done(folder, file, lose, caplog):
    with started(folder) as partial:
        for row in (10, 11):
            partial.append(finished(row))
            partial.commit()
    lose(folder / file)
    assert_begins_anew(folder, file, caplog)


def test_marks_that_mean_nothing_are_one_message(folder, caplog):
    with started(folder) as partial:
        partial.append(finished(10))
        partial.commit()
    (folder / "done.bin").write_bytes(bytes([1, 9, 0, 0, 0, 0]))
    assert_begins_anew(folder, "done.bin", caplog)


def assert_begins_anew(folder, file, caplog):
    caplog.set_level("INFO")
    with started(folder) as partial:
        assert not partial.done.any() and not partial.n_shortened
        partial.append(finished(*CELLS))
        partial.commit()
        assert content(partial) == list(CELLS)
    assert len(caplog.records) == 1 and file in caplog.text


def test_two_processes_cannot_write_to_one_output(folder):
    with started(folder), pytest.raises(ConfigError, match="another process"):
        started(folder)
