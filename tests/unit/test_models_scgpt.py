"""scGPT gives what its owners' code gives, and does not fail where that does."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_examples import (
    SCGPT,
    TOLERANCE,
    arrays,
    assert_poolings,
    assert_stages,
    block_of,
    load_scgpt,
    official,
    over_vocabulary,
    restate,
    states,
    tokens_of,
    tokens_of_cell,
    write_scgpt,
)

from layerscope.errors import ConfigError
from layerscope.models.base import Sentences
from layerscope.models.scgpt import ScGpt, possible_bins

LONG = (5, 7)


@pytest.fixture(scope="module")
def golden():
    return arrays(SCGPT / "golden.npz")


def given_tokens(golden, prefix="token") -> Sentences:
    kept = ~golden["pad_mask" if prefix == "token" else f"{prefix}_pad_mask"]
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return tokens_of(golden[f"{prefix}_ids"][kept], golden[f"{prefix}_values"][kept], offsets)


def tokenised(golden, **chosen) -> tuple[ScGpt, Sentences]:
    model = load_scgpt(**chosen)
    return model, model.tokenise(over_vocabulary(golden["counts"], golden["genes"], model.vocabulary))


def cell(sentences: Sentences, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and values of a cell's tokens."""
    return tokens_of_cell(sentences, i), tokens_of_cell(sentences, i, "values")


def test_tokens_are_those_of_the_owners_code(golden):
    _, sentences = tokenised(golden)
    np.testing.assert_array_equal(sentences.lengths, golden["n_tokens"])
    assert np.flatnonzero(sentences.shortened).tolist() == list(LONG)
    for i in range(len(golden["counts"])):
        ids, values = cell(sentences, i)
        theirs = golden["token_ids"][i][~golden["pad_mask"][i]]
        assert (ids[0], values[0]) == (theirs[0], -2.0)
        expressed = golden["gene_token"][(golden["counts"][i] > 0) & (golden["gene_token"] >= 0)]
        assert len(set(ids)) == len(ids) and set(ids[1:]) <= set(expressed)
        if i not in LONG:
            assert set(ids) == set(theirs)


@pytest.mark.parametrize("binning", ["random", "highest"])
def test_values_are_bins_that_the_owners_code_may_draw(golden, binning):
    _, sentences = tokenised(golden, binning=binning)
    column = {token: i for i, token in enumerate(golden["gene_token"]) if token >= 0}
    drawn = 0
    for i in range(len(golden["counts"])):
        ids, values = cell(sentences, i)
        columns = [column[token] for token in ids[1:]]
        lowest, highest = golden["bin_lo"][i, columns], golden["bin_hi"][i, columns]
        assert (values[1:] >= lowest).all() and (values[1:] <= highest).all()
        assert binning == "random" or (values[1:] == highest).all()
        drawn += int((values[1:] < highest).sum())
    assert (drawn > 0) == (binning == "random")


def test_the_owners_stream_of_random_numbers_gives_the_owners_bins(golden):
    stream = np.random.RandomState(13)
    place = {token: i for i, token in enumerate(golden["gene_token"]) if token >= 0}
    for i, row in enumerate(golden["counts"]):
        columns = np.flatnonzero((row > 0) & (golden["gene_token"] >= 0))
        lowest, highest = possible_bins(row[columns], 50)
        drawn = np.ceil(highest - stream.random_sample(len(columns)) * (highest - lowest))
        bins = dict(zip(columns.tolist(), drawn, strict=True))
        kept = ~golden["pad_mask"][i]
        tokens, values = golden["token_ids"][i][kept][1:], golden["token_values"][i][kept][1:]
        assert [bins[place[token]] for token in tokens] == values.tolist()


@pytest.mark.parametrize(("tokens", "stages"), [("token", "hidden"), ("probe", "probe_hidden")])
def test_every_stage_of_every_cell_is_that_of_the_owners_code(golden, tokens, stages):
    is_token = ~golden["pad_mask" if tokens == "token" else "probe_pad_mask"]
    assert_stages(load_scgpt(), given_tokens(golden, tokens), golden[stages][:, is_token])


def test_poolings_and_the_official_embedding_are_those_of_the_owners_code(golden):
    model, sentences = load_scgpt(), given_tokens(golden)
    names = {"cls": "cls", "mean": "mean_tokens", "mean_genes": "mean_genes"}
    assert_poolings(model, sentences, {pooling: golden[name] for pooling, name in names.items()})
    np.testing.assert_allclose(official(model, sentences), golden["official"], **TOLERANCE)


