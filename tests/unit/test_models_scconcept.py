"""scConcept gives what its owners' code gives, for each species and both placements of norms."""

import re
import shutil

import numpy as np
import pytest
import torch
from cell_files import write_h5ad
from model_examples import block_of, official, states, tokens_of_cell
from scconcept_examples import HUMAN, MULTI, SETS, golden, golden_block, load_golden, load_scconcept

from layerscope.errors import ConfigError, ModelError
from layerscope.extraction.embeddings_file import read_layer, read_provenance
from layerscope.extraction.job import Extraction, extract
from layerscope.models.controls import apply_control

STATES, OFFICIAL = {"rtol": 0, "atol": 2e-5}, {"rtol": 0, "atol": 2e-6}


def assert_tokens(sentences, expected):
    for cell, theirs in enumerate(expected):
        ours = tokens_of_cell(sentences, cell)
        np.testing.assert_array_equal(ours, theirs[: len(ours)])
        assert len(set(theirs[len(ours) :])) <= 1  # padding


@pytest.mark.parametrize("name", SETS)
def test_tokens_every_layer_every_pooling_and_official_are_the_owners(name):
    model, expected = load_golden(name), golden(name)
    sentences = model.tokenise(golden_block(model, expected))
    assert_tokens(sentences, expected["tokens"])
    np.testing.assert_array_equal(sentences.lengths, expected["length"])
    hidden, batch = states(model, sentences)
    for layer, state in enumerate(hidden):
        np.testing.assert_allclose(state, expected["hidden"][layer][expected["mask"]], **STATES)
        for pooling, theirs in (("cls", "cls"), ("mean_genes", "mean_genes"), ("mean", "mean_all_tokens")):
            ours = model.pool(state, batch, pooling).numpy()
            np.testing.assert_allclose(ours, expected[theirs][layer], **STATES)
    np.testing.assert_allclose(official(model, sentences), expected["official"], **OFFICIAL)


@pytest.mark.parametrize("name", SETS)
def test_zeros_count_as_expressed_where_the_strategy_is_top(name):
    model, expected = load_golden(name, gene_sampling_strategy="top"), golden(name)
    sentences = model.tokenise(golden_block(model, expected))
    assert_tokens(sentences, expected["tokens_top"])
    np.testing.assert_allclose(official(model, sentences), expected["official_top"], **OFFICIAL)


def test_genes_drawn_at_random_stand_by_falling_value_and_belong_to_the_seed():
    expected = golden("human")
    first, again, second = (
        load_golden("human", gene_sampling_strategy="random-nonzero", seed=seed) for seed in (0, 0, 1)
    )
    block = golden_block(first, expected)
    sentences, other = first.tokenise(block), second.tokenise(block)
    np.testing.assert_array_equal(sentences.tokens["ids"], again.tokenise(block).tokens["ids"])
    differs = []
    for cell, length in enumerate(expected["length"]):
        ours = tokens_of_cell(sentences, cell)
        assert len(ours) == length
        genes = np.searchsorted(first.release.tokens, ours[1:])
        entries = block.entries(cell)
        values = np.zeros(len(first.vocabulary.genes))
        values[block.genes[entries]] = block.values[entries]
        assert (values[genes] > 0).all()
        assert (np.lexsort((ours[1:], -values[genes])) == np.arange(len(genes))).all()
        differs.append(not np.array_equal(ours, tokens_of_cell(other, cell)))
    np.testing.assert_array_equal(differs, sentences.shortened)


def test_without_genes_own_vectors_those_of_proteins_alone_speak():
    model, expected = load_golden("multi_mmusculus", use_learnable_embs=False), golden("multi_mmusculus")
    sentences = model.tokenise(golden_block(model, expected))
    np.testing.assert_allclose(official(model, sentences), expected["official_no_learnable"], **OFFICIAL)
    with pytest.raises(ConfigError, match="use_learnable_embs=false"):
        load_golden("human", use_learnable_embs=False)


@pytest.mark.parametrize("name", SETS)
def test_symbols_mean_the_ids_that_the_owners_give_them(name):
    vocabulary, expected = load_golden(name).vocabulary, golden(name)
    for symbol, gene in zip(expected["symbols"], expected["symbols_mapped"], strict=True):
        place = vocabulary.place(str(symbol))
        assert str(gene) == (vocabulary.genes[place] if place >= 0 else str(symbol))


