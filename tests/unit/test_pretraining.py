"""Pretraining: releases that the real loaders read, the same for the same seed, and that have learned."""

import json

import numpy as np
import pytest
import torch
from cell_files import adata_of, write_canonical

import pretrain_model
from layerscope.demo.corpus import Corpus, gene_names
from layerscope.demo.muon import orthogonalised
from layerscope.demo.objectives import OBJECTIVES
from layerscope.demo.pretraining import _corpus, pretrain, rate_at
from layerscope.demo.settings import Pretraining
from layerscope.demo.simulation import simulate
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.cell_stream import CellStream
from layerscope.models.catalogue import implementation
from layerscope.models.settings import Settings

FAMILIES = tuple(OBJECTIVES)
SYMBOLS = [f"Gene{i}" for i in range(30)]
COUNTS = np.random.default_rng(0).poisson(0.7, (60, 30))
TINY = {"layers": 2, "hidden": 16, "heads": 2, "steps": 3, "batch": 8, "tokens": 24}


def of_symbols(path, counts, **provenance):
    """Canonical cells whose genes have symbols and no Ensembl ids."""
    return write_canonical(path, adata_of(counts, SYMBOLS), **provenance)


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    adata = simulate("atlas", {"cells": 400, "genes": 300, "damaged_share": 0.0, "empty_share": 0.0}, seed=1)
    return write_canonical(tmp_path_factory.mktemp("cells") / "cells.h5ad", adata, condition="atlas")


