"""Tahoe-X1 gives what its owners' code gives, and does not fail where that does."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_examples import (
    GOLDEN,
    TAHOE_3B,
    TAHOE_A,
    TOLERANCE,
    arrays,
    assert_poolings,
    assert_stages,
    block_of,
    golden_tahoe_counts,
    load_tahoe_x1,
    official,
    over_vocabulary,
    tokens_of,
    tokens_of_cell,
)

from layerscope.errors import ConfigError, DataError, ModelError
from layerscope.models.base import Sentences
from layerscope.models.tahoe_x1 import as_counts, binned, quantiles

UNLIMITED = 100_000


def golden(name: str) -> dict[str, np.ndarray]:
    return arrays(GOLDEN / "tahoe_x1" / f"{name}.npz")


def given_tokens(expected: dict[str, np.ndarray]) -> Sentences:
    drugs = {"drug": expected["drug_ids"]} if "drug_ids" in expected else {}
    return tokens_of(expected["token_ids"], expected["values"], expected["cu_seqlens"], **drugs)


def as_sets(ids: np.ndarray, values: np.ndarray, offsets: np.ndarray) -> list[set[tuple[int, float]]]:
    """Tokens per cell, whose order does not matter."""
    return [set(zip(ids[a:b].tolist(), values[a:b].tolist(), strict=True)) for a, b in pairwise(offsets)]


@pytest.mark.parametrize(
    ("set_name", "case", "folder", "chosen"),
    [
        ("A", "full", TAHOE_A, {}),
        ("C_3b_chem", "chem_off_keep1", TAHOE_3B, {}),
        ("C_3b_chem", "chem_off_official_keep2", TAHOE_3B, {"keep_first_n_tokens": 2}),
        ("C_3b_chem", "chem_on_pad_drug", TAHOE_3B, {"chemistry": "on"}),
    ],
)
def test_tokens_are_those_of_the_owners_code(set_name, case, folder, chosen):
    model = load_tahoe_x1(folder, max_length=UNLIMITED, **chosen)
    matrix, genes = golden_tahoe_counts(set_name)
    if case.endswith("keep2"):
        matrix = np.delete(matrix, 3, axis=0)  # of one gene: the owners' code fails
    obs = {"drug": np.array(["<pad>"] * len(matrix))}
    sentences = model.tokenise(over_vocabulary(matrix, genes, model.vocabulary, obs=obs))
    expected = golden(f"{set_name}/{case}")
    sets = as_sets(sentences.tokens["ids"], sentences.tokens["values"], sentences.offsets)
    wanted = as_sets(expected["token_ids"], expected["values"], expected["cu_seqlens"])
    for cell, (ours, theirs) in enumerate(zip(sets[: len(wanted)], wanted, strict=True)):
        lost = 1 if case == "chem_on_pad_drug" and cell == 2 else 0  # their longest cell loses a random gene
        assert len(ours) == len(theirs) + lost
        assert theirs <= ours
    assert "no gene" in sentences.refused[-1]


CASES = {
    "A": ("full", "sampled"),
    "C_3b_chem": (
        "chem_on_pad_drug",
        "chem_on_some_drugs",
        "chem_off_official_keep2",
        "chem_off_keep1",
    ),
}


@pytest.mark.parametrize(("folder", "case"), [(folder, case) for folder in CASES for case in CASES[folder]])
def test_stages_poolings_and_the_official_embedding_are_those_of_the_owners_code(folder, case):
    expected = golden(f"{folder}/{case}")
    model = load_tahoe_x1(TAHOE_A if folder == "A" else TAHOE_3B)
    sentences = given_tokens(expected)
    assert ("hidden" in expected) is (case not in ("chem_on_some_drugs", "chem_off_official_keep2"))
    if "hidden" in expected:
        assert_stages(model, sentences, expected["hidden"], model.module.final)
    names = {"cls": "cls", "mean": "mean_incl_cls", "mean_genes": "mean_excl_cls"}
    by_layer = {pooling: expected[f"pool_{name}"].swapaxes(0, 1) for pooling, name in names.items()}
    assert_poolings(model, sentences, {name: rows[: model.n_layers + 1] for name, rows in by_layer.items()})
    np.testing.assert_allclose(official(model, sentences), expected["cell_emb_official"], **TOLERANCE)


def test_the_cell_token_alone_is_defined():
    sentences = tokens_of(np.array([1]), np.array([-2.0], dtype=np.float32), np.array([0, 1]))
    model = load_tahoe_x1()
    assert_stages(model, sentences, golden("A/cls_only")["hidden"], model.module.final)


def test_the_trainers_checkpoint_loads_without_unsafe_pickles_and_gives_the_same_weights(tmp_path):
    folder = shutil.copytree(TAHOE_A, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    one, other = load_tahoe_x1().module.state_dict(), load_tahoe_x1(folder).module.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


TRANSFORMS = (np.log1p, lambda v: v / v.sum() * 1e6, np.sqrt, lambda v: np.log1p(v / v.sum() * 1e4))


def bins_of(values: np.ndarray) -> np.ndarray:
    return binned(as_counts(values.astype(np.float32)), 50)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=300))
def test_every_monotone_transform_of_a_cell_has_the_same_bins(values):
    values = np.array([*values, values[0]], dtype=np.float64) + 0.25  # a tie, and no whole numbers
    expected = bins_of(values)
    assert expected.min() >= 1 and expected.max() <= 50
    for transform in TRANSFORMS:
        np.testing.assert_array_equal(bins_of(transform(values)), expected)


def test_a_transform_of_counts_has_the_bins_of_the_counts():
    draw = np.random.default_rng(0)
    for _ in range(200):
        values = 1.0 + draw.poisson(draw.gamma(0.5, 6, int(draw.integers(60, 2000))))
        for transform in (np.array, *TRANSFORMS):
            np.testing.assert_array_equal(bins_of(transform(values)), binned(values.astype(np.float32), 50))


@pytest.mark.parametrize("n_edges", [1, 2, 3, 50])
def test_bins_are_those_of_torch_quantile(n_edges):
    draw = np.random.default_rng(0)
    for _ in range(100):
        values = draw.lognormal(0, 2, int(draw.integers(1, 400))).astype(np.float32)
        edges = torch.quantile(torch.from_numpy(values), torch.from_numpy(quantiles(n_edges)))
        expected = torch.bucketize(torch.from_numpy(values), edges).numpy() + 1
        np.testing.assert_array_equal(binned(values, n_edges), expected)


def test_a_long_cell_keeps_a_subset_of_its_genes_with_the_bins_of_the_whole_cell():
    dense = np.zeros((2, 150))
    dense[:, :30] = np.arange(1, 31)
    short, whole = (load_tahoe_x1(max_length=n).tokenise(block_of(dense)) for n in (11, UNLIMITED))
    assert short.lengths.tolist() == [11, 11] and short.shortened.all()
    first, second = (tokens_of_cell(short, cell) for cell in range(2))
    assert not np.array_equal(first, second)
    bins = dict(zip(tokens_of_cell(whole, 0), tokens_of_cell(whole, 0, "values"), strict=True))
    assert [bins[token] for token in first] == tokens_of_cell(short, 0, "values").tolist()


def test_a_list_of_drugs_of_another_checkpoint_is_refused(tmp_path):
    folder = shutil.copytree(TAHOE_3B, tmp_path / "model")
    drugs = json.loads((folder / "drug_to_id_pad.json").read_text())
    (folder / "more.json").write_text(json.dumps({**drugs, "DrugY": len(drugs)}))
    with pytest.raises(ModelError, match=r"more\.json: 'DrugY'"):
        load_tahoe_x1(folder, chemistry="on", drug_list="more.json")


def test_chemistry_needs_a_checkpoint_that_has_it_and_drugs_that_it_knows_by_name():
    with pytest.raises(ConfigError, match="encoder of drugs"):
        load_tahoe_x1(TAHOE_A, chemistry="on")
    model = load_tahoe_x1(TAHOE_3B, chemistry="on")
    assert model.obs_columns == ("drug",)
    drugs = np.array(["", "Talc", "DrugX"])
    sentences = model.tokenise(block_of(np.ones((3, 58)), obs={"drug": drugs}))
    np.testing.assert_array_equal(sentences.cells["drug"], [0, 3, 4])
    with pytest.raises(DataError, match="no drug 'Aspirin'"):
        model.tokenise(block_of(np.ones((1, 58)), obs={"drug": np.array(["Aspirin"])}))
