"""Labels of one side read by a probe of the other, and cells of labels that no probe has seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from label_cells import ABOUT, QUICK, cells, clusters, scored
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from layerscope.errors import ConfigError
from layerscope.tables import Score, Subject
from layerscope.tasks.label.novel import NOVEL, NOVEL_KNN, distances_to_others
from layerscope.tasks.label.settings import LabelSettings
from layerscope.tasks.label.transfer import DROP, FROM, OWN_UNITS, TO, TRANSFER, score_transfer
from layerscope.tasks.scored import NoScoreError

SIDES = {"column": "stim", "from": "ctrl", "to": "IFN"}


def two_states(n_cells: int = 600) -> pd.DataFrame:
    obs = cells(n_cells=n_cells, n_donors=6)
    return obs.assign(stim=np.where(np.arange(n_cells) % 5 < 2, "ctrl", "IFN"))


def moved(obs: pd.DataFrame, by: float, spread: float = 1.5) -> npt.NDArray[np.float64]:
    """Vectors of types; those of the stimulated state are turned by an offset of each type."""
    vectors = clusters(obs["cell_type"], spread).astype(np.float64)
    offsets = np.random.default_rng(7).normal(size=(3, vectors.shape[1]))
    kind = pd.factorize(obs["cell_type"], sort=True)[0]
    return np.asarray(vectors + by * offsets[kind] * (obs["stim"] == "IFN").to_numpy()[:, None])


def transfer(
    obs: pd.DataFrame, matrix: npt.NDArray[np.floating], **settings: Any
) -> tuple[dict[str, Score], dict[str, npt.NDArray[np.float64]]]:
    chosen = LabelSettings.read({**QUICK, "transfer": SIDES, **settings})
    made = score_transfer(matrix, obs, chosen, Subject(**ABOUT, seed=1))
    return {row.metric: row for row in made.rows}, made.resamples


def test_what_a_transfer_loses_is_told_beside_what_both_sides_are_worth_alone() -> None:
    obs = two_states()
    rows, values = transfer(obs, moved(obs, by=3))
    assert rows[TRANSFER].estimate < rows[TO].estimate - 0.05
    assert rows[FROM].estimate > 0.9 and rows[TO].estimate > 0.9
    assert rows[DROP].estimate == pytest.approx(rows[TO].estimate - rows[TRANSFER].estimate)
    assert 0 < rows[DROP].ci_low < rows[DROP].estimate < rows[DROP].ci_high
    assert np.corrcoef(values[DROP], values[TO] - values[TRANSFER])[0, 1] > 0.9
    assert "ctrl, tested on IFN" in rows[TRANSFER].reason
    assert "these fits" in rows[TRANSFER].reason


def test_a_transfer_is_scikit_learns_fit_to_one_side_and_tested_on_the_other() -> None:
    obs = two_states()
    matrix = moved(obs, by=2)
    one, other = ((obs["stim"] == side).to_numpy() for side in ("ctrl", "IFN"))
    types = obs["cell_type"].to_numpy()
    scale = StandardScaler().fit(matrix[one])
    probe = LogisticRegression(C=1 / (0.01 * one.sum()), tol=1e-6, max_iter=5000)
    predicted = probe.fit(scale.transform(matrix[one]), types[one]).predict(scale.transform(matrix[other]))
    rows, _ = transfer(obs, matrix)
    assert rows[TRANSFER].estimate == pytest.approx(
        f1_score(types[other], predicted, average="macro"), abs=0.01
    )
    own = StandardScaler().fit_transform(matrix[other])
    predicted = probe.predict(own)
    assert rows[OWN_UNITS].estimate == pytest.approx(
        f1_score(types[other], predicted, average="macro"), abs=0.01
    )


def test_shuffled_labels_transfer_nothing() -> None:
    obs = two_states()
    obs["cell_type"] = np.random.default_rng(0).permutation(obs["cell_type"])
    row = transfer(obs, moved(two_states(), by=0))[0][TRANSFER]
    assert row.p_value > 1 / 11
    assert row.ci_low < row.null_mean < row.ci_high


def test_labels_of_one_side_are_left_out_by_name() -> None:
    obs = two_states()
    obs.loc[(obs["cell_type"] == "type 2") & (obs["stim"] == "ctrl"), "cell_type"] = "type 1"
    rows, _ = transfer(obs, moved(two_states(), by=0))
    assert "left out: type 2" in rows[TRANSFER].reason
    assert rows[TRANSFER].n_cells == ((obs["stim"] == "IFN") & (obs["cell_type"] != "type 2")).sum()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stim": "ctrl"}, "no cell has 'IFN' in stim"),
        ({"cell_type": "one"}, "both sides have 1 labels"),
        ({"cell_type": None}, "level donor"),
    ],
)
def test_a_transfer_that_cannot_be_scored_says_why(change: dict[str, Any], words: str) -> None:
    obs = two_states()
    if change.get("cell_type", "") is None:
        change = {"cell_type": np.where(obs["donor"] < "donor 3", "ill", "well")}
    with pytest.raises(NoScoreError, match=words):
        transfer(obs.assign(**change), moved(obs, by=0))


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ({"column": "stim", "from": "ctrl"}, "'to' is missing"),
        ({**SIDES, "to": "ctrl"}, "from and to are both 'ctrl'"),
        ({**SIDES, "form": "a"}, "did you mean 'from'"),
    ],
)
def test_mistakes_in_a_transfer_are_named(sides: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LabelSettings.read({"transfer": sides})


def test_cells_of_a_label_that_was_left_out_are_known_to_be_new() -> None:
    obs = cells(n_cells=400, n_types=4)
    rows, _ = scored(obs, clusters(obs["cell_type"], spread=1.5), novel=True)
    for name in (NOVEL, NOVEL_KNN):
        assert rows[name].estimate > 0.7
        assert rows[name].p_value == pytest.approx(1 / 11)
        assert rows[name].null_mean == pytest.approx(0.5, abs=0.05)
        assert rows[name].ci_low < rows[name].estimate < rows[name].ci_high
    nothing, _ = scored(obs, np.random.default_rng(1).normal(size=(400, 8)), novel=True)
    for name in (NOVEL, NOVEL_KNN):
        assert nothing[name].ci_low < nothing[name].null_mean < nothing[name].ci_high


def test_novel_labels_are_switched_and_need_three() -> None:
    obs = cells()
    assert NOVEL not in scored(obs, clusters(obs["cell_type"], spread=1.0))[0]
    two = cells(n_types=2)
    row = scored(two, clusters(two["cell_type"], spread=1.0), novel=True)[0][NOVEL]
    assert row.status == "undefined" and "needs 3 labels" in row.reason


def test_the_distance_to_others_skips_the_label_and_the_fold_of_a_cell() -> None:
    vectors, types = np.array([[0.0], [1.0], [3.0], [7.0]]), np.array([0, 0, 1, 1])
    folds = np.array([0, 1, 1, 0])
    chosen = LabelSettings(neighbours=1, metric="euclidean")
    means = distances_to_others(vectors, types, 2, folds, chosen)
    np.testing.assert_allclose(means[0], [3, 6, 4, 4])
    np.testing.assert_allclose(means[1], [1, 1, 3, 6])
