import numpy as np
import pytest
from perturbation_cells import experiment, logged, score_matrix, write
from scipy.stats import spearmanr

from layerscope.errors import ConfigError, DataError
from layerscope.tables import read_resamples, read_scores
from layerscope.tasks import jobs
from layerscope.tasks.perturbation.design import make_design
from layerscope.tasks.perturbation.pairs import Pairs
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.strict import agreement, layer_similarities, mantel
from layerscope.tasks.perturbation.strict_reference import (
    half_sizes,
    make_reference,
    read_expression,
    read_reference,
)
from layerscope.tasks.screens.design import read_design
from layerscope.tasks.screens.sums import sum_layer

SETTINGS = {"cells_per_perturbation": 48, "buckets": 4, "shuffles": 12, "permutations": 199, "resamples": 100}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Cells of perturbations in modules, with a design and a reference."""
    folder = tmp_path_factory.mktemp("study")
    return prepared(folder, experiment(n_modules=4, per_module=4, effect=1.2))


def prepared(folder, cells):
    write(folder / "cells.h5ad", cells)
    jobs.make_reference(
        task="perturbation",
        protocol="strict",
        condition="test",
        cells=folder / "cells.h5ad",
        settings=SETTINGS,
        output=folder / "reference",
        seed=1,
    )
    return folder, cells


def score(study, matrix, tmp_path, reference=None):
    folder, cells = study
    references = [folder / "reference"] if reference is None else reference
    return score_matrix(tmp_path, matrix, cells, "strict", SETTINGS, references)[0]


def test_a_layer_that_keeps_expression_scores_up_to_the_ceiling(study, tmp_path):
    rows = score(study, logged(study[1]), tmp_path)
    row = rows.loc["spearman"]
    assert row["ci_low"] > 0.1
    assert row["p_value"] == pytest.approx(1 / 200)
    assert row["ceiling"] > 0.3
    assert rows.loc["share_of_ceiling", "ci_low"] < 1.2
    assert rows.loc["share_of_ceiling", "estimate"] > 0.6
    assert rows.loc["split_half_reliability", "estimate"] > 0.3
    resamples = read_resamples(tmp_path / "scores.npz")
    assert resamples["spearman"].std() == pytest.approx(resamples["spearman@chosen_on"].std(), rel=1.0)
    assert len(resamples["spearman@scored_on"]) == 100


def test_shuffled_labels_score_about_nothing_unless_the_cells_are_shared(study, tmp_path):
    rows = score(study, logged(study[1]), tmp_path)
    disjoint, shared = rows.loc["spearman_shuffled_labels"], rows.loc["spearman_same_cells_shuffled_labels"]
    assert abs(disjoint["estimate"]) < 0.06
    assert shared["ci_low"] > 0.15
    assert rows.loc["spearman", "null_mean"] == pytest.approx(disjoint["estimate"])


def test_more_cells_bring_more(tmp_path):
    study = prepared(tmp_path, experiment(n_modules=4, per_module=4, effect=0.4))
    rows = score(study, logged(study[1]), tmp_path)
    assert rows.loc["spearman_n12", "estimate"] < rows.loc["spearman", "estimate"]
    assert rows.loc["spearman_n12", "ceiling"] < rows.loc["spearman", "ceiling"]
    assert half_sizes(8).tolist() == [1, 2, 4]
    assert half_sizes(12).tolist() == [1, 2, 4, 6]


def test_numbers_of_cells_are_no_signal(tmp_path):
    cells = experiment(n_modules=4, per_module=3, effect=0.0, cells_per_guide=60)
    random = np.random.default_rng(0)
    # nothing differs between perturbations but how many cells each has
    labels = cells.obs["perturbation"].to_numpy(dtype=str)
    members = [np.flatnonzero(labels == name) for name in np.unique(labels)]
    drawn = [random.permutation(own)[:size] for own, size in zip(members, range(50, 400, 5), strict=False)]
    study = prepared(tmp_path, cells[np.sort(np.concatenate(drawn))].copy())
    rows = score(study, logged(study[1]), tmp_path)
    assert rows.loc["spearman", "ci_low"] < 0 < rows.loc["spearman", "ci_high"]


def test_ceilings_by_guide_and_lane_stand_in_their_table(study):
    rows = read_scores(study[0] / "reference" / "ceilings.tsv").set_index("metric")
    assert set(rows.index) == {"ceiling_by_split", "ceiling_by_guide", "ceiling_by_lane"}
    assert (rows["model"] == "reference").all()
    assert (rows["ci_low"] > 0).all()


def test_a_ceiling_that_the_cells_do_not_allow_is_not_available(tmp_path):
    cells = experiment()
    del cells.obs["replicate"]
    cells.obs["guide"] = cells.obs["perturbation"]
    prepared(tmp_path, cells)
    rows = read_scores(tmp_path / "reference" / "ceilings.tsv").set_index("metric")
    assert rows.loc["ceiling_by_lane", "status"] == "not_available"
    assert "replicate or batch" in rows.loc["ceiling_by_lane", "reason"]
    assert rows.loc["ceiling_by_guide", "status"] == "not_available"


def test_without_a_ceiling_above_zero_there_is_no_share_of_it(tmp_path):
    study = prepared(tmp_path, experiment(effect=0.0))
    rows = score(study, logged(study[1]), tmp_path)
    assert rows.loc["share_of_ceiling", "status"] == "undefined"


def test_refused_cells_are_left_out_and_without_a_bucket_there_is_no_score(study, tmp_path):
    cells = study[1]
    matrix = logged(cells)
    some = np.random.default_rng(0).random(cells.n_obs) < 0.1
    matrix[some] = np.nan
    rows = score(study, matrix, tmp_path)
    assert rows.loc["spearman", "status"] == "ok"
    assert rows.loc["spearman", "n_cells"] < 16 * 48
    matrix[(cells.obs["perturbation"] == "P04").to_numpy()] = np.nan
    rows = score(study, matrix, tmp_path)
    assert rows.loc["spearman", "status"] == "undefined"
    assert "1 perturbations" in rows.loc["spearman", "reason"]
    assert read_resamples(tmp_path / "scores.npz") == {}


def test_mantel_is_uniform_without_agreement():
    random = np.random.default_rng(0)
    pairs, names = Pairs(8), [f"P{i}" for i in range(8)]

    def noise():
        matrices = random.normal(size=(2, 2, 8, 8))
        return matrices + matrices.swapaxes(2, 3)

    values = [mantel(noise(), noise(), pairs, names, 99, seed) for seed in range(200)]
    assert np.mean(np.array(values) <= 0.05) < 0.1
    assert 0.4 < np.mean(values) < 0.6


def test_the_score_is_the_mean_over_splits_and_swaps_written_out(study):
    folder, cells = study
    design, reference = (
        read_design(folder / "reference" / "design.npz"),
        read_reference(folder / "reference" / "similarity.npz"),
    )
    matrix = logged(cells).astype(float)
    layer = sum_layer(matrix, design.groups, design.n_groups)
    similarities = layer_similarities(layer, 0, reference, 2)
    first = np.flatnonzero(~reference.halves[1])
    inside = np.isin(design.groups[0] % 4, first) & (design.groups[0] >= 0)
    centroids = np.array(
        [matrix[inside & (design.groups[0] // 4 == item)].mean(axis=0) for item in range(17)]
    )
    centred = centroids[1:] - centroids[0]
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(similarities[1, 1], unit @ unit.T, atol=1e-12)
    pairs = Pairs(16)
    values = [
        spearmanr(
            pairs.of(similarities[split, half]), pairs.of(reference.similarity[-1, split, 1 - half])
        ).statistic
        for split in range(len(similarities))
        for half in (0, 1)
    ]
    assert agreement(similarities, reference.similarity[-1], pairs).value == pytest.approx(np.mean(values))


def test_log_normalised_values_have_a_reference_too(tmp_path):
    cells = experiment(effect=1.2)
    cells.X = type(cells.X)(logged(cells))
    path = write(tmp_path / "cells.h5ad", cells, values="log_normalised")
    chosen = StrictSettings.read(SETTINGS)
    design = make_design(cells.obs, chosen, seed=1)
    reference = make_reference(read_expression(path, design, 10), design, chosen, seed=1)
    pairs = Pairs(9)
    assert agreement(reference.similarity[-1], reference.similarity[-1], pairs).value > 0.3


def test_a_reference_of_none_is_refused(study, tmp_path):
    folder, cells = study
    with pytest.raises(ConfigError, match="--reference"):
        score(study, logged(cells), tmp_path, reference=[])
    with pytest.raises(DataError, match="no such file"):
        score(study, logged(cells), tmp_path, reference=[folder])
