"""Nicheformer gives what its owners' two tokenisers and its model give, and says what they pass over."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from cell_files import write_h5ad
from model_examples import TOLERANCE, arrays, block_of, official, run_extraction, states
from nicheformer_examples import (
    CONTEXT,
    PREPARATIONS,
    SETS,
    golden_block,
    load_nicheformer,
    load_prepared,
    write_nicheformer,
)

from layerscope.errors import ConfigError, DataError, ModelError
from layerscope.extraction.embeddings_file import read_layer
from layerscope.models.nicheformer import divisors

MEANS = "dissociated_mean_script.npy"


@pytest.fixture(scope="module", params=SETS)
def golden(request):
    return request.param, arrays(request.param / "golden.npz")


def as_given(sentences, expected, preparation):
    """The owners' own tokens, ties in the order in which their unstable sort left them."""
    tokens = {
        "ids": expected[f"{preparation}_input_ids"].ravel(),
        "attended": expected[f"{preparation}_attention_mask"].ravel() == 1,
        "positions": sentences.tokens["positions"],
    }
    return replace(sentences, tokens=tokens)


@pytest.mark.parametrize("ending", ["", "_id"])
@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_tokens_are_those_of_each_of_the_owners_ways(golden, preparation, ending):
    folder, expected = golden
    model = load_prepared(folder, preparation)
    sentences = model.tokenise(golden_block(model, expected, ending))
    ids = expected[f"{preparation}_input_ids_stable"]
    np.testing.assert_array_equal(sentences.tokens["ids"].reshape(ids.shape), ids)
    np.testing.assert_array_equal(sentences.cells["n_genes"], expected[f"{preparation}_n_genes"])
    attended = expected[f"{preparation}_attention_mask"]
    np.testing.assert_array_equal(sentences.tokens["attended"].reshape(ids.shape), attended == 1)
    assert sentences.shortened.tolist() == [
        name in ("every_gene", "one_too_many") for name in cells(expected)
    ]


def cells(expected):
    return expected["cell_names"].tolist()


@pytest.mark.parametrize("preparation", ["trained", "hf"])
def test_every_stage_and_pooling_is_the_owners(golden, preparation):
    folder, expected = golden
    model = load_prepared(folder, preparation)
    sentences = model.tokenise(golden_block(model, expected))
    theirs = {name: expected[f"{preparation}_{name}"] for name in ("hidden", "mean_genes")}
    hidden, batch = states(model, as_given(sentences, expected, preparation))
    layers = [theirs["hidden"][0][:, 3:].mean(axis=1), *expected[f"{preparation}_official_layers"]]
    with torch.inference_mode():
        for layer, ours in enumerate(hidden):
            stage = theirs["hidden"][layer]
            np.testing.assert_allclose(ours.reshape(stage.shape), stage, **TOLERANCE)
            for pooling, pooled in (("official", layers), ("mean_genes", theirs["mean_genes"])):
                np.testing.assert_allclose(model.pool(ours, batch, pooling), pooled[layer], **TOLERANCE)
        with_context = model.pool(hidden[-1], batch, "mean")
    np.testing.assert_allclose(with_context, expected[f"{preparation}_official_with_context"], **TOLERANCE)


def test_golden_cells_through_the_whole_engine(golden, tmp_path):
    folder, expected = golden
    obs = {name: expected[name] for name in CONTEXT}
    path = write_h5ad(tmp_path / "c.h5ad", expected["counts"], expected["input_genes"], obs=obs)
    job = {"family": "nicheformer", "token_budget": 100}
    layers = run_extraction(folder, path, tmp_path / "o.h5ad", settings={"min_expressed_genes": 0}, **job)
    theirs = expected["trained_official_stable"]
    for name in ("official", f"{len(expected['trained_official_layers']):02d}"):
        np.testing.assert_allclose(read_layer(layers, name).matrix, theirs, **TOLERANCE)
    refused = read_layer(run_extraction(folder, path, tmp_path / "o2.h5ad", **job), "official")
    without = [name == "no_known_gene" for name in cells(expected)]
    assert [bool(reason) for reason in refused.refused] == without
    np.testing.assert_array_equal(np.isnan(refused.matrix).all(axis=1), without)


def test_without_filling_the_genes_are_the_same_and_the_official_embedding_is_their_mean(golden):
    folder, expected = golden
    model = load_nicheformer(folder, filling=False)
    sentences = model.tokenise(golden_block(model, expected))
    hidden, batch = states(model, sentences)
    mean_genes = expected["trained_mean_genes_stable"]
    with torch.inference_mode():
        for state, theirs in zip(hidden, mean_genes, strict=True):
            np.testing.assert_allclose(model.pool(state, batch, "mean_genes"), theirs, **TOLERANCE)
    np.testing.assert_allclose(official(model, sentences), mean_genes[-1], **TOLERANCE)
    np.testing.assert_array_equal(sentences.lengths, expected["trained_n_genes"] + 3)


