"""TranscriptFormer gives what its owners' code gives, whatever stands beside a cell."""

import math
import shutil
from itertools import pairwise

import h5py
import numpy as np
import pytest
import torch
from cell_files import write_h5ad
from model_examples import (
    TOLERANCE,
    assert_poolings,
    block_of,
    counts,
    dense_counts,
    official,
    run_extraction,
    states,
    tokens_of_cell,
)
from transcriptformer_examples import (
    SETS,
    golden,
    golden_block,
    load_transcriptformer,
    write_transcriptformer,
)

from layerscope.errors import ConfigError, DataError, ModelError
from layerscope.extraction.embeddings_file import read_layer, read_provenance
from layerscope.models.base import TokenBatch
from layerscope.models.capped_attention import Keys, capped_attention
from layerscope.models.transformer import Scratch

N_GENES = 40


@pytest.mark.parametrize("folder", SETS)
def test_vocabulary_and_tokens_are_those_of_the_owners_code(folder):
    model, expected = load_transcriptformer(folder), golden(folder)
    names = [*model.release.special, *model.vocabulary.genes]
    assert {str(t): int(i) for t, i in zip(expected["vocab_tokens"], expected["vocab_ids"], strict=True)} == {
        name: place for place, name in enumerate(names)
    }
    sentences = model.tokenise(golden_block(model, expected))
    np.testing.assert_array_equal(sentences.cells["assay"], expected["aux_tokens"][:, 0])
    np.testing.assert_array_equal(sentences.cells["assay_known"], expected["key_mask"][:, 0])
    clipped = np.hstack([np.ones((len(expected["gene_counts"]), 1)), expected["gene_counts"]])
    for cell, valid in enumerate(expected["pool_mask"].sum(axis=1)):
        ids, cut = (tokens_of_cell(sentences, cell, name) for name in ("ids", "counts"))
        np.testing.assert_array_equal(ids[1:], expected["shifted_tokens"][cell, :valid])
        np.testing.assert_array_equal(cut[1:], clipped[cell, :valid])


@pytest.mark.parametrize("folder", SETS)
def test_every_stage_of_every_cell_and_every_pooling_are_those_of_the_owners_code(folder):
    model, expected = load_transcriptformer(folder), golden(folder)
    sentences = model.tokenise(golden_block(model, expected))
    assert not any(sentences.refused)
    for layer, hidden in enumerate(states(model, sentences)[0]):
        for cell, ours in enumerate(np.split(hidden.numpy(), sentences.offsets[1:-1])):
            np.testing.assert_allclose(ours, expected[f"h{layer}"][cell, : len(ours)], **TOLERANCE)
    names = {"official": "pooled", "mean": "pooled_valid_mean"}
    by_layer = {pooling: expected[name].swapaxes(0, 1) for pooling, name in names.items()}
    assert_poolings(model, sentences, by_layer)
    np.testing.assert_allclose(official(model, sentences), expected["cell_embedding"], **TOLERANCE)


@pytest.mark.parametrize("folder", SETS)
def test_golden_cells_through_the_whole_engine(folder, tmp_path):
    expected = golden(folder)
    cells = write_h5ad(
        tmp_path / "c.h5ad",
        dense_counts(expected),
        expected["input_gene_ids"],
        obs={"assay": expected["assay"].astype(object)},
    )
    path = run_extraction(folder, cells, tmp_path / "o.h5ad", "transcriptformer", token_budget=60)
    for layer in range(expected["pooled"].shape[1]):
        ours = read_layer(path, f"{layer:02d}").matrix
        np.testing.assert_allclose(ours, expected["pooled"][:, layer], **TOLERANCE)
    np.testing.assert_allclose(read_layer(path, "official").matrix, expected["cell_embedding"], **TOLERANCE)
    assert read_provenance(path)["n_shortened"] == 3


