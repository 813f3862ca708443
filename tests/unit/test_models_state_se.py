"""State Embedding gives what its owners' code gives from the same draws; values are what is declared."""

import shutil

import numpy as np
import pytest
import torch
from cell_files import write_h5ad
from model_examples import arrays, block_of, official, run_extraction, states, tokens_of_cell
from state_se_examples import RUNS, SETS, as_drawn, golden_block, golden_counts, load_state_se, write_state_se

from layerscope.errors import DataError, ModelError
from layerscope.extraction.embeddings_file import read_layer

STAGE, OFFICIAL, VALUE = 5e-5, 1e-5, 1e-5  # of the golden set's README; values are up to 100


@pytest.fixture(scope="module", params=SETS)
def golden(request):
    return load_state_se(request.param, min_expressed_genes=0), arrays(request.param / "golden.npz")


@pytest.mark.parametrize("run", RUNS)
def test_every_stage_and_the_official_embedding_are_the_owners(golden, run):
    model, expected = golden
    hidden, batch = states(model, as_drawn(model, expected, run))
    stages = [f"{run}_h{layer}" for layer in range(len(hidden))]
    for ours, name in zip(hidden, stages, strict=True):
        if name in expected:
            np.testing.assert_allclose(ours.reshape(expected[name].shape), expected[name], rtol=0, atol=STAGE)
    with torch.inference_mode():
        np.testing.assert_allclose(
            model.official(hidden[-1], batch), expected[f"{run}_official"], rtol=0, atol=OFFICIAL
        )
        cls = model.pool(hidden[-1], batch, "cls")
        n_genes = batch.cells["n_genes"].tolist()
        mean_genes = model.pool(hidden[-1], batch, "mean_genes").numpy()
    last = expected[stages[-1]]
    np.testing.assert_allclose(cls, last[:, 0], rtol=0, atol=STAGE)
    for cell, n in enumerate(n_genes):
        theirs = last[cell, 1 : n + 1].mean(axis=0) if n else np.full(last.shape[-1], np.nan)
        np.testing.assert_allclose(mean_genes[cell], theirs, rtol=0, atol=STAGE)


def ways(expected, run):
    """Whether the owners' code took each cell for logarithms."""
    return ~expected[f"{'raw' if run == 'reversed' else run}_treated_as_raw"]


@pytest.mark.parametrize("run", RUNS)
def test_sentences_are_the_owners_but_for_what_they_draw(golden, run):
    model, expected = golden
    ours = {are: model.tokenise(golden_block(model, expected, run, logarithms=are)) for are in (False, True)}
    counts, genes = golden_counts(expected, run)
    known = [place for place in map(model.vocabulary.place, map(str, genes)) if place >= 0]
    for cell, are_logarithms in enumerate(ways(expected, run)):
        ids, values = (tokens_of_cell(ours[are_logarithms], cell, name) for name in ("ids", "values"))
        theirs, of_theirs = expected[f"{run}_tokens"][cell, 1:], expected[f"{run}_token_counts"][cell]
        assert (ids[0], ids[-1], values[-1]) == (model.module.cell_id, model.module.dataset_id, 0)
        n_expressed = ours[are_logarithms].cells["n_genes"][cell]
        if n_expressed:
            np.testing.assert_allclose(values[:-1], of_theirs, rtol=0, atol=VALUE)
        else:
            np.testing.assert_allclose(values[:-1], 100 / len(known), rtol=1e-6)
        for value in np.unique(values[1 : n_expressed + 1])[1:]:  # the lowest may be cut between equals
            assert set(ids[1:-1][values[1:-1] == value]) == set(
                theirs[np.isclose(of_theirs[1:], value, rtol=0, atol=VALUE)]
            )
        expressed = set(np.array([model.vocabulary.place(str(gene)) for gene in genes])[counts[cell] > 0])
        filling = ids[n_expressed + 1 : -1]
        assert set(filling) <= set(known) - expressed
        assert len(known) < model.room or len(set(filling)) == len(filling)


