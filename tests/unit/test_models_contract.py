"""What every family of models must do; a family's own tests are about its files and its owners' numbers."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from cell_files import write_h5ad
from family_examples import EXAMPLES, N_CELLS, N_GENES, assert_layers_agree, study_of
from hypothesis import given, settings
from hypothesis import strategies as st
from model_examples import all_layers, block_of, change_tensors, counts, load_tensors, states

import layerscope.extraction.engine as engine_module
from layerscope.errors import ConfigError, ModelError
from layerscope.extraction.embeddings_file import read_layer, read_layers, read_provenance
from layerscope.extraction.merge import merge
from layerscope.models.base import pack
from layerscope.models.controls import apply_control

GUIDE = Path(__file__).parents[2] / "docs" / "models.md"
# families that draw genes, or bins, of a cell at random
DRAWN = ("tahoe_x1", "scgpt", "uce", "state_se")


@pytest.fixture(scope="module", params=EXAMPLES)
def study(request, tmp_path_factory):
    return study_of(EXAMPLES[request.param], tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def model(study):
    return study.example.load(study.weights)


@pytest.fixture(scope="module")
def embeddings(study):
    return study.extract("first.h5ad")


def block(model, dense, cell_ids=None):
    """Counts over the genes of a vocabulary, which may be in another order."""
    return block_of(dense[:, : len(model.vocabulary.genes)], cell_ids)


def test_every_layer_is_there_and_a_refused_cell_is_nan_in_each_with_its_reason(study, model, embeddings):
    assert read_layers(embeddings) == [*(f"{i:02d}" for i in range(model.n_layers + 1)), "official"]
    widths = model.widths(model.default_pooling)
    for layer, matrix in all_layers(embeddings).items():
        assert matrix.shape == (N_CELLS, widths[1] if layer == "official" else widths[0])
        assert np.isfinite(matrix[:-1]).all() and np.isnan(matrix[-1]).all()
    refused = read_layer(embeddings, "01").refused
    assert refused[:-1] == [""] * (N_CELLS - 1) and refused[-1]
    provenance = read_provenance(embeddings)
    assert provenance["refused"] == {refused[-1]: 1}
    assert (provenance["family"], provenance["n_layers"]) == (study.example.family, model.n_layers)


def test_the_same_command_gives_the_same_bytes(study, embeddings):
    assert study.extract("again.h5ad").read_bytes() == embeddings.read_bytes()


@pytest.mark.parametrize(
    "job", [{"token_budget": 37}, {"token_budget": 100_000}, {"threads": 1}, {"threads": 4}]
)
def test_batches_and_threads_change_layers_by_rounding_alone(study, embeddings, job):
    assert_layers_agree(embeddings, study.extract("other.h5ad", **job))


def test_windows_and_shards_change_layers_by_rounding_alone(study, embeddings, monkeypatch):
    monkeypatch.setattr(engine_module, "WINDOW_CELLS", 7)
    assert_layers_agree(embeddings, study.extract("windows.h5ad"))
    shards = [study.extract(f"{i}.h5ad", shard=(i, 3)) for i in (1, 2, 3)]
    merge(shards, study.folder / "merged.h5ad")
    assert_layers_agree(embeddings, study.folder / "merged.h5ad")


def test_cells_worked_on_a_few_at_a_time_give_the_same_bytes(study, embeddings, monkeypatch):
    monkeypatch.setattr("layerscope.extraction.cell_stream.CELLS_AT_ONCE", 7)
    assert study.extract("few.h5ad").read_bytes() == embeddings.read_bytes()


def test_the_order_of_cells_and_columns_changes_layers_by_rounding_alone(study, embeddings):
    draw = np.random.default_rng(1)
    order, columns = draw.permutation(N_CELLS), draw.permutation(N_GENES)
    mixed = write_h5ad(
        study.folder / "mixed.h5ad",
        counts(N_CELLS, N_GENES)[np.ix_(order, columns)],
        study.example.genes[columns],
        [f"cell{i}" for i in order],
    )
    assert_layers_agree(embeddings, study.extract("mixed_out.h5ad", mixed), order)


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_a_cell_is_the_same_alone_and_in_any_company(model, seed, n_cells):
    dense = counts(n_cells + 1, N_GENES, seed)[:-1]
    sentences = model.tokenise(block(model, dense))
    together, _ = states(model, sentences)
    for cell in range(n_cells):
        alone, _ = states(model, sentences, np.array([cell]))
        for one, all_ in zip(alone, together, strict=True):
            expected = all_[sentences.offsets[cell] : sentences.offsets[cell + 1]]
            torch.testing.assert_close(one, expected, rtol=0, atol=1e-5 * float(all_.square().mean()) ** 0.5)


def test_the_tokens_of_a_cell_belong_to_it_and_the_seed(study, model):
    dense = counts(4, N_GENES)[:-1] + 1  # every gene, more than a sentence holds
    whole = model.tokenise(block(model, dense, ["a", "b", "c"]))
    part = model.tokenise(block(model, dense[[2, 0]], ["c", "a"]))
    again = study.example.load(study.weights).tokenise(block(model, dense, ["a", "b", "c"]))
    for name, tokens in whole.tokens.items():
        parts = np.split(tokens, whole.offsets[1:-1])
        np.testing.assert_array_equal(part.tokens[name], np.concatenate([parts[2], parts[0]]))
        np.testing.assert_array_equal(again.tokens[name], tokens)
    other_seed = study.example.load(study.weights, seed=1).tokenise(block(model, dense, ["a", "b", "c"]))
    is_same = all(np.array_equal(other_seed.tokens[name], whole.tokens[name]) for name in whole.tokens)
    assert is_same is (study.example.family not in DRAWN)


def test_every_pooling_has_its_width_and_no_other_is_known(model):
    sentences = model.tokenise(block(model, counts(4, N_GENES)[:-1]))
    hidden, batch = states(model, sentences)
    for pooling in model.poolings:
        pooled = model.pool(hidden[-1], batch, pooling)
        assert pooled.shape == (3, model.widths(pooling)[0]) and pooled.isfinite().all()
    with pytest.raises(ConfigError, match="pooling 'sum'"):
        model.pool(hidden[-1], batch, "sum")


@pytest.mark.parametrize("control", ["untrained", "gene_permuted", "values_permuted", "thinned"])
def test_controls_differ_from_the_model_and_from_seed_to_seed(study, embeddings, control):
    one = study.extract("one.h5ad", control=control, control_seed=1)
    again = study.extract("again.h5ad", control=control, control_seed=1, token_budget=50)
    other = study.extract("other.h5ad", control=control, control_seed=2)
    assert_layers_agree(one, again)
    for path in (embeddings, other):
        assert not np.array_equal(all_layers(one)["02"], all_layers(path)["02"], equal_nan=True)
    assert read_provenance(one)["control"] == control


def test_untrained_weights_are_all_drawn_anew_from_the_seed(study, model):
    first, second, again = (study.example.load(study.weights) for _ in range(3))
    for other, seed in ((first, 1), (second, 2), (again, 1)):
        apply_control(other, "untrained", seed)
    data = [name for name in study.example.untrained if "emb_" not in name]
    for name, weight in model.module.named_parameters():
        drawn, of_another_seed, of_the_same = (
            other.module.get_parameter(name) for other in (first, second, again)
        )
        assert torch.equal(drawn, of_the_same)
        if weight.dim() > 1:
            assert torch.equal(drawn, weight) is torch.equal(drawn, of_another_seed) is (name in data), name


def test_permuted_genes_keep_tokens_and_what_special_tokens_enter_with(study, model):
    dense = counts(6, N_GENES)[:-1]
    sentences = model.tokenise(block(model, dense))
    permuted = study.example.load(study.weights)
    apply_control(permuted, "gene_permuted", 1)
    np.testing.assert_array_equal(
        permuted.tokenise(block(model, dense)).tokens["ids"], sentences.tokens["ids"]
    )
    special = np.isin(sentences.tokens["ids"], model.gene_table()[1], invert=True)
    before, after = states(model, sentences)[0][0], states(permuted, sentences)[0][0]
    assert torch.equal(before[special], after[special])
    table, rows = model.gene_table()
    dealt = permuted.gene_table()[0][rows].detach()
    assert sorted(dealt.tolist()) == sorted(table[rows].tolist())
    assert (before[~special] - after[~special]).abs().max() > 0.01


def test_autograd_reaches_every_weight_and_gives_the_values_of_inference(study):
    model = study.example.load(study.weights)
    sentences = model.tokenise(block(model, counts(5, N_GENES)[:-1]))
    batch = pack(sentences)
    hidden = {layer: state.clone() for layer, state in model.layers(batch)}
    out = model.module.final(hidden[model.n_layers])
    with torch.inference_mode():
        torch.testing.assert_close(out.detach(), model.module(batch), rtol=1e-4, atol=2e-5)
    (out.square().sum() + model.official(hidden[model.official_layer], batch).sum()).backward()
    without = {name for name, weight in model.module.named_parameters() if weight.grad is None}
    assert without == study.example.untrained


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, name: tensors.pop(name), "1 missing"),
        (lambda tensors, name: tensors.update(surplus=torch.ones(1)), r"1 unexpected \((model\.)?surplus"),
        (lambda tensors, name: tensors.update({name: torch.ones(3)}), r"has shape \(3,\)"),
    ],
)
def test_tensors_are_loaded_strictly(study, model, tmp_path, change, message):
    release = study.example.write(tmp_path / "release")
    weights = next(release.rglob(model.weights.name))
    norm = next(name for name in load_tensors(weights) if "norm1.bias" in name or "LayerNorm.bias" in name)
    change_tensors(weights, lambda tensors: change(tensors, norm))
    with pytest.raises(ModelError, match=message):
        study.example.load(release)


def test_each_file_of_a_release_is_needed_and_named_if_it_is_missing(study, tmp_path):
    release = study.example.write(tmp_path / "release")
    for path in [path for path in release.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(ModelError, match=f"{path.name}|{path.name.split('_gcX')[0]}|expected one file"):
            study.example.load(release)
        path.write_bytes(content)
    study.example.load(release)


def test_a_setting_that_the_family_has_not_is_refused_by_its_name(study):
    with pytest.raises(ConfigError, match="--set max_lenght"):
        study.example.load(study.weights, max_lenght=3)


def test_every_setting_stands_in_the_familys_section_of_the_guide(model):
    section = re.search(rf"^## {model.family}\n(.*?)(?=^## |\Z)", GUIDE.read_text(), re.M | re.S)
    assert section is not None
    for name in model.settings:
        assert f"`{name}`" in section[1], name
