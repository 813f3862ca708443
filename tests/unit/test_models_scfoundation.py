"""scFoundation gives what its owners' code gives, and does not fail where that does."""

import numpy as np
import pytest
from model_examples import (
    SCFOUNDATION,
    TOLERANCE,
    arrays,
    assert_poolings,
    assert_stages,
    block_of,
    load_scfoundation,
    official,
    states,
)

from layerscope.errors import ConfigError
from layerscope.models.base import pack


@pytest.fixture(scope="module")
def expected():
    return arrays(SCFOUNDATION / "expected.npz")


@pytest.fixture(scope="module")
def aligned():
    return arrays(SCFOUNDATION / "input_counts.npz")["counts_aligned"]


def test_tokens_are_those_of_the_owners_code(expected, aligned):
    sentences = load_scfoundation().tokenise(block_of(aligned))
    kept = ~expected["padding_mask"]
    np.testing.assert_array_equal(sentences.lengths, expected["lengths"])
    np.testing.assert_array_equal(sentences.tokens["ids"], expected["position_ids"][kept])
    np.testing.assert_array_equal(sentences.tokens["values"], expected["token_values"][kept])


def test_every_stage_of_every_cell_is_that_of_the_owners_code(expected, aligned):
    model = load_scfoundation()
    stages = expected["hidden"][:, ~expected["padding_mask"]]
    assert_stages(model, model.tokenise(block_of(aligned)), stages, model.module.final)


def test_poolings_are_those_of_the_owners_code_and_nan_where_they_do_not_exist(expected, aligned):
    model = load_scfoundation()
    names = {
        "total_count_token": "token_S",
        "resolution_token": "token_T",
        "mean": "pooled_mean_incl_TS",
        "mean_genes": "pooled_mean_genes",
        "max": "pooled_max_incl_TS",
        "max_genes": "pooled_max_genes",
    }
    of_layers = {pooling: expected[name][: model.n_layers + 1] for pooling, name in names.items()}
    assert_poolings(model, model.tokenise(block_of(aligned)), of_layers)


@pytest.mark.parametrize(
    ("run", "chosen"),
    [
        ("all_F_t4", {}),
        ("max_F_t4", {"official": "max"}),
        ("all_F_f1", {"tgthighres": "f1"}),
        ("all_F_f2p5", {"tgthighres": "f2.5"}),
        ("all_F_a5_rde", {"tgthighres": "a5", "submodel": "rde"}),
        ("all_T_t4", {"pre_normalized": "T"}),
        ("all_A_t4", {"pre_normalized": "A", "total_column": "total"}),
    ],
)
def test_each_input_flag_and_resolution_gives_the_owners_embedding(expected, aligned, run, chosen):
    total = expected["totals_aligned"]
    flag = chosen.get("pre_normalized", "F")
    fine = expected["official_ok"]
    values = aligned if flag == "F" else np.log1p(aligned / np.maximum(total, 1)[:, None] * 1e4)
    model = load_scfoundation(**chosen)
    block = block_of(values[fine], obs={"total": total[fine]}, log_normalised=flag != "F")
    ours = official(model, model.tokenise(block))
    np.testing.assert_allclose(ours, expected[f"official_{run}"][fine], **TOLERANCE)


def test_the_papers_released_code_is_reproduced_by_one_setting(expected, aligned):
    total = expected["totals_aligned"]
    normalised = np.log1p(aligned / np.maximum(total, 1)[:, None] * 1e4)
    model = load_scfoundation(pre_normalized="T", total_offset=1)
    fine = total > 0
    sentences = model.tokenise(block_of(normalised[fine], log_normalised=True))
    assert list(sentences.refused) == [""] * fine.sum()
    hidden, batch = states(model, sentences)
    for state, theirs in zip(hidden[1:], expected["wrapper_bs1_last_token"], strict=True):
        ours = model.pool(state, batch, "total_count_token").numpy()
        np.testing.assert_allclose(ours, theirs[fine], **TOLERANCE)


def test_cells_on_which_the_owners_code_fails_are_refused_by_name(aligned):
    refused = load_scfoundation().tokenise(block_of(aligned)).refused
    assert list(refused[:10]) == [""] * 10
    assert "total count" in refused[10] and "no gene" in refused[11]
    without_resolution = load_scfoundation(tgthighres="f0.1").tokenise(block_of(np.eye(60)[:1] * 7))
    assert "resolution" in without_resolution.refused[0]


def test_masked_values_train_the_mask_embedding(aligned):
    model = load_scfoundation()
    sentences = model.tokenise(block_of(aligned[:4]))
    sentences.tokens["masked"] = np.arange(sentences.offsets[-1]) % 3 == 0
    model.module(pack(sentences)).square().sum().backward()
    assert model.module.token_emb.emb_mask.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"tgthighres": "x4"}, "expected t4, f2, a5"),
        ({"submodel": "best"}, "choose one of cell, rde, gene"),
        ({"total_offset": "one"}, "is not a float"),
    ],
)
def test_settings_that_mean_nothing_are_refused(chosen, message):
    with pytest.raises(ConfigError, match=message):
        load_scfoundation(**chosen)
