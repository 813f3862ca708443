"""Shards count when the journal names them, and at no other time."""

import json

import numpy as np
import pytest

from layerscope.errors import ConfigError
from layerscope.extraction.shards import Column, Finished, Shards

COLUMNS = [Column("00", 2, np.dtype(np.float32)), Column("official", 3, np.dtype(np.float16))]
RUN = {"model": "m"}


def finished(*rows: int, refused: dict[int, str] | None = None) -> Finished:
    numbers = np.array(rows, dtype=np.int64)
    layers = {c.layer: np.repeat(numbers[:, None], c.width, axis=1).astype(c.dtype) for c in COLUMNS}
    return Finished(numbers, layers, refused=refused or {}, shortened=numbers[:1])


def assembled(shards: Shards, n_cells: int, size: int) -> dict[str, np.ndarray]:
    parts = [layers for _, layers in shards.windows(range(n_cells), size)]
    return {c.layer: np.concatenate([part[c.layer] for part in parts]) for c in COLUMNS}


def test_rows_come_back_in_order_whatever_the_window(tmp_path):
    with Shards(tmp_path / "s", RUN, COLUMNS) as shards:
        shards.append(finished(4, 0, 2))
        shards.append(finished(1, 5, refused={3: "empty"}))
        for size in (1, 2, 4, 100):
            found = assembled(shards, 6, size)
            np.testing.assert_array_equal(found["00"][:, 0], [0, 1, 2, np.nan, 4, 5])
            np.testing.assert_array_equal(found["official"][:, 2], [0, 1, 2, np.nan, 4, 5])


def test_a_later_run_takes_up_what_is_in_the_journal(tmp_path):
    with Shards(tmp_path / "s", RUN, COLUMNS) as shards:
        shards.append(finished(0, 2, refused={1: "empty"}))
    with Shards(tmp_path / "s", RUN, COLUMNS) as shards:
        assert shards.done(4).tolist() == [True, True, True, False]
        assert (shards.refused, shards.n_shortened) == ({1: "empty"}, 1)
        shards.append(finished(3))
        assert shards.done(4).all()
        assert assembled(shards, 4, 4)["00"][3, 0] == 3


def test_a_line_or_shard_that_a_kill_cut_off_does_not_count(tmp_path):
    with Shards(tmp_path / "s", RUN, COLUMNS) as shards:
        shards.append(finished(0))
        shards.append(finished(1))
    journal = tmp_path / "s" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])
    (tmp_path / "s" / "000002.partial").write_bytes(b"half")
    with Shards(tmp_path / "s", RUN, COLUMNS) as shards:
        assert shards.done(3).tolist() == [True, False, False]
        shards.append(finished(1))
        shards.append(finished(2))
        np.testing.assert_array_equal(assembled(shards, 3, 2)["00"][:, 1], [0, 1, 2])


def test_shards_of_another_run_are_thrown_away(tmp_path):
    with Shards(tmp_path / "s", RUN, COLUMNS) as shards:
        shards.append(finished(0))
    with Shards(tmp_path / "s", {"model": "other"}, COLUMNS) as shards:
        assert not shards.done(1).any()
    assert json.loads((tmp_path / "s" / "journal.jsonl").read_text())["run"] == '{"model": "other"}'
    assert not list((tmp_path / "s").glob("*.bin"))


def test_a_damaged_shard_is_refused(tmp_path):
    with Shards(tmp_path / "s", RUN, COLUMNS) as shards:
        shards.append(finished(0, 1))
    path = tmp_path / "s" / "000000.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged; delete"):
        Shards(tmp_path / "s", RUN, COLUMNS)


def test_two_processes_cannot_write_to_one_output(tmp_path):
    with (
        Shards(tmp_path / "s", RUN, COLUMNS),
        pytest.raises(ConfigError, match="another process is extracting"),
    ):
        Shards(tmp_path / "s", RUN, COLUMNS)


def test_a_run_of_refused_cells_alone_is_a_run(tmp_path):
    with Shards(tmp_path / "s", RUN, COLUMNS) as shards:
        shards.append(finished(refused={0: "empty", 1: "empty"}))
        assert shards.done(2).all()
        assert np.isnan(assembled(shards, 2, 1)["00"]).all()