def test_one_gene_is_enough_and_so_is_less_than_a_count():
    model = load_scgpt()
    dense = np.zeros((2, 60))
    dense[0, 3], dense[1, 5:7] = 1, (0.25, 0.75)
    sentences = model.tokenise(block_of(dense))
    assert sentences.refused == ["", ""] and sentences.lengths.tolist() == [2, 3]
    assert all(stage.isfinite().all() for stage in states(model, sentences)[0])


def test_bins_are_made_of_the_whole_cell_before_it_loses_genes():
    dense = np.arange(1.0, 61)[None]
    whole = load_scgpt(binning="highest", max_length=61).tokenise(block_of(dense, ["a"]))
    short = load_scgpt(binning="highest", max_length=31).tokenise(block_of(dense, ["a"]))
    value = dict(zip(*cell(whole, 0), strict=True))
    assert short.lengths.tolist() == [31]
    assert all(value[token] == bin_ for token, bin_ in zip(*cell(short, 0), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=300))
def test_bins_count_the_quantiles_not_above_a_value(values):
    values = np.array(values, dtype=np.float32)
    edges = np.quantile(values, np.linspace(0, 1, 50))
    lowest, highest = possible_bins(values, 50)
    np.testing.assert_array_equal(highest, (edges[:, None] <= values).sum(axis=0))
    np.testing.assert_array_equal(lowest, (edges[:, None] < values).sum(axis=0))
    assert highest.min() >= 1 and highest.max() == 50


def test_counts_and_their_logarithms_have_the_same_bins_but_for_rounding_on_an_edge():
    draw = np.random.default_rng(0)
    apart, n_values = 0, 0
    for size in range(2, 400):
        values = 1.0 + draw.poisson(draw.gamma(0.5, 6, size))
        logged = np.log1p(values / values.sum() * 1e4)
        one, other = (possible_bins(kind.astype(np.float32), 50) for kind in (values, logged))
        apart += int(((one[0] != other[0]) | (one[1] != other[1])).sum())
        n_values += size
        assert max(np.abs(one[0] - other[0]).max(), np.abs(one[1] - other[1]).max()) <= 1
    assert apart < 1e-3 * n_values


def copied(tmp_path, **arguments):
    """The golden folder with other training arguments (None takes one away)."""
    return restate(shutil.copytree(SCGPT, tmp_path / "model") / "args.json", **arguments)


def changed_tensors(folder, change):
    tensors = torch.load(folder / "best_model.pt", weights_only=True)
    torch.save(change(tensors), folder / "best_model.pt")
    return folder


SPELLINGS = {
    "flash": ("self_attn.", "self_attn._impl."),
    "torch": ("self_attn.Wqkv.", "self_attn.in_proj_"),
}


@pytest.mark.parametrize("library", SPELLINGS)
def test_attention_is_found_under_the_names_of_any_library(tmp_path, library):
    folder = changed_tensors(
        copied(tmp_path),
        lambda tensors: {name.replace(*SPELLINGS[library]): part for name, part in tensors.items()},
    )
    one, other = load_scgpt().module.state_dict(), load_scgpt(folder).module.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_heads_are_ignored(tmp_path):
    head = {"batch_encoder.embedding.weight": torch.ones(3, 32)}
    assert load_scgpt(changed_tensors(copied(tmp_path), lambda t: {**t, **head})).n_layers == 3


def test_special_tokens_that_the_vocabulary_lacks_are_appended_as_the_owners_do(tmp_path):
    without = dict.fromkeys(["<pad>", "<cls>", "<eoc>"])
    model = load_scgpt(restate(copied(tmp_path) / "vocab.json", **without))
    assert model.opening == (61,)
    assert model.vocabulary.genes == load_scgpt().vocabulary.genes


def test_other_sizes_orders_and_constants_load_as_well(tmp_path):
    folder = write_scgpt(tmp_path, n_genes=5, hidden=8, max_length=4)
    with pytest.raises(ConfigError, match="max_length=1"):
        load_scgpt(folder, max_length=1)
    model = load_scgpt(folder)
    assert (model.hidden_size, model.max_length, model.n_edges, model.opening) == (8, 4, 10, (2,))
    assert model.vocabulary.genes == ("G0", "G1", "G2", "G3", "G4")
    sentences = model.tokenise(block_of(np.ones((1, 5))))
    ids, values = cell(sentences, 0)
    assert len(ids) == 4 and set(ids[1:]) <= {1, 4, 5, 6, 7} and values[0] == -3


def test_the_untrained_control_draws_as_the_owners_do():
    model = load_scgpt()
    model.initialise(0)
    assert float(model.module.encoder.embedding.weight.detach().abs().max()) <= 0.1
    attention = model.module.stack[0].self_attn
    assert 0 < float(attention.in_proj_bias.detach().abs().max()) <= 32**-0.5
    assert float(attention.in_proj_weight.detach().abs().max()) <= 32**-0.5
