"""The embedded study's cells: truth is in them, and the usual analyses find it."""

import hashlib
import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import scale

import simulate_cells
from layerscope.demo.processes import NON_TARGETING, TIMES
from layerscope.demo.program import FATES, PROGRAMS, STATES, differentiation_activity
from layerscope.demo.simulation import simulate
from layerscope.errors import ConfigError
from layerscope.tasks.trajectory.graph import neighbour_graph
from layerscope.tasks.trajectory.pseudotime import diffusion_map, diffusion_pseudotime


@pytest.fixture(scope="module")
def differentiation():
    return simulate("differentiation", {}, seed=1)


@pytest.fixture(scope="module")
def perturbation():
    return simulate("perturbation", {}, seed=1)


def quality_controlled(adata):
    """Cells with at least 50 genes and less than 20% mitochondrial counts, and which those are."""
    counts = adata.X.toarray()
    mito = adata.var_names.str.startswith("MT-")
    share = counts[:, mito].sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    return adata[((counts > 0).sum(axis=1) >= 50) & (share < 0.2)].copy()


def hvg_pca(adata):
    """Counts per 10k, log1p, scaled and clipped at 10, 50 principal components."""
    counts = adata.X.toarray().astype(np.float64)
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    logged = logged[:, logged.std(axis=0) > 0]
    return PCA(50, svd_solver="full").fit_transform(scale(logged).clip(max=10))


def profile_similarity(adata):
    """Names, Spearman correlation of the log fold changes of pseudobulks, and each name's modules."""
    label = adata.obs["perturbation"].to_numpy(dtype=str)
    summed = {name: np.asarray(adata.X[label == name].sum(axis=0)).ravel() for name in np.unique(label)}
    control = summed.pop(NON_TARGETING)
    kept = control > 10
    profiles = [
        np.log2((s + 0.5) / s.sum()) - np.log2((control + 0.5) / control.sum()) for s in summed.values()
    ]
    modules = [set(adata.obs["true_module"][label == name].iloc[0].split("+")) for name in summed]
    return spearmanr(np.array(profiles)[:, kept], axis=1).statistic, modules


def module_auc(adata):
    """Chance that a pair with a common module is more similar than a pair without one."""
    similarity, modules = profile_similarity(adata)
    pairs = list(itertools.combinations(range(len(modules)), 2))
    return roc_auc_score(
        [bool(modules[i] & modules[j]) for i, j in pairs], [similarity[pair] for pair in pairs]
    )


def test_pca_pseudotime_recovers_the_true_pseudotime(differentiation):
    cells = quality_controlled(differentiation)
    stem = np.flatnonzero((cells.obs["cell_type"] == "stem") & (cells.obs["time"] == TIMES[0]))
    pseudotime = diffusion_pseudotime(diffusion_map(neighbour_graph(hvg_pca(cells))), stem[:20])
    truth = cells.obs["true_pseudotime"]
    assert np.median([spearmanr(row, truth).statistic for row in pseudotime]) > 0.9


def test_profiles_separate_modules_in_the_strongest_state_and_clearly_less_at_rest(perturbation):
    cells = quality_controlled(perturbation)
    auc = {state: module_auc(cells[cells.obs["activation"] == state]) for state in STATES}
    assert auc["Stim48hr"] > 0.9
    assert auc["Rest"] < auc["Stim48hr"] - 0.15


def test_quality_control_removes_damaged_cells_and_empty_droplets_and_little_else(
    differentiation, perturbation
):
    for adata in (differentiation, perturbation):
        kept = adata.obs_names.isin(quality_controlled(adata).obs_names)
        quality = adata.obs["true_quality"]
        assert kept[quality == "empty"].mean() < 0.05
        assert kept[quality == "damaged"].mean() < 0.1
        assert kept[quality == "cell"].mean() > 0.98
        assert 0.02 < (~kept).mean() < 0.1


def test_a_cell_expresses_about_180_genes_and_library_sizes_have_a_heavy_tail(differentiation):
    cells = differentiation[differentiation.obs["true_quality"] == "cell"]
    assert 160 < np.median(np.diff(cells.X.indptr)) < 210
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    assert np.percentile(totals, 99) / np.median(totals) > 2.3
    assert spearmanr(np.log(totals), np.diff(cells.X.indptr)).statistic > 0.6


def test_counts_are_whole_and_more_dispersed_than_poisson(perturbation):
    counts = perturbation.X
    assert counts.dtype == np.float32
    assert (counts.data == np.round(counts.data)).all() and counts.data.min() >= 1
    obs = perturbation.obs
    is_resting = obs["is_control"] & (obs["activation"] == "Rest") & (obs["true_quality"] == "cell")
    control = perturbation[is_resting.to_numpy()].X.toarray()
    busy = control.mean(axis=0) > 2
    assert np.median(control[:, busy].var(axis=0) / control[:, busy].mean(axis=0)) > 1.3


