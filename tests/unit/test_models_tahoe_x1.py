"""Tahoe-X1 gives what its owners' code gives, and does not fail where that does."""

import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from model_examples import (
    GOLDEN,
    TAHOE_3B,
    TAHOE_A,
    TOLERANCE,
    block_of,
    golden_tahoe_counts,
    load_tahoe_x1,
    over_vocabulary,
    tokens_of,
    write_tahoe_x1,
)

from layerscope.errors import ConfigError, DataError, ModelError
from layerscope.models.base import Sentences, pack
from layerscope.models.tahoe_x1 import TahoeX1, as_counts, binned, quantiles

UNLIMITED = 100_000


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "tahoe_x1" / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored.files}


def given_tokens(expected: dict[str, np.ndarray]) -> Sentences:
    drugs = {"drug": expected["drug_ids"]} if "drug_ids" in expected else {}
    return tokens_of(expected["token_ids"], expected["values"], expected["cu_seqlens"], **drugs)


def forward(model: TahoeX1, sentences: Sentences) -> list[np.ndarray]:
    """Hidden states of the tokens at every stage, the final norm last."""
    with torch.inference_mode():
        hidden = [h.clone() for _, h in model.layers(pack(sentences))]
        hidden.append(model.module.final(hidden[-1]))
    return [h[: sentences.offsets[-1]].numpy() for h in hidden]


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
    block = over_vocabulary(matrix, genes, model.vocabulary.genes)
    block = block_of_drugs(block) if chosen.get("chemistry") else block
    sentences, expected = model.tokenise(block), golden(f"{set_name}/{case}")
    found = as_sets(sentences.tokens["ids"], sentences.tokens["values"], sentences.offsets)
    wanted = as_sets(expected["token_ids"], expected["values"], expected["cu_seqlens"])
    for cell, (ours, theirs) in enumerate(zip(found[: len(wanted)], wanted, strict=True)):
        lost = 1 if case == "chem_on_pad_drug" and cell == 2 else 0  # their longest cell loses a random gene
        assert len(ours) == len(theirs) + lost
        assert theirs <= ours
    assert sentences.refused[-1] == "expresses no gene of the vocabulary"


def block_of_drugs(block):
    """The block with a drug per cell: none."""
    return type(block)(**{**vars(block), "obs": {"drug": np.array(["<pad>"] * len(block.cell_ids))}})


@pytest.mark.parametrize(
    ("folder", "case"),
    [
        (TAHOE_A, "A/full"),
        (TAHOE_A, "A/sampled"),
        (TAHOE_3B, "C_3b_chem/chem_on_pad_drug"),
        (TAHOE_3B, "C_3b_chem/chem_off_keep1"),
    ],
)
def test_every_stage_of_every_cell_is_that_of_the_owners_code(folder, case):
    expected = golden(case)
    stages = forward(load_tahoe_x1(folder), given_tokens(expected))
    assert len(stages) == len(expected["hidden"])
    for found, hidden in zip(stages, expected["hidden"], strict=True):
        np.testing.assert_allclose(found, hidden, **TOLERANCE)


def test_the_cell_token_alone_is_defined():
    sentences = tokens_of(np.array([1]), np.array([-2.0], dtype=np.float32), np.array([0, 1]))
    for found, hidden in zip(
        forward(load_tahoe_x1(), sentences), golden("A/cls_only")["hidden"], strict=True
    ):
        np.testing.assert_allclose(found, hidden, **TOLERANCE)


@pytest.mark.parametrize(
    ("folder", "case"),
    [
        (TAHOE_A, "A/full"),
        (TAHOE_A, "A/sampled"),
        (TAHOE_3B, "C_3b_chem/chem_on_pad_drug"),
        (TAHOE_3B, "C_3b_chem/chem_on_some_drugs"),
        (TAHOE_3B, "C_3b_chem/chem_off_official_keep2"),
        (TAHOE_3B, "C_3b_chem/chem_off_keep1"),
    ],
)
def test_poolings_and_the_official_embedding_are_those_of_the_owners_code(folder, case):
    expected, model = golden(case), load_tahoe_x1(folder)
    with torch.inference_mode():
        batch = pack(given_tokens(expected))
        for layer, hidden in model.layers(batch):
            for pooling, name in (("cls", "cls"), ("mean", "mean_incl_cls"), ("mean_genes", "mean_excl_cls")):
                found = model.pool(hidden, batch, pooling).numpy()
                np.testing.assert_allclose(found, expected[f"pool_{name}"][:, layer], **TOLERANCE)
        np.testing.assert_allclose(
            model.official(hidden, batch).numpy(), expected["cell_emb_official"], **TOLERANCE
        )


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
    values = np.array([*values, values[0]], dtype=np.float64) + 0.25
    expected = bins_of(values)
    assert expected.min() >= 1 and expected.max() <= 50
    for transform in TRANSFORMS:
        np.testing.assert_array_equal(bins_of(transform(values)), expected)