@pytest.mark.parametrize("names", ["gene_ids", "symbols_mapped"])
def test_golden_cells_through_the_whole_engine(names, tmp_path):
    expected = golden("multi_mmusculus")
    cells = write_h5ad(tmp_path / "c.h5ad", expected["counts"], expected[names])
    job = Extraction(family="scconcept", device="cpu", token_budget=50)  # mouse, by the names of genes
    extract(MULTI, cells, tmp_path / "o.h5ad", job)
    if names == "gene_ids":
        np.testing.assert_allclose(
            read_layer(tmp_path / "o.h5ad", "official").matrix, expected["official"], **OFFICIAL
        )
    assert read_provenance(tmp_path / "o.h5ad")["settings"]["species"] == "mmusculus"
    assert np.isfinite(read_layer(tmp_path / "o.h5ad", "03").matrix).all()


def test_species_chooses_the_vocabulary():
    assert load_scconcept(MULTI).release.config.species == "hsapiens"
    mouse = load_scconcept(MULTI, species="mmusculus")
    assert mouse.vocabulary.genes[0].startswith("ENSMUSG")
    with pytest.raises(ConfigError, match=r"'yeti'.*hsapiens, mmusculus"):
        load_scconcept(MULTI, species="yeti")


def test_a_cell_without_known_genes_is_the_cell_token_alone_unless_that_is_refused():
    dense = np.zeros((2, 70))
    dense[0, 3] = 1
    alone = load_scconcept().tokenise(block_of(dense))
    assert alone.lengths.tolist() == [2, 1] and alone.refused == ["", ""]
    refused = load_scconcept(min_expressed_genes=1).tokenise(block_of(dense)).refused
    assert refused[0] == "" and "min_expressed_genes = 1" in refused[1]


def test_untrained_the_vectors_of_proteins_are_those_from_before_training():
    model = load_scconcept(MULTI, species="drerio")
    trained = model.module.gene_token_encoder.pretrained.weight.clone()
    apply_control(model, "untrained", 1)
    table = model.module.gene_token_encoder.pretrained.weight
    assert not torch.equal(table, trained)
    token = model.release.tokens[model.vocabulary.place("ENSDARG99000099570")]
    np.testing.assert_allclose(table[token, :3].detach(), [-1.8899, 1.907, 1.088], rtol=1e-6)
    assert not model.module.gene_token_encoder.learnable.weight.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_text(path.read_text()[:-20]), "a vector of it is not whole"),
        (lambda path: path.write_text(path.read_text().replace(",0.", ",x.")), "not a table of vectors"),
        (lambda path: path.write_text(re.sub(r",[^,]*$", "", path.read_text(), flags=re.M)), "of 9 numbers"),
        (lambda path: path.unlink(), "which an untrained control needs, is missing"),
    ],
)
def test_vectors_of_proteins_that_are_not_whole_are_refused(release, change, message):
    change(release / "pretrained_vocabulary" / "hsapiens.csv")
    with pytest.raises(ModelError, match=message):
        apply_control(load_scconcept(release), "untrained", 1)


@pytest.fixture
def release(tmp_path):
    return shutil.copytree(MULTI, tmp_path / "release")


def test_files_may_lie_flat_as_they_are_fetched(release):
    for kind in ("gene_mappings", "pretrained_vocabulary"):
        shutil.move(release / kind / "mmusculus.csv", release / f"{kind}.mmusculus.csv")
    model = load_scconcept(release, species="mmusculus")
    apply_control(model, "untrained", 1)
    assert len(model.vocabulary.genes) == 58
    assert load_scconcept(HUMAN).n_layers == 3


def test_every_species_of_the_configuration_has_its_tensors(release):
    held = torch.load(release / "model.ckpt", weights_only=True)
    del held["model"]["gene_token_encoder.learnable_embs.drerio.weight"]
    torch.save(held, release / "model.ckpt")
    with pytest.raises(ModelError, match=r"1 missing .*drerio"):
        load_scconcept(release)
