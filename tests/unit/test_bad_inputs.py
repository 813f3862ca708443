"""Bad inputs, run through the steps as a user runs them: each ends as the table says, none as a traceback."""

import shutil

import bad_cells  # noqa: F401 - these register their builders
import bad_configs  # noqa: F401
import bad_embeddings  # noqa: F401
import bad_screens  # noqa: F401
import bad_tables  # noqa: F401
import pytest
from bad_ground import BUILDERS, STEPS, table, write_good

from layerscope.errors import LayerscopeError
from layerscope.tables import read_scores

TABLE = table()
LONGEST = 1500


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_good(folder)
    return folder


def test_the_table_and_the_builders_are_the_same_corpus():
    assert sorted(row["name"] for row in TABLE) == sorted(BUILDERS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", TABLE, ids=[row["name"] for row in TABLE])
def test_a_bad_input_ends_as_the_table_says(row, good, tmp_path, monkeypatch):
    at, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(good, at)
    out.mkdir()
    monkeypatch.chdir(at)
    given = BUILDERS[row["name"]](at)
    options = dict(given) if isinstance(given, dict) else {}
    check = options.pop("check", None)
    before = sorted(tmp_path.rglob("*"))
    words = row["words"].split(" | ")
    if row["outcome"] == "refused":
        with pytest.raises(LayerscopeError) as refusal:
            STEPS[row["step"]](at, out, options)
        message = str(refusal.value)
        assert [word for word in words if word not in message] == [], message
        assert len(message) <= LONGEST
        assert len(message.splitlines()) <= 2, message
        assert sorted(tmp_path.rglob("*")) == before, "a file was left"
        return
    STEPS[row["step"]](at, out, options)
    assert not list(out.rglob(".*")), "a scratch file was left"
    if row["outcome"] == "right":
        assert check is not None
        check(out)
        return
    rows = read_scores(out / "scores.tsv")
    primary = rows[rows["metric"] == "spearman"]
    assert primary["status"].tolist() == [row["outcome"]]
    assert primary[["estimate", "ci_low", "ci_high"]].isna().all(axis=None)
    assert [word for word in words if word not in primary["reason"].iloc[0]] == [], primary["reason"].iloc[0]