@pytest.mark.parametrize("folder", [f for f in SETS if "ood_cell_embedding_ids_fixed" in golden(f)])
def test_another_species_keeps_the_special_tokens_of_the_checkpoint(folder):
    expected = golden(folder)
    other = ",".join(str(path.relative_to(folder)) for path in (folder / "all_embeddings").glob("*.h5"))
    model = load_transcriptformer(folder, pretrained_embedding=other)
    ours = official(model, model.tokenise(golden_block(model, expected)))
    np.testing.assert_allclose(ours, expected["ood_cell_embedding_ids_fixed"], **TOLERANCE)
    assert np.abs(ours - expected["ood_cell_embedding_as_released"]).max() > 0.1


def test_attention_is_causal_so_the_order_of_genes_is_that_of_the_file_or_of_the_vocabulary():
    dense = counts(3, len(load_transcriptformer().vocabulary.genes))[:-1]
    columns = np.random.default_rng(0).permutation(dense.shape[1])
    as_filed, by_tokens = (load_transcriptformer(gene_order=order) for order in ("columns", "vocabulary"))
    obs = {"assay": np.array(["unknown"] * 2, dtype=object)}
    for model, same in ((as_filed, False), (by_tokens, True)):
        one, other = (
            model.tokenise(block_of(dense, obs=obs, gene_columns=order)).tokens["ids"]
            for order in (np.arange(len(columns)), columns)
        )
        assert np.array_equal(one, other) is same


def plain_attention(qkv, heads, offsets, bias, closed, softcap):
    """The formula, cell by cell, in float64."""
    width = qkv.shape[1] // 3
    out = np.zeros((len(qkv), width))
    for cell, (a, b) in enumerate(pairwise(offsets)):
        q, k, v = (qkv[a:b].double().numpy().reshape(b - a, 3, heads, -1)[:, i] for i in range(3))
        for head in range(heads):
            score = q[:, head] @ k[:, head].T / math.sqrt(q.shape[2]) + bias[a:b].double().numpy()
            score = softcap * np.tanh(score / softcap) if softcap > 0 else score
            allowed = np.tril(np.ones_like(score)) > 0
            allowed[:, 0] &= not closed[cell]
            weight = np.where(allowed, np.exp(score - score.max()), 0)
            total = weight.sum(axis=1, keepdims=True)
            context = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0) @ v[:, head]
            out[a:b, head * q.shape[2] : (head + 1) * q.shape[2]] = context
    return out


@pytest.mark.parametrize("softcap", [3.0, 0.0])
@pytest.mark.parametrize("grad", [True, False])
def test_attention_is_its_formula_for_short_and_long_cells_with_and_without_buffers(
    softcap, grad, monkeypatch
):
    monkeypatch.setattr("layerscope.models.capped_attention.QUERIES_TOGETHER", 128)
    torch.manual_seed(0)
    lengths = [1, 2, 2, 129, 129, 300]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    qkv, bias = (torch.randn(563, 3 * 8) * 2).requires_grad_(grad), torch.rand(563)
    closed = torch.tensor([True, False, True, False, True, True])
    batch = TokenBatch(tokens={"ids": torch.zeros(563, dtype=torch.int64)}, cells={}, offsets=offsets)
    with torch.set_grad_enabled(grad):
        ours = capped_attention(qkv, 2, batch, Keys(bias, closed), softcap, Scratch())
    expected = plain_attention(qkv.detach(), 2, offsets, bias, closed.tolist(), softcap)
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert not ours[0].any()
    if grad:
        ours.square().sum().backward()
        assert qkv.grad.isfinite().all()
        idle = np.flatnonzero(qkv.grad.abs().sum(dim=1) == 0)
        np.testing.assert_array_equal(idle, offsets[:-1][closed.numpy()])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("together", [True, False])