def test_sisters_are_sampled_at_different_times_and_share_their_fate(differentiation):
    obs = differentiation.obs[differentiation.obs["clone"] != ""]
    assert len(obs) / differentiation.n_obs == pytest.approx(0.6, abs=0.01)
    assert (obs.groupby("clone", observed=True)["time"].nunique() > 1).mean() > 0.7

    def share_of_the_commonest(fates):
        by_clone = fates.groupby(obs["clone"], observed=True)
        return by_clone.agg(lambda fate: fate.value_counts(normalize=True).iloc[0]).mean()

    shuffled = obs["true_fate"].sample(frac=1, random_state=0).set_axis(obs.index)
    assert share_of_the_commonest(obs["true_fate"]) > share_of_the_commonest(shuffled) + 0.1


def test_times_are_ordered_and_later_cells_are_further_on(differentiation):
    time = differentiation.obs["time"]
    assert list(time.cat.categories) == list(TIMES) and time.cat.ordered
    pseudotime = differentiation.obs.groupby("time", observed=True)["true_pseudotime"]
    assert pseudotime.median().is_monotonic_increasing
    assert set(differentiation.obs["true_fate"]) == set(FATES)


def test_fates_b_and_c_share_a_way_that_fate_a_leaves_earlier():
    activity = {f: differentiation_activity(np.array([0.1, 0.58, 0.95]), np.array([f] * 3)) for f in FATES}
    distance = {a + b: np.linalg.norm(activity[a] - activity[b], axis=1) for a, b in ("AB", "AC", "BC")}
    assert max(d[0] for d in distance.values()) < 0.01
    assert distance["BC"][1] < 0.6 * distance["AB"][1]
    assert min(d[2] for d in distance.values()) > 1


def test_each_perturbation_has_two_guides_and_several_lanes_and_controls_have_guides_too(perturbation):
    obs = perturbation.obs
    targets = obs[~obs["is_control"]]
    assert targets["perturbation"].nunique() == 24
    assert set(targets.groupby("perturbation", observed=True)["guide"].nunique()) == {2}
    assert obs.loc[obs["is_control"], "guide"].nunique() == 4
    assert set(obs.loc[obs["is_control"], "perturbation"]) == {NON_TARGETING}
    assert obs["is_control"].mean() == pytest.approx(0.12, abs=0.02)
    assert obs["lane"].nunique() == 4
    assert set(obs.groupby("lane", observed=True)["batch"].nunique()) == {1}
    efficacy = targets.groupby("guide", observed=True)["true_efficacy"].mean()
    assert efficacy.filter(like="_g1").mean() > efficacy.filter(like="_g2").mean() + 0.1


def test_modules_overlap_and_are_programs_of_the_shared_biology(perturbation):
    modules = perturbation.obs.groupby("perturbation", observed=True)["true_module"].first()
    modules = modules.drop(NON_TARGETING).str.split("+")
    assert (modules.str.len() > 1).any()
    assert set(modules.explode()) <= {p.name for p in PROGRAMS if p.pathway}
    assert all(p.fates for p in PROGRAMS if p.pathway), "differentiating cells use every pathway as well"


def test_a_knock_down_lowers_its_own_transcript(perturbation):
    late = perturbation[perturbation.obs["activation"] == "Stim48hr"]
    shares = late.X.multiply(1 / late.X.sum(axis=1)).tocsr()
    control = late.obs["is_control"].to_numpy()
    lower = []
    for name in set(late.obs["perturbation"]) - {NON_TARGETING}:
        transcript = shares[:, late.var_names.get_loc(name)]
        hit = (late.obs["perturbation"] == name).to_numpy()
        lower.append(transcript[hit].mean() < transcript[control].mean())
    assert np.mean(lower) > 0.9


def test_all_draws_share_genes_and_the_atlas_goes_through_both_processes(differentiation, perturbation):
    atlas = simulate("atlas", {"cells": 400}, seed=1)
    for other in (differentiation, perturbation):
        assert atlas.var.equals(other.var)
    assert set(atlas.obs["true_process"]) == {"differentiation", "activation"}
    assert {"time", "perturbation", "cell_type"}.isdisjoint(atlas.obs)
    assert atlas.var["ensembl_id"].str.fullmatch(r"ENSG99\d{9}").all()
    assert atlas.var["symbol"].str.fullmatch(r"SIM\d{4}|MT-SIM\d{2}").all()


def test_the_same_seed_writes_the_same_bytes_and_another_seed_other_cells(tmp_path):
    small = '{"cells_per_state": 60}'
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        output = str(tmp_path / f"{name}.h5ad")
        arguments = ["--draw", "perturbation", "--settings", small, "--seed", str(seed), "--output", output]
        simulate_cells.main(arguments)
    digest = {n: hashlib.sha256((tmp_path / f"{n}.h5ad").read_bytes()).hexdigest() for n in "abc"}
    assert digest["a"] == digest["b"] != digest["c"]


@pytest.mark.parametrize(
    ("draw", "given", "message"),
    [
        ("blood", {}, "unknown draw 'blood'"),
        ("differentiation", {"lanes": 2}, "unknown key 'lanes'"),
        ("differentiation", {"clonal_share": 2}, "clonal_share: found 2"),
        ("perturbation", {"genes": 300, "perturbations": 120, "cells_per_state": 50}, "do not fit"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(draw, given, message):
    with pytest.raises(ConfigError, match=message):
        simulate(draw, given, seed=1)
