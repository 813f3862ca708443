"""All rows of a study come into one sorted table, each score once."""

import numpy as np
import pandas as pd
import pytest

from layerscope.errors import ConfigError, DataError
from layerscope.statistics.gather import gather, write_gathered
from layerscope.tables import Score, read_scores, write_scores

RUN = {"condition": "blood", "model": "m", "task": "trajectory", "protocol": "paper", "metric": "spearman"}
ABSENT = {"condition": "Rest", "model": "big", "task": "perturbation", "protocol": "paper"}
ABSENT |= {"reason": "no counts"}


def score(layer, **changes):
    return Score(layer=layer, depth=0.5, estimate=0.1, **RUN | changes)


@pytest.fixture
def files(tmp_path):
    write_scores(tmp_path / "b.tsv", [score("02"), score("02", metric="share_unreachable")])
    write_scores(tmp_path / "a.tsv", [score("official"), score("01", condition="Rest", task="perturbation")])
    return [tmp_path / "b.tsv", tmp_path / "a.tsv"]


def test_rows_are_sorted_whatever_the_order_of_files(files):
    table = gather(files)
    assert table["condition"].tolist() == ["Rest", "blood", "blood", "blood"]
    assert table["layer"].tolist() == ["01", "02", "02", "official"]
    pd.testing.assert_frame_equal(table, gather(files[::-1]))
    assert len(gather([])) == 0


def test_both_forms_hold_the_same_and_the_same_bytes_again(files, tmp_path):
    for name in ("one", "two"):
        write_gathered(gather(files, [ABSENT]), tmp_path / f"{name}.tsv", tmp_path / f"{name}.parquet")
    for suffix in ("tsv", "parquet"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()
    table = read_scores(tmp_path / "one.tsv")
    pd.testing.assert_frame_equal(table, pd.read_parquet(tmp_path / "one.parquet"), check_dtype=False)
    assert len(table) == 5
    row = table[table["status"] == "not_available"].iloc[0]
    assert (row["condition"], row["model"], row["reason"]) == ("Rest", "big", "no counts")
    assert np.isnan(row["estimate"])


def test_the_same_score_twice_is_refused(files, tmp_path):
    write_scores(tmp_path / "c.tsv", [score("02")])
    with pytest.raises(DataError, match=r"b.tsv and .*c.tsv.* twice .*'02'"):
        gather([*files, tmp_path / "c.tsv"])


def test_an_incomplete_entry_of_what_was_not_run_is_refused():
    with pytest.raises(ConfigError, match="lacks 'reason'"):
        gather([], [{key: value for key, value in ABSENT.items() if key != "reason"}])


def test_another_table_or_status_is_refused(files):
    files[0].write_text(files[0].read_text().replace("\tok\t", "\tfine\t"))
    files[1].write_text("condition\tscore\nblood\t1\n")
    for path, message in zip(files, ("unknown status 'fine'", "expected the columns"), strict=True):
        with pytest.raises(DataError, match=message):
            gather([path])