def ragged(n_cells=12, n_genes=40, seed=0):
    """A corpus of cells that express 1, 2, ... genes and more."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(1 + 3 * np.arange(n_cells), n_genes)
    genes = [np.sort(rng.choice(n_genes, length, replace=False)) for length in lengths]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = rng.uniform(1, 5, offsets[-1]).astype(np.float32)
    return Corpus(offsets, np.concatenate(genes), values, np.zeros(n_cells, np.float32), n_genes)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_real_loader_reads_what_is_written_and_finds_its_genes(family, atlas, tmp_path):
    pretrain(family, atlas, TINY, seed=1, threads=1, output=tmp_path)
    model = implementation(family).load(tmp_path, Settings({}, family), 0)
    assert (model.n_layers, model.hidden_size) == (2, 16)
    assert list(model.vocabulary.genes) == gene_names(atlas, family)
    assert len(model.vocabulary.genes) == 300


def test_all_submodels_of_scfoundation_are_there_and_hold_tensors_and_plain_containers_only(atlas, tmp_path):
    pretrain("scfoundation", atlas, TINY, seed=1, threads=1, output=tmp_path)
    stored = torch.load(tmp_path / "models.ckpt", weights_only=True)
    assert set(stored) == {"gene", "cell", "rde"}
    assert all(name.startswith("model.") for name in stored["cell"]["state_dict"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_command_gives_the_same_bytes_and_another_seed_does_not(family, atlas, tmp_path):
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        pretrain(family, atlas, TINY, seed=seed, threads=2, output=tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    weights = next(name for name in files if name.endswith((".ckpt", ".safetensors")))
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert (tmp_path / "one" / weights).read_bytes() != (tmp_path / "other" / weights).read_bytes()


@pytest.mark.parametrize(("family", "steps"), [("scfoundation", 60), ("tahoe_x1", 150)])
def test_training_beats_predicting_means_and_moves_every_block(family, steps, atlas, tmp_path):
    settings = TINY | {"hidden": 32, "steps": steps, "batch": 32, "tokens": 48}
    told = pretrain(family, atlas, settings, seed=1, threads=2, output=tmp_path)
    error = told["held_out_mean_squared_error"]
    assert error["model"] < 0.98 * error["gene_means"] < error["mean"]
    assert told["loss"][-1][1] < told["loss"][0][1]
    trained = implementation(family).load(tmp_path, Settings({}, family), 0).module
    first = OBJECTIVES[family](300, 2, 32, 2, 1).encoder
    moved = {n: not torch.equal(p, dict(first.named_parameters())[n]) for n, p in trained.named_parameters()}
    assert all(is_moved for name, is_moved in moved.items() if "layers." in name or "encoder." in name)


def test_what_the_model_was_trained_on_is_written_beside_it(atlas, tmp_path):
    arguments = ["--family", "tahoe_x1", "--cells", str(atlas), "--settings", json.dumps(TINY), "--seed", "1"]
    pretrain_model.main([*arguments, "--threads", "1", "--output", str(tmp_path)])
    told = json.loads((tmp_path / "provenance.json").read_text())
    assert told["trained_on"].startswith("atlas (360 cells, 300 genes)")
    assert set(told["held_out_mean_squared_error"]) == {"model", "gene_means", "mean"}
    assert told["settings"]["layers"] == 2
    assert [step for step, _ in told["loss"]] == [1, 2, 3]


@pytest.mark.parametrize("family", FAMILIES)
def test_log_normalised_cells_with_symbols_alone_can_be_trained_on(family, tmp_path):
    logged = np.log1p(COUNTS / COUNTS.sum(axis=1, keepdims=True) * 1e4)
    cells = of_symbols(tmp_path / "cells.h5ad", logged, values="log_normalised")
    told = pretrain(family, cells, TINY, seed=1, threads=1, output=tmp_path / "weights")
    assert np.isfinite(told["held_out_mean_squared_error"]["model"])
    model = implementation(family).load(tmp_path / "weights", Settings({}, family), 0)
    assert list(model.vocabulary.genes) == SYMBOLS


def test_no_visible_gene_is_predicted_and_every_other_one_is():
    corpus = ragged()
    draw = corpus.draw(np.arange(12), masked=0.3, max_visible=16, rng=np.random.default_rng(1))
    expressed = draw.target > 0
    assert expressed.sum() == corpus.offsets[-1]
    visible = np.zeros_like(expressed)
    visible[draw.owner[~draw.hidden], draw.gene[~draw.hidden]] = True
    assert (expressed & visible).sum() == visible.sum() > 0
    assert np.array_equal(draw.scored, ~visible)
    assert (draw.target[draw.owner, draw.gene] == draw.value).all()
    assert (visible.sum(axis=1) <= 16).all() and (visible.sum(axis=1) >= 1).all()
    assert (np.diff(visible.sum(axis=1)) >= 0).all(), "cells are ordered by length"


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_to_be_predicted_is_not_among_the_inputs(family):
    corpus = ragged()
    objective = OBJECTIVES[family](corpus.n_genes, 1, 16, 2, seed=0)
    draw = corpus.draw(np.arange(12), 0.3, 16, np.random.default_rng(1))
    shown = objective.inputs(corpus, draw, None)
    altered = draw.target.copy()
    altered[draw.scored] = 7.0
    values = np.where(draw.hidden, np.float32(7.0), draw.value)
    other = objective.inputs(corpus, type(draw)(**{**vars(draw), "target": altered, "value": values}), None)
    for column, tensor in shown.batch.tokens.items():
        assert torch.equal(tensor, other.batch.tokens[column])
    assert not torch.equal(shown.target, other.target)


def test_sentences_are_those_of_the_tokenisers(atlas, tmp_path):
    """With nothing masked away, what training feeds a model is what its own tokeniser makes of the cell."""
    for family in FAMILIES:
        genes = gene_names(atlas, family)
        objective = OBJECTIVES[family](len(genes), 1, 16, 2, seed=0)
        corpus = _corpus(family, atlas, genes, objective, tmp_path / family)
        draw = corpus.draw(np.arange(5), 1e-9, 10_000, np.random.default_rng(0))
        whole = type(draw)(**{**vars(draw), "hidden": np.zeros(len(draw.owner), dtype=bool)})
        fed = objective.inputs(corpus, whole, None).batch
        objective.write(tmp_path / family, genes)
        model = implementation(family).load(tmp_path / family, Settings({}, family), 0)
        _, block = next(CellStream(atlas, model).blocks(np.arange(5)))
        sentences = model.tokenise(block)
        for place, cell in enumerate(draw.cells):
            rows = slice(fed.offsets[place], fed.offsets[place + 1])
            true = slice(sentences.offsets[cell], sentences.offsets[cell + 1])
            shown, full = (
                set(zip(tokens["ids"][part].tolist(), tokens["values"][part].tolist(), strict=True))
                for tokens, part in ((fed.tokens, rows), (sentences.tokens, true))
            )
            assert shown <= full
            assert len(shown) >= len(full) - 8, "genes are shown in multiples of eight"


def test_orthogonalised_steps_are_of_one_size_in_every_direction():
    draw = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, 40, 16, generator=draw) * torch.logspace(0, -2, 16)
    for result in (orthogonalised(matrices), orthogonalised(matrices.mT).mT):
        singular = torch.linalg.svdvals(result)
        assert singular.max() < 1.4 and singular.min() > 0.5
        left, _, right = torch.linalg.svd(matrices, full_matrices=False)
        assert torch.nn.functional.cosine_similarity(result.flatten(), (left @ right).flatten(), dim=0) > 0.97


def test_the_learning_rate_rises_and_falls_to_a_twentieth():
    rates = [rate_at(step, 100) for step in range(1, 101)]
    assert max(rates) == 1.0 and rates.index(1.0) == 6
    assert rates[-1] == pytest.approx(0.05)
    assert rate_at(1, 1) == 1.0


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match=r"5 heads .*64"):
        Pretraining.read({"hidden": 64, "heads": 5})


def test_too_few_cells_and_unknown_families_are_refused(tmp_path):
    cells = of_symbols(tmp_path / "cells.h5ad", COUNTS[:12])
    with pytest.raises(DataError, match=r"12 cells .*20"):
        pretrain("scfoundation", cells, TINY, seed=1, threads=1, output=tmp_path / "weights")
    with pytest.raises(ConfigError, match="'uce'"):
        pretrain("uce", cells, TINY, seed=1, threads=1, output=tmp_path / "weights")
