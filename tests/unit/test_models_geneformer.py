"""Geneformer V1 and V2 give what their owners' code gives, and do not fail where that does."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_examples import (
    GENEFORMER,
    GENEFORMER_V1,
    GENEFORMER_V2,
    TOLERANCE,
    arrays,
    assert_poolings,
    assert_stages,
    block_of,
    counts,
    load_geneformer,
    official,
    restate,
    write_geneformer,
)
from safetensors.torch import load_file

from layerscope.errors import ConfigError, ModelError
from layerscope.models.base import CellBlock, Sentences, pack
from layerscope.models.dictionaries import read_dictionary
from layerscope.models.geneformer import Geneformer
from layerscope.models.vocabulary import match_genes

GENERATIONS = {"v1": GENEFORMER_V1, "v2": GENEFORMER_V2}


@pytest.fixture(params=GENERATIONS)
def golden(request):
    """A generation's model and its golden arrays."""
    return load_geneformer(GENERATIONS[request.param]), arrays(GENEFORMER / f"golden_{request.param}.npz")


def matched(model: Geneformer, matrix: np.ndarray, ids: np.ndarray) -> CellBlock:
    """Counts over the columns of a file as a block over the vocabulary."""
    match = match_genes(model.vocabulary, {"var_names": ids.tolist()}, path="cells.h5ad")
    known = match.index >= 0
    dense = np.zeros((len(matrix), len(model.vocabulary.genes)))
    np.add.at(dense.T, match.index[known], matrix.T[known].astype(np.float64))
    return block_of(dense, gene_columns=match.gene_columns, n_columns=match.n_columns)