@pytest.mark.parametrize("part", ["Nicheformer", "mendeley"])
def test_each_release_is_found_where_the_owners_have_it(golden, part):
    folder, expected = golden
    model = load_nicheformer(folder / part, min_expressed_genes=0)
    sentences = model.tokenise(golden_block(model, expected))
    np.testing.assert_allclose(official(model, sentences), expected["trained_official_stable"], **TOLERANCE)


def test_a_checkpoint_beside_the_one_cell_needs_no_other_file(golden, tmp_path):
    folder, _ = golden
    for name in ("mendeley/nicheformer.ckpt", "Nicheformer/model.h5ad", f"model_means/{MEANS}"):
        shutil.copy(folder / name, tmp_path)
    model = load_nicheformer(tmp_path)
    np.testing.assert_array_equal(model.gene_ids, load_nicheformer(folder).gene_ids)
    assert model.vocabulary.genes == load_nicheformer(folder).vocabulary.genes


def test_means_are_cleaned_as_before_pretraining():
    means = np.array([np.nan, 0.2, 0.5, 1.49, 1.5, 2.5, -0.5, -0.6, -3.5, 0.49999999999999994])
    np.testing.assert_array_equal(divisors(means, "trained", 10), [1, 1, 1, 1, 2, 3, 1, -1, -3, 1])
    assert np.isnan(divisors(means, "github", 10)[0]) and divisors(means, "hf", 10)[8] == 1e-6


def context_of(tmp_path, obs, **settings):
    """The first three tokens of a cell with these columns."""
    model = load_nicheformer(write_nicheformer(tmp_path / "w"), **settings)
    columns = {name: np.array([value]) for name, value in obs.items()}
    return model.tokenise(block_of(np.ones((1, 40)), obs=columns)).tokens["ids"][:3].tolist()


@pytest.mark.parametrize(
    ("obs", "settings", "expected"),
    [
        ({}, {}, [1, 1, 1]),
        ({}, {"means": "hf"}, [2, 2, 2]),  # [PAD] of this release
        ({}, {"specie": "Mus musculus", "assay": "10x 3' v3", "modality": "4"}, [6, 11, 4]),
        ({"specie": "MOUSE", "assay": "10x_5_v2"}, {"modality": "dissociated"}, [6, 10, 3]),
        ({"specie": 5.0, "assay": 12, "modality": "nan"}, {}, [5, 12, 1]),
        ({"assay": "Visium", "modality": 9}, {}, [1, 1, 1]),
        ({"assay": "Visium"}, {"assay": "xenium"}, [1, 9, 1]),
        ({"organism": "human"}, {"specie_column": "organism"}, [5, 1, 1]),
    ],
)
def test_context_is_of_columns_or_settings_and_else_left_open(tmp_path, caplog, obs, settings, expected):
    assert context_of(tmp_path, obs, **settings) == expected
    assert ("'Visium'" in caplog.text) is ("Visium" in obs.values())


def test_a_setting_that_the_cells_contradict_or_the_model_does_not_know_is_refused(tmp_path):
    with pytest.raises(DataError, match="names another specie"):
        context_of(tmp_path / "a", {"specie": "mouse"}, specie="human")
    with pytest.raises(ConfigError, match=r"assay='Visium'.*merfish"):
        context_of(tmp_path / "b", {}, assay="Visium")


def test_spatial_cells_under_means_of_dissociated_ones_are_warned_of(tmp_path, caplog):
    context_of(tmp_path, {"modality": "spatial"})
    assert "--set technology=" in caplog.text


def test_filling_that_genes_attend_to_cannot_be_left_out(tmp_path):
    with pytest.raises(ConfigError, match=r"filling=false.* 2"):
        load_nicheformer(write_nicheformer(tmp_path), means="hf", filling=False)


def test_a_cell_in_which_nothing_may_be_attended_to_is_refused(tmp_path):
    model = load_nicheformer(write_nicheformer(tmp_path), min_expressed_genes=0)
    assert model.tokenise(block_of(np.zeros((1, 40)))).refused[0].startswith("has neither")
    human = load_nicheformer(tmp_path, min_expressed_genes=0, specie="human")
    assert human.tokenise(block_of(np.zeros((1, 40)))).refused == [""]


def test_an_order_of_genes_that_is_not_the_vocabulary_s_is_refused(golden, tmp_path):
    folder = shutil.copytree(golden[0] / "Nicheformer", tmp_path / "Nicheformer")
    shutil.copytree(golden[0] / "model_means", tmp_path / "model_means")
    path = folder / "vocab.json"
    tokens = json.loads(path.read_text())
    genes = [token for token in tokens if token.startswith("ENSG")]
    tokens[genes[0]], tokens[genes[1]] = tokens[genes[1]], tokens[genes[0]]
    path.write_text(json.dumps(tokens))
    with pytest.raises(ModelError, match=r"model\.h5ad"):
        load_nicheformer(folder)
