"""Records count when the journal names them, and at no other time."""

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


def finished(*rows, refused=None):
    numbers = np.array(rows, dtype=np.int64)
    layers = {c.layer: np.repeat(numbers[:, None], c.width, axis=1).astype(c.dtype) for c in COLUMNS}
    return Finished(rows=numbers, layers=layers, refused=refused or {}, n_shortened=len(rows))


def content(partial):
    blocks = list(partial.blocks())
    layers = {c.layer: np.concatenate([block[c.layer] for block in blocks]) for c in COLUMNS}
    assert layers["official"].dtype == np.float16
    np.testing.assert_array_equal(layers["official"][:, 2], layers["00"][:, 0])
    return layers["00"][:, 0].tolist()


def test_cells_come_back_in_order_and_refused_ones_as_nan(folder):
    with started(folder) as partial:
        partial.append(finished(14, 10, 12))
        partial.append(finished(11, 15, refused={13: "empty"}))
        partial.commit()
        assert partial.done.all()
        np.testing.assert_array_equal(content(partial), [10, 11, 12, np.nan, 14, 15])
        partial.remove()
    assert not folder.exists()


def test_a_later_run_goes_on_from_the_last_commit(folder):
    with started(folder) as partial:
        partial.append(finished(10, 12, refused={11: "empty"}))
        partial.commit()
        partial.append(finished(13))
    with started(folder) as partial:
        assert partial.done.tolist() == [True, True, True, False, False, False]
        assert (partial.refused, partial.n_shortened) == ({11: "empty"}, 2)
        partial.append(finished(13, 14, 15))
        partial.commit()
        np.testing.assert_array_equal(content(partial), [10, np.nan, 12, 13, 14, 15])


def test_a_line_that_a_kill_cut_off_does_not_count(folder):
    with started(folder) as partial:
        for row in (10, 11):
            partial.append(finished(row))
            partial.commit()
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])
    with started(folder) as partial:
        assert partial.done.tolist() == [True, *[False] * 5]


def test_what_is_of_another_run_is_thrown_away(folder):
    with started(folder) as partial:
        partial.append(finished(10))
        partial.commit()
    with started(folder, {"model": "other"}) as partial:
        assert not partial.done.any()


def lose_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_the_middle(path):
    content = path.read_bytes()
    path.write_bytes(content[:30] + b"}\n" + content[60:])


@pytest.mark.parametrize(
    ("file", "lose"),
    [
        ("records.bin", Path.unlink),
        ("records.bin", lose_half),
        ("journal.jsonl", Path.unlink),
        ("journal.jsonl", lose_the_middle),
        ("journal.jsonl", lambda path: path.write_bytes(path.read_bytes() + b'{"rows": [99]}\n')),
        ("journal.jsonl", lambda path: path.write_bytes(path.read_bytes() + b"[]\n")),
    ],
)
def test_a_lost_part_is_one_message_and_no_cell_is_taken_for_done(folder, file, lose, caplog):
    with started(folder) as partial:
        for row in (10, 11):
            partial.append(finished(row, refused={row + 2: "empty"}))
            partial.commit()
    lose(folder / file)
    caplog.set_level("INFO")
    with started(folder) as partial:
        assert not partial.done.any() and not partial.refused and not partial.n_shortened
        partial.append(finished(*CELLS))
        partial.commit()
        assert content(partial) == list(CELLS)
    assert len(caplog.records) == 1 and file in caplog.text


def test_two_processes_cannot_write_to_one_output(folder):
    with started(folder), pytest.raises(ConfigError, match="another process is extracting"):
        started(folder)