def test_attention_in_half_precision_stays_close_to_its_formula(dtype, together, monkeypatch):
    if together:  # as on a GPU
        monkeypatch.setattr("layerscope.models.transformer.reusable", lambda x: False)
    torch.manual_seed(0)
    offsets = np.array([0, 40, 240])
    qkv, bias, closed = torch.randn(240, 3 * 32).to(dtype), torch.rand(240), torch.tensor([True, False])
    batch = TokenBatch(tokens={"ids": torch.zeros(240, dtype=torch.int64)}, cells={}, offsets=offsets)
    with torch.inference_mode():
        ours = capped_attention(qkv, 2, batch, Keys(bias, closed), 10.0, Scratch())
    expected = plain_attention(qkv, 2, offsets, bias, closed.tolist(), 10.0)
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours.float().numpy(), expected, rtol=0, atol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("bias", [False, True])
def test_names_ids_and_sizes_come_from_the_files(tmp_path, bias):
    model = load_transcriptformer(write_transcriptformer(tmp_path, bias=bias))
    assert (model.start, model.pad, model.first_gene, model.clip_counts) == (1, 2, 4, 7)
    assert list(model.optional_obs_columns) == ["platform"]
    assert model.module.config.attention_bias is bias
    dense = np.zeros((1, N_GENES))
    dense[0, 3] = 50
    sentences = model.tokenise(block_of(dense, obs={"platform": np.array(["y"], dtype=object)}))
    assert sentences.tokens["ids"].tolist() == [2, 1, 7]
    assert sentences.tokens["counts"].tolist() == [1, 1, 7]
    assert sentences.cells["assay"].tolist() == [1]


def test_a_file_without_the_assay_is_taken_as_unknown_with_a_warning_or_may_be_told(tmp_path, caplog):
    weights = write_transcriptformer(tmp_path / "w")
    genes = [f"ENSG{i:011d}" for i in range(N_GENES)]
    matrix = counts(6, N_GENES)
    bare = write_h5ad(tmp_path / "bare.h5ad", matrix, genes)

    def embedded(cells, name, **chosen):
        path = run_extraction(weights, cells, tmp_path / name, "transcriptformer", settings=chosen)
        return read_layer(path, "official").matrix

    unknown, told = embedded(bare, "1.h5ad"), embedded(bare, "2.h5ad", assay="y")
    assert "obs['platform']" in caplog.text
    assert not np.array_equal(unknown, told)
    for assay, same, column in (("n/a", unknown, {}), ("y", told, {}), ("y", told, {"assay_column": "kit"})):
        obs = {column.get("assay_column", "platform"): [assay] * 6}
        with_it = write_h5ad(tmp_path / "with.h5ad", matrix, genes, obs=obs)
        np.testing.assert_array_equal(embedded(with_it, "3.h5ad", **column), same, err_msg=assay)
    with pytest.raises(DataError, match="needs obs\\['kit'\\]"):
        embedded(bare, "4.h5ad", assay_column="kit")
    with pytest.raises(ConfigError, match="assay='z'"):
        embedded(bare, "5.h5ad", assay="z")


def test_cells_that_express_too_few_genes_are_refused_where_it_is_asked_for(tmp_path):
    dense = counts(3, len(load_transcriptformer().vocabulary.genes))
    obs = {"assay": np.array(["unknown"] * 3, dtype=object)}
    sentences = load_transcriptformer(min_expressed_genes=1).tokenise(block_of(dense, obs=obs))
    assert sentences.refused[:2] == ["", ""] and "min_expressed_genes = 1" in sentences.refused[2]
    by_default = load_transcriptformer().tokenise(block_of(dense, obs=obs))
    assert by_default.refused == ["", "", ""] and by_default.lengths[-1] == 2
    folder = write_transcriptformer(tmp_path, min_expressed_genes=3)
    assert load_transcriptformer(folder).min_genes == 3


@pytest.fixture
def release(tmp_path):
    return shutil.copytree(SETS[0], tmp_path / "release")


def test_files_of_another_species_must_hold_its_vectors_in_the_width_of_the_checkpoint(release, tmp_path):
    path = tmp_path / "other_gene.h5"
    with h5py.File(path, "w") as file:
        file["keys"] = np.array(["ENSG00000000001"], dtype="S")
    with pytest.raises(ModelError, match="`arrays`"):
        load_transcriptformer(release, pretrained_embedding=str(path))
    with h5py.File(path, "a") as file:
        file["arrays/ENSG00000000001"] = np.ones(7)
    with pytest.raises(ModelError, match=r"7 numbers.* 20"):
        load_transcriptformer(release, pretrained_embedding=str(path))


def test_vocabularies_may_lie_beside_the_weights(release):
    for path in (release / "vocabs").iterdir():
        path.rename(release / path.name)
    assert load_transcriptformer(release).vocabulary.genes == load_transcriptformer().vocabulary.genes
