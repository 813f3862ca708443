"""UCE gives what its owners' code gives for a cell by itself, and does not fail where that does."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from cell_files import write_h5ad
from hypothesis import given, settings
from hypothesis import strategies as st
from model_examples import TOLERANCE, block_of, dense_counts, run_extraction, states, tokens_of_cell
from uce_examples import DRAW_SEED, SETS, constants, golden, golden_block, load_uce, write_uce

from layerscope.errors import ConfigError, DataError, ModelError
from layerscope.extraction.embeddings_file import read_layer
from layerscope.models.settings import Settings
from layerscope.models.uce import expected_sample, load

N_GENES = 40


@pytest.mark.parametrize("folder", SETS)
def test_tokens_are_those_of_the_owners_code_by_its_own_stream_of_random_numbers(folder):
    model, expected = load_uce(folder, draw_seed_column=DRAW_SEED), golden(folder)
    sentences = model.tokenise(golden_block(model, expected))
    assert sentences.refused == [""] * len(expected["lengths"])
    for cell, length in enumerate(expected["lengths"]):
        np.testing.assert_array_equal(tokens_of_cell(sentences, cell), expected["tokens"][cell, :length])


@pytest.mark.parametrize("folder", SETS)
def test_genes_their_tokens_and_places_are_those_of_the_release(folder):
    model, expected = load_uce(folder), golden(folder)
    places = [model.vocabulary.place(str(gene)) for gene in expected["kept_genes"]]
    np.testing.assert_array_equal(model.genes.tokens[places], expected["kept_token_ids"])
    np.testing.assert_array_equal(
        model.genes.chromosomes[places] - expected["chrom_token_offset"], expected["kept_chrom_codes"]
    )
    np.testing.assert_array_equal(model.genes.starts[places], expected["kept_starts"])


@pytest.mark.parametrize("folder", SETS)
def test_every_stage_of_every_cell_is_that_of_the_cell_alone(folder):
    model, expected = load_uce(folder, draw_seed_column=DRAW_SEED), golden(folder)
    sentences = model.tokenise(golden_block(model, expected))
    hidden, _ = states(model, sentences)
    with torch.inference_mode():
        stages = [*hidden, model.module.decoder(hidden[-1])]
    names = [*(f"h{layer}" for layer in range(model.n_layers + 1)), "decoded"]
    for stage, name in zip(stages, names, strict=True):
        for cell, ours in enumerate(np.split(stage.numpy(), sentences.offsets[1:-1])):
            theirs = expected[f"alone_{name}"][cell, : expected["lengths"][cell]]
            np.testing.assert_allclose(ours, theirs, **TOLERANCE)


@pytest.mark.parametrize("folder", SETS)
def test_golden_cells_through_the_whole_engine(folder, tmp_path):
    expected = golden(folder)
    matrix = dense_counts(expected)
    seeds = int(expected["draw_seed"]) + np.arange(len(matrix))
    cells = write_h5ad(tmp_path / "c.h5ad", matrix, expected["input_genes"], obs={DRAW_SEED: seeds})
    chosen = {**constants(expected), "draw_seed_column": DRAW_SEED}
    path = run_extraction(folder, cells, tmp_path / "o.h5ad", "uce", settings=chosen, token_budget=100)
    for layer in range(expected["alone_cls"].shape[1]):
        np.testing.assert_allclose(
            read_layer(path, f"{layer:02d}").matrix, expected["alone_cls"][:, layer], **TOLERANCE
        )
    official = read_layer(path, "official").matrix
    np.testing.assert_allclose(official, expected["cell_embedding_alone"], **TOLERANCE)
    theirs_in_a_batch = expected["cell_embedding_batch12"]  # padding is attended to
    assert np.abs(official - theirs_in_a_batch).max() > 1e-2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.integers(1, 60))
def test_the_sample_without_chance_has_each_gene_as_often_as_expected(values, size):
    genes, weights = np.arange(len(values)), np.log1p(np.array(values, dtype=float))
    drawn, order = expected_sample(genes, weights, size, genes % 3)
    times = np.bincount(drawn, minlength=len(values))
    assert times.sum() == size
    assert (np.abs(times - weights / weights.sum() * size) < 1).all()
    np.testing.assert_array_equal(order, np.unique(drawn % 3))


def test_counts_are_cut_to_whole_numbers_and_cells_without_any_are_refused():
    model = load_uce(sampling="expected")
    dense = np.zeros((3, len(model.vocabulary.genes)))
    dense[0, :2], dense[1, :2], dense[2, :2] = (2, 1), (2.9, 1.5), (0.9, 0)
    sentences = model.tokenise(block_of(dense))
    np.testing.assert_array_equal(tokens_of_cell(sentences, 0), tokens_of_cell(sentences, 1))
    assert sentences.refused[:2] == ["", ""] and "no count" in sentences.refused[2]


def test_cells_on_more_chromosomes_than_positions_are_refused_each_by_itself(tmp_path):
    model = load_uce(write_uce(tmp_path / "w"), sample_size=16, sampling="expected")
    dense = np.zeros((2, N_GENES))
    dense[0], dense[1, 0] = 1, 5
    sentences = model.tokenise(block_of(dense))
    assert "24 positions" in sentences.refused[0] and sentences.refused[1] == ""
    assert sentences.lengths.tolist() == [0, 19]


def test_more_genes_than_positions_are_refused_with_the_remedy():
    with pytest.raises(ConfigError, match=r"1027 .*sample_size="):
        load_uce(sample_size=1024)


@pytest.fixture
def release(tmp_path):
    return shutil.copytree(SETS[0], tmp_path / "release") / "model_files"


def load_from(release, **settings):
    return load_uce(release.parent, **settings)


def test_chromosome_rows_are_found_at_the_end_of_the_table_and_may_be_named(release):
    expected = int(golden(SETS[0])["chrom_token_offset"])
    named = load_from(release, chrom_token_offset=expected)
    np.testing.assert_array_equal(named.genes.chromosomes, load_from(release).genes.chromosomes)
    with pytest.raises(ModelError, match="do not fit"):
        load_from(release, chrom_token_offset=expected + 1)
    with pytest.raises(ModelError, match="the chromosomes"):
        load_from(release, chrom_token_offset=40)


def test_heads_that_no_file_holds_must_divide_the_width(release):
    with pytest.raises(ConfigError, match=r"7 heads .*nhead="):
        load_from(release, nhead=7)


def test_genes_in_another_order_than_the_checkpoint_s_are_refused(release):
    path = next((release / "protein_embeddings").glob("Homo*"))
    held = torch.load(path, weights_only=True)
    torch.save(dict(reversed(held.items())), path)
    with pytest.raises(ModelError, match="row of that"):
        load_from(release)


def test_symbols_that_collide_in_capitals_share_the_first_place(release, caplog):
    path = next((release / "protein_embeddings").glob("Homo*"))
    held = torch.load(path, weights_only=True)
    torch.save({**held, next(iter(held)).lower(): next(iter(held.values()))}, path)
    expected = golden(SETS[0])
    model = load_from(release)
    assert "1 symbols" in caplog.text
    places = [model.vocabulary.place(str(gene)) for gene in expected["kept_genes"]]
    np.testing.assert_array_equal(model.genes.tokens[places], expected["kept_token_ids"])


@pytest.mark.parametrize("column", ["chromosome", "start"])
def test_genes_without_a_place_are_refused_or_dropped_on_demand(release, column, caplog):
    path = release / "species_chrom.csv"
    table = pd.read_csv(path, dtype=str)
    human = table.index[table["species"] == "human"][2]
    name = table.loc[human, "gene_symbol"]
    table.loc[human, column] = None
    table.to_csv(path, index=False)
    model, whole = load_from(release), load_uce()
    dense, columns = np.ones((1, len(model.vocabulary.genes))), np.arange(len(model.vocabulary.genes))
    with pytest.raises(DataError, match=rf"1 genes of the cells \({name}\) have no chromosome.*=drop"):
        model.tokenise(block_of(dense))
    place = model.vocabulary.place(name)
    dense[:, place], columns[place] = 0, -1
    assert model.tokenise(block_of(dense, gene_columns=columns)).refused == [""]  # a file without that gene
    model = load_from(release, unplaced_genes="drop")
    assert "1 genes" in caplog.text
    kept = [at for at, gene in enumerate(whole.genes.names) if gene != name]
    assert model.genes.names == tuple(np.array(whole.genes.names)[kept])
    for part in ("tokens", "chromosomes", "starts"):
        np.testing.assert_array_equal(getattr(model.genes, part), getattr(whole.genes, part)[kept])


def test_a_table_of_chromosomes_that_is_cut_off_shows_in_a_release_of_known_size(release, monkeypatch):
    import layerscope.models.uce_files as files

    expected = int(golden(SETS[0])["chrom_token_offset"])
    monkeypatch.setattr(files, "STOCK", {len(load_uce().module.pe_embedding.weight): expected})
    load_from(release)
    path = release / "species_chrom.csv"
    table = pd.read_csv(path, dtype=str)
    table[~((table["species"] == "mouse") & (table["chromosome"] == "2"))].to_csv(path, index=False)
    with pytest.raises(ModelError, match="cut off"):
        load_from(release)


def test_a_choice_of_files_or_species_must_be_made(release):
    shutil.copy(release / "3layer_model.torch", release / "other.torch")
    with pytest.raises(ModelError, match=r"3layer_model.torch, other.torch.*--set"):
        load_from(release)
    assert load_from(release, checkpoint="other.torch").n_layers == 3
    with pytest.raises(ConfigError, match=r"'yeti'.*human, mouse"):
        load_from(release, checkpoint="other.torch", species="yeti")
    mouse = load_from(release, checkpoint="other.torch", species="mouse")
    assert mouse.vocabulary.genes[0].startswith("GM")
    assert mouse.genes.tokens[0] == 4
    for organism in ("mouse", "human"):
        chosen = {"checkpoint": "other.torch", "nhead": 4, "sample_size": 16}
        of_cells = load(release, Settings(chosen, "uce", organism))
        assert of_cells.settings["species"] == organism
        assert (of_cells.genes.names == mouse.genes.names) is (organism == "mouse")