def test_counts_are_counts_however_few_and_logarithms_are_what_is_declared(golden, tmp_path):
    model, expected = golden
    counts, genes = golden_counts(expected, "raw")
    assert ways(expected, "raw").any()  # cells that the owners' code takes for logarithms by their size
    paths = {
        "counts": write_h5ad(tmp_path / "c.h5ad", counts, genes),
        "log_normalised": write_h5ad(tmp_path / "l.h5ad", np.log1p(counts), genes),
    }
    layers = {}
    for values, path in paths.items():
        settings = {"values": values, "sampling": "fixed"}
        layers[values] = run_extraction(
            model.weights.parent, path, tmp_path / f"{values}.out.h5ad", "state_se", settings=settings
        )
    both = [read_layer(layers[values], "official") for values in paths]
    np.testing.assert_allclose(both[0].matrix, both[1].matrix, rtol=0, atol=OFFICIAL)
    n_known = model.tokenise(golden_block(model, expected, "raw", logarithms=False)).cells["n_genes"]
    assert [bool(reason) for reason in both[0].refused] == [n == 0 for n in n_known]


def test_without_chance_ties_and_others_go_by_token(tmp_path):
    model = load_state_se(write_state_se(tmp_path), sampling="fixed", gene_order="vocabulary")
    dense = np.zeros((2, 40))
    dense[0, [5, 9, 7]] = 3, 8, 3
    ids = tokens_of_cell(model.tokenise(block_of(dense)), 0)
    assert ids.tolist() == [40, 9, 5, 7, *(i for i in range(23) if i not in (5, 7, 9)), 41]
    narrow = np.where(np.arange(40) < 6, np.arange(40), -1)  # a panel of six genes
    dense[:, 6:], dense[1, :6] = 0, 1
    dense[0, [0, 1, 2, 4]] = 1
    sentences = model.tokenise(block_of(dense, gene_columns=narrow))
    assert tokens_of_cell(sentences, 0)[6:-1].tolist() == [3] * 18
    assert tokens_of_cell(sentences, 1).tolist() == [40, 0, 1, 2, 3, 4, 5, 41]  # none is left to fill with


@pytest.mark.parametrize("sampling", ["random", "fixed"])
def test_the_cell_token_has_the_value_of_a_gene_by_its_number(tmp_path, sampling):
    folder, dense = write_state_se(tmp_path), np.zeros((1, 40))
    dense[0, [2, 37]] = 1, 7
    for order, gene in (("columns", 37), ("vocabulary", 2)):
        model = load_state_se(folder, gene_order=order, sampling=sampling)
        sentences = model.tokenise(block_of(dense, gene_columns=np.arange(40)[::-1]))
        share = 100 * np.log1p(dense[0, gene]) / np.log1p(dense).sum()
        assert tokens_of_cell(sentences, 0, "values")[0] == pytest.approx(share)
    with pytest.raises(DataError, match="2 genes"):
        model.tokenise(block_of(dense, gene_columns=np.where(np.arange(40) < 2, 0, -1)))


def test_the_official_embedding_of_the_cell_alone_is_its_first_part(golden):
    model, expected = golden
    alone = load_state_se(model.weights.parent, official="cell", min_expressed_genes=0)
    theirs = expected["raw_cell_embedding"]
    np.testing.assert_allclose(
        official(alone, as_drawn(alone, expected, "raw")), theirs, rtol=0, atol=OFFICIAL
    )
    assert alone.widths("cls")[1] == theirs.shape[1] < model.widths("cls")[1]


@pytest.mark.parametrize("named", [True, False])
def test_the_trainers_checkpoint_is_refused_with_what_it_wants_to_import(golden, tmp_path, named):
    folder = shutil.copytree(golden[0].weights.parent, tmp_path / "release")
    if not named:
        (folder / "model.safetensors").unlink()
    (pickled,) = folder.glob("*.ckpt")
    with pytest.raises(ModelError, match=rf"{pickled.name}: .*wants to import .*vci.*model\.safetensors"):
        load_state_se(folder, **({"checkpoint": pickled.name} if named else {}))