def given_tokens(model: Geneformer, expected: dict[str, np.ndarray]) -> Sentences:
    """Sentences of the golden files' padded tokens."""
    cells, positions = np.nonzero(expected["attention_mask"])
    lengths = expected["attention_mask"].sum(axis=1)
    return Sentences(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        tokens={"ids": expected["input_ids"][cells, positions], "positions": positions},
        cells={"genes_end": lengths - len(model.special) // 2},
        refused=[""] * len(lengths),
        shortened=np.zeros(len(lengths), dtype=bool),
    )


def padded(sentences: Sentences, width: int) -> np.ndarray:
    rows = np.split(sentences.tokens["ids"], sentences.offsets[1:-1])
    return np.array([np.pad(row, (0, width - len(row))) for row in rows])


def test_tokens_are_those_of_the_owners_code_with_a_stable_sort(golden):
    model, expected = golden
    sentences = model.tokenise(matched(model, expected["counts"], expected["ensembl_ids"]))
    np.testing.assert_array_equal(sentences.lengths, expected["length"])
    ids = padded(sentences, expected["input_ids"].shape[1])
    np.testing.assert_array_equal(ids, expected["input_ids_stable"])
    assert np.flatnonzero(sentences.shortened).tolist() == [5, 7]
    positions = np.concatenate([np.arange(length) for length in sentences.lengths])
    np.testing.assert_array_equal(sentences.tokens["positions"], positions)


def test_tokens_that_do_not_depend_on_the_order_of_columns_are_offered_and_differ_in_ties_alone(golden):
    model, expected = golden
    by_token = load_geneformer(model.weights.parent, ties="tokens")
    order = np.random.default_rng(0).permutation(len(expected["ensembl_ids"]))
    matrix, ids = expected["counts"], expected["ensembl_ids"]
    one = by_token.tokenise(matched(by_token, matrix, ids))
    other = by_token.tokenise(matched(by_token, matrix[:, order], ids[order]))
    np.testing.assert_array_equal(one.tokens["ids"], other.tokens["ids"])
    head = len(model.special) // 2
    for i in range(len(matrix)):
        ours = one.tokens["ids"][one.offsets[i] + head : one.offsets[i + 1] - head]
        group = dict(zip(expected["rank_tokens"][i], expected["rank_tie_group"][i], strict=True))
        ranked = expected["rank_tie_group"][i][: len(ours)]
        assert [group[token] for token in ours] == ranked.tolist()


def test_every_stage_of_every_cell_is_that_of_the_owners_code(golden):
    model, expected = golden
    is_token = expected["attention_mask"].astype(bool)
    assert_stages(model, given_tokens(model, expected), expected["hidden"][:, is_token])


def test_poolings_are_those_of_the_owners_code(golden):
    model, expected = golden
    names = {"mean_genes": "cell_mean", "mean": "mean_all_tokens", "cls": "cls"}
    by_pooling = {pooling: expected[name] for pooling, name in names.items() if name in expected}
    assert_poolings(model, given_tokens(model, expected), by_pooling)


@pytest.mark.parametrize("kind", ["cell", "cls"])
@pytest.mark.parametrize(("layer", "name"), [(None, "m1"), (2, "m1"), (3, "0")])
def test_the_official_embedding_is_named_by_its_block_and_not_by_its_distance_from_the_end(
    golden, kind, layer, name
):
    model, expected = golden
    if f"official_{kind}_layer_m1" not in expected:
        with pytest.raises(ConfigError, match=r"official='cls'.* cell"):
            load_geneformer(model.weights.parent, official=kind)
        return
    chosen = {} if layer is None else {"official_layer": layer}
    model = load_geneformer(model.weights.parent, official=kind, **chosen)
    ours = official(model, given_tokens(model, expected))
    np.testing.assert_allclose(ours, expected[f"official_{kind}_layer_{name}"], **TOLERANCE)
    assert model.official_pooling.startswith(f"after block {model.official_layer} of 3: ")


def test_genes_are_found_by_the_mapping_alone_in_any_case_and_version(golden):
    model, expected = golden
    names = [f"{name.lower()}.{i}" for i, name in enumerate(expected["ensembl_ids"])]
    match = match_genes(model.vocabulary, {"var_names": names}, path="cells.h5ad")
    place = {gene: i for i, gene in enumerate(model.vocabulary.genes)}
    np.testing.assert_array_equal(match.index, [place.get(gene, -1) for gene in expected["mapped_ids"]])


def test_generations_differ_in_what_the_dictionaries_say():
    one, two = load_geneformer(GENEFORMER_V1), load_geneformer(GENEFORMER_V2)
    assert (one.special, two.special) == ((), (2, 3))
    assert (one.max_length, two.max_length) == (40, 34)
    assert (one.default_pooling, two.default_pooling) == ("mean_genes", "cls")
    assert "cls" not in one.poolings
    with pytest.raises(ConfigError, match=r"'cls'.*mean_genes"):
        one.pool(torch.zeros(1, 32), pack(one.tokenise(block_of(np.ones((1, 70))))), "cls")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_a_cells_depth_changes_no_token(seed, factor):
    model = load_geneformer()
    dense = counts(6, len(model.vocabulary.genes), seed).astype(float)
    one = model.tokenise(block_of(dense))
    factor = 2.0 ** round(np.log2(factor))  # exact in floating point, so that ties stay ties
    np.testing.assert_array_equal(model.tokenise(block_of(dense * factor)).tokens["ids"], one.tokens["ids"])


def release(tmp_path):
    """The golden release, to be changed."""
    return shutil.copytree(GENEFORMER, tmp_path / "release")


def test_ties_follow_the_columns_but_for_genes_of_several_columns_which_come_last(tmp_path):
    model = load_geneformer(write_geneformer(tmp_path, n_genes=5))
    model.medians[:] = 1
    block = block_of(
        np.ones((1, 5)),
        gene_columns=np.array([4, 0, 1, 3, 2]),
        n_columns=np.array([1, 2, 1, 2, 1]),
    )
    sentences = model.tokenise(block)
    assert sentences.tokens["ids"][1:-1].tolist() == model.gene_ids[[2, 4, 0, 1, 3]].tolist()


def test_every_norm_has_the_configurations_epsilon(tmp_path):
    model = load_geneformer(small(tmp_path, layer_norm_eps=0.25))
    norms = [part for part in model.module.modules() if isinstance(part, torch.nn.LayerNorm)]
    assert [norm.eps for norm in norms] == [0.25] * 5


def test_a_whole_release_needs_the_models_name_if_it_holds_several(tmp_path):
    folder = release(tmp_path)
    with pytest.raises(ConfigError, match="V1-tiny, Geneformer-V2-tiny"):
        load_geneformer(folder)
    assert load_geneformer(folder, model="Geneformer-V1-tiny").n_layers == 3
    shutil.rmtree(folder / "Geneformer-V1-tiny")
    assert load_geneformer(folder).special


def test_dictionaries_may_lie_in_the_models_own_folder_and_be_json(tmp_path):
    folder = release(tmp_path)
    model = folder / "Geneformer-V2-tiny"
    for path in (folder / "geneformer").glob("*_gc104M.pkl"):
        (model / path.with_suffix(".json").name).write_text(json.dumps(read_dictionary(path, "a dictionary")))
    shutil.rmtree(folder / "geneformer")
    one, other = load_geneformer(model), load_geneformer(GENEFORMER_V2)
    np.testing.assert_array_equal(one.medians, other.medians)
    assert one.vocabulary.aliases == other.vocabulary.aliases


def test_a_models_own_dictionaries_come_before_those_of_its_neighbours(tmp_path):
    write_geneformer(tmp_path / "geneformer")
    own = write_geneformer(tmp_path / "mine")
    assert load_geneformer(own).vocabulary.source == str(own / "token_dictionary_gcX.pkl")


def test_dictionaries_of_another_generation_are_refused(tmp_path):
    folder = release(tmp_path)
    with pytest.raises(ModelError, match=r"68 .*gc30M\.pkl .*72"):
        load_geneformer(folder / "Geneformer-V2-tiny", dictionaries="../geneformer/gene_dictionaries_30m")
    shutil.rmtree(folder / "geneformer")
    with pytest.raises(ModelError, match="no token_dictionary"):
        load_geneformer(folder / "Geneformer-V2-tiny")


def test_generations_of_equal_size_are_told_apart_by_their_special_tokens(tmp_path):
    for generation, n_genes in ((1, 42), (2, 40)):
        folder = write_geneformer(tmp_path / f"Geneformer-V{generation}-x", n_genes, generation=generation)
        (tmp_path / "geneformer").mkdir(exist_ok=True)
        for path in folder.glob("*.pkl"):
            path.rename(tmp_path / "geneformer" / path.name.replace("gcX", f"gc{generation}"))
    assert load_geneformer(tmp_path / "Geneformer-V1-x").special == ()
    assert load_geneformer(tmp_path / "Geneformer-V2-x").special == (3, 2)
    renamed = (tmp_path / "Geneformer-V2-x").rename(tmp_path / "mine")
    with pytest.raises(ConfigError, match="all fit"):
        load_geneformer(renamed)


def test_a_pointer_of_the_other_generation_does_no_harm_and_ones_own_is_named(tmp_path):
    folder = release(tmp_path)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n"
    (folder / "geneformer/gene_dictionaries_30m/token_dictionary_gc30M.pkl").write_bytes(pointer)
    assert load_geneformer(folder / "Geneformer-V2-tiny").special
    with pytest.raises(ModelError, match=r"gc30M\.pkl.*LFS"):
        load_geneformer(folder / "Geneformer-V1-tiny")


def small(tmp_path, **config):
    """A small release with another configuration (None takes a key away)."""
    return restate(write_geneformer(tmp_path / "model") / "config.json", **config)


def test_heads_and_stored_positions_are_ignored_and_the_older_file_of_weights_is_read(tmp_path):
    folder = small(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    extra = {"bert.embeddings.position_ids": torch.arange(24)[None], "cls.predictions.bias": torch.ones(44)}
    torch.save({**tensors, **extra, "bert.pooler.dense.bias": torch.ones(16)}, folder / "pytorch_model.bin")
    one = load_geneformer(folder)
    (folder / "model.safetensors").unlink()
    other = load_geneformer(folder)
    assert other.weights.name == "pytorch_model.bin"
    assert torch.equal(one.module.stack[0].linear1.weight, other.module.stack[0].linear1.weight)


@pytest.mark.parametrize("chosen", [{"max_length": 2}, {"max_length": 25}, {"official_layer": 3}])
def test_settings_that_the_model_cannot_follow_are_refused(tmp_path, chosen):
    with pytest.raises(ConfigError, match=f"{next(iter(chosen))}={next(iter(chosen.values()))}; the"):
        load_geneformer(small(tmp_path), **chosen)


def test_a_long_cell_keeps_its_highest_ranks_between_the_special_tokens_of_the_release(tmp_path):
    model = load_geneformer(write_geneformer(tmp_path, n_genes=7, hidden=8, max_length=5))
    sentences = model.tokenise(block_of(np.arange(7.0)[None]))
    highest = np.argsort(-np.arange(7.0) / model.medians)[:3]
    assert sentences.tokens["ids"].tolist() == [3, *model.gene_ids[highest], 2]
    assert sentences.shortened.tolist() == [True]


def test_the_untrained_control_draws_as_bert_does():
    model = load_geneformer()
    model.initialise(0)
    tables = model.module.embeddings
    assert float(tables.word.weight.detach()[1:].std()) == pytest.approx(0.02, rel=0.1)
    assert float(tables.word.weight.detach()[0].abs().max()) == 0
    assert float(model.module.stack[0].self_attn.in_proj_bias.detach().abs().max()) == 0
