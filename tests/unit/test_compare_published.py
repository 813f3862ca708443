"""The paper's tables stand beside what was reproduced, and nothing is called reproduced that was not run."""

import numpy as np
import pandas as pd
import pytest

from layerscope.statistics.published_scores import COLUMNS, compare_published, published_scores
from layerscope.tables import SCORE_COLUMNS, Score


def scores(*rows):
    return pd.DataFrame([vars(row) for row in rows], columns=list(SCORE_COLUMNS))


def score(layer="16", **changes):
    row = {"condition": "cord_blood", "model": "tahoe_x1_1b", "task": "trajectory", "protocol": "paper"}
    row |= {"metric": "spearman", "depth": 0.65, "estimate": 0.75, "ci_low": 0.7, "ci_high": 0.8}
    return Score(layer=layer, **row | changes)


def test_the_papers_tables_are_whole():
    table = published_scores()
    assert len(table) == 36 + 108
    peak = table[table["task"] == "trajectory"].sort_values("published").iloc[-1]
    assert (peak["model"], peak["layer"], peak["published"]) == ("tahoe_x1_1b", "16", 0.7626)
    assert peak["depth"] == pytest.approx(15 / 23)
    optima = table[(table["task"] == "perturbation") & (table["model"] == "scfoundation")]
    best = optima.loc[optima.groupby("condition")["published"].idxmax()].set_index("condition")["layer"]
    assert best.to_dict() == {"D1_Rest": "10", "D1_Stim8hr": "12", "D1_Stim48hr": "06"}


def test_a_reproduced_score_stands_beside_the_published_one_by_protocol():
    table = compare_published(scores(score(), score(protocol="released", estimate=0.77)))
    reproduced = table[table["status"] == "reproduced"]
    assert reproduced["protocol"].tolist() == ["paper", "released"]
    np.testing.assert_allclose(reproduced["difference"], [0.75 - 0.7626, 0.77 - 0.7626])
    assert len(table) == 144 + 1
    assert "(layer 19)" in reproduced["reason"].iloc[0]


def test_a_score_that_does_not_exist_keeps_its_reason():
    lost = score("01", estimate=np.nan, ci_low=np.nan, ci_high=np.nan, status="undefined", reason="constant")
    row = compare_published(scores(lost)).query("status == 'undefined'").iloc[0]
    assert (row["layer"], row["reason"]) == ("01", "constant")
    assert np.isnan(row["difference"])


def test_a_model_that_could_not_run_says_why():
    absent = score("", metric="", estimate=np.nan, status="not_available", reason="licence not accepted")
    table = compare_published(scores(absent)).query("model == 'tahoe_x1_1b' and task == 'trajectory'")
    assert set(table["status"]) == {"not run"}
    assert table["reason"].str.contains("licence not accepted").all()


@pytest.mark.parametrize("changes", [{"metric": "kendall"}, {"model": "x"}, {"condition": "paul15"}])
def test_other_metrics_models_and_conditions_reproduce_nothing(changes):
    table = compare_published(scores(score(**changes)))
    assert set(table["status"]) == {"not run"}
    assert table["reproduced"].isna().all()
    assert tuple(table.columns) == COLUMNS