def test_a_transform_of_counts_has_the_bins_of_the_counts():
    draw = np.random.default_rng(0)
    for _ in range(500):
        values = 1.0 + draw.poisson(draw.gamma(0.5, 6, int(draw.integers(60, 2000))))
        np.testing.assert_array_equal(bins_of(values), binned(values.astype(np.float32), 50))
        for transform in TRANSFORMS:
            np.testing.assert_array_equal(bins_of(transform(values)), bins_of(values))


def test_bins_are_those_of_torch_quantile():
    draw = np.random.default_rng(0)
    for _ in range(300):
        size = int(draw.integers(1, 400))
        values = draw.lognormal(0, 2, size).astype(np.float32)
        edges = torch.quantile(torch.from_numpy(values), torch.from_numpy(quantiles(50)))
        expected = torch.bucketize(torch.from_numpy(values), edges).numpy() + 1
        np.testing.assert_array_equal(binned(values, 50), expected)


def test_a_long_cell_keeps_a_subset_that_belongs_to_its_id_and_the_seed():
    dense = np.arange(1, 31)[None, :] * np.ones((3, 1))
    model = load_tahoe_x1(max_length=11)
    vocabulary = np.zeros((3, 150))
    vocabulary[:, :30] = dense
    sentences = model.tokenise(block_of(vocabulary, ["a", "b", "c"]))
    again = model.tokenise(block_of(vocabulary[1:], ["b", "c"]))
    assert sentences.lengths.tolist() == [11, 11, 11]
    assert sentences.shortened.tolist() == [True] * 3
    first, second, third = (sentences.tokens["ids"][i * 11 : (i + 1) * 11] for i in range(3))
    np.testing.assert_array_equal(again.tokens["ids"], np.concatenate([second, third]))
    assert not np.array_equal(first, second)
    other_seed = load_tahoe_x1(seed=1, max_length=11).tokenise(block_of(vocabulary[:1], ["a"]))
    assert not np.array_equal(other_seed.tokens["ids"], first)
    whole = load_tahoe_x1(max_length=UNLIMITED).tokenise(block_of(vocabulary[:1], ["a"]))
    value = dict(zip(whole.tokens["ids"].tolist(), whole.tokens["values"].tolist(), strict=True))
    assert [value[i] for i in first.tolist()] == sentences.tokens["values"][:11].tolist()


def change_config(folder, name, **values):
    path = folder / name
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("model_config.yml", {"n_layers": 4}, "says n_layers = 4, the tensors 3"),
        ("model_config.yml", {"norm_scheme": "post"}, "norm_scheme is 'post'"),
        ("model_config.yml", {"use_glu": True}, "use_glu is True"),
        ("model_config.yml", {"transformer_activation": "swish"}, "'swish' is not one of"),
        ("model_config.yml", {"n_heads": 5, "attn_config": {"kv_nheads": 5}}, "5 heads do not divide"),
        ("collator_config.yml", {"right_binning": True}, "other bins"),
    ],
)
def test_another_architecture_or_tokeniser_is_refused(tmp_path, name, values, message):
    folder = shutil.copytree(TAHOE_A, tmp_path / "model")
    change_config(folder, name, **values)
    with pytest.raises(ModelError, match=message):
        load_tahoe_x1(folder)


def test_chemistry_needs_a_checkpoint_that_has_it_and_drugs_that_it_knows():
    with pytest.raises(ConfigError, match="no encoder of drugs"):
        load_tahoe_x1(TAHOE_A, chemistry="on")
    model = load_tahoe_x1(TAHOE_3B, chemistry="on")
    assert model.obs_columns == ("drug",)
    with pytest.raises(DataError, match="no drug 'Aspirin'"):
        model.tokenise(block_of(np.ones((1, 58)), obs={"drug": np.array(["Aspirin"])}))


def test_drugs_change_the_cell_and_are_looked_up_by_name():
    model = load_tahoe_x1(TAHOE_3B, chemistry="on")
    n_genes = len(model.vocabulary.genes)
    drugs = np.array(["", "Talc", "DrugX"])
    sentences = model.tokenise(block_of(np.ones((3, n_genes)), ["a"] * 3, obs={"drug": drugs}))
    np.testing.assert_array_equal(sentences.cells["drug"], [0, 3, 4])


def test_other_sizes_load_as_well(tmp_path):
    model = load_tahoe_x1(write_tahoe_x1(tmp_path, n_genes=5, hidden=8, max_length=4))
    assert (model.module.config.vocabulary_size, model.hidden_size, model.max_length) == (8, 8, 4)
    assert model.vocabulary.identifiers == "ensembl"
