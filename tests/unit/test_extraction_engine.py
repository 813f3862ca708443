"""From a file of cells to a file of every layer, whatever the file looks like and after any kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import torch
from cell_files import write_h5ad
from family_examples import EXAMPLES, N_CELLS, N_GENES, assert_layers_agree, study_of
from model_examples import (
    GENE_LIST,
    GENEFORMER,
    GENEFORMER_V1,
    GENEFORMER_V2,
    GOLDEN,
    SCFOUNDATION,
    SCGPT,
    TAHOE_A,
    TOLERANCE,
    all_layers,
    counts,
    golden_tahoe_counts,
    load_scgpt,
    over_vocabulary,
    run_extraction,
)
from scipy import sparse

import layerscope.extraction.job as job_module
from layerscope.errors import ConfigError, DataError, ModelError
from layerscope.extraction.embeddings_file import read_layer, read_provenance
from layerscope.extraction.engine import Engine
from layerscope.extraction.partial_run import PartialRun
from layerscope.models.base import pack

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(tmp_path):
    return study_of(EXAMPLES["scfoundation"], tmp_path)


@pytest.fixture(params=EXAMPLES)
def study_of_each(request, tmp_path):
    return study_of(EXAMPLES[request.param], tmp_path)


@pytest.fixture(params=["scfoundation", "geneformer"])
def study_of_symbols_or_ids(request, tmp_path):
    return study_of(EXAMPLES[request.param], tmp_path)


def assert_golden(path, numbered, official):
    for layer, expected in [
        *((f"{i:02d}", matrix) for i, matrix in enumerate(numbered)),
        ("official", official),
    ]:
        np.testing.assert_allclose(read_layer(path, layer).matrix[: len(expected)], expected, **TOLERANCE)


def test_golden_cells_of_scfoundation_through_the_whole_engine(tmp_path):
    with np.load(SCFOUNDATION / "input_counts.npz") as e:
        cells = write_h5ad(tmp_path / "cells.h5ad", e["counts"], e["gene_names"])
    path = run_extraction(SCFOUNDATION, cells, tmp_path / "out.h5ad", "scfoundation", settings=GENE_LIST)
    with np.load(SCFOUNDATION / "expected.npz") as e:
        assert_golden(path, e["token_S"][:4, :10], e["official_all_F_t4"][:10])


def test_golden_cells_of_tahoe_x1_through_the_whole_engine(tmp_path):
    cells = write_h5ad(tmp_path / "cells.h5ad", *golden_tahoe_counts("A"))
    path = run_extraction(TAHOE_A, cells, tmp_path / "out.h5ad", "tahoe_x1", settings={"max_length": 1000})
    with np.load(GOLDEN / "tahoe_x1" / "A" / "full.npz") as e:
        assert_golden(path, e["pool_cls"].swapaxes(0, 1)[:4], e["cell_emb_official"])


@pytest.mark.parametrize(
    ("generation", "weights", "last"), [("v1", GENEFORMER_V1, "cell_mean"), ("v2", GENEFORMER_V2, "cls")]
)
def test_golden_cells_of_geneformer_through_the_whole_engine(tmp_path, generation, weights, last):
    with np.load(GENEFORMER / f"golden_{generation}.npz") as e:
        cells = write_h5ad(tmp_path / "cells.h5ad", e["counts"], e["ensembl_ids"])
        path = run_extraction(weights, cells, tmp_path / "out.h5ad", "geneformer")
        assert_golden(path, e[f"{last}_stable"][:4], e[f"{last}_stable"][2])
    assert read_provenance(path)["values"] == "counts, whole or not"


def test_golden_cells_of_scgpt_through_the_whole_engine(tmp_path):
    chosen = {"binning": "highest"}
    model = load_scgpt(**chosen)
    with np.load(SCGPT / "golden.npz") as e:
        cells = write_h5ad(tmp_path / "cells.h5ad", e["counts"], e["genes"])
        batch = pack(model.tokenise(over_vocabulary(e["counts"], e["genes"], model.vocabulary.genes)))
    path = run_extraction(SCGPT, cells, tmp_path / "out.h5ad", "scgpt", settings=chosen)
    with torch.inference_mode():
        pooled = [
            (model.pool(hidden, batch, "cls").numpy(), model.official(hidden, batch).numpy())
            for _, hidden in model.layers(batch)
        ]
    assert_golden(path, [cls for cls, _ in pooled], pooled[-1][1])
    assert read_provenance(path)["settings"]["binning"] == "highest"


def test_genes_outside_the_vocabulary_change_nothing(study_of_symbols_or_ids):
    study = study_of_symbols_or_ids
    wider = np.hstack([np.full((N_CELLS, 3), 9), counts(N_CELLS, N_GENES)])
    cells = write_h5ad(study.folder / "wider.h5ad", wider, ["x", "y", "z", *study.example.genes])
    assert_layers_agree(study.extract(), study.extract("wider_out.h5ad", cells))


def test_columns_of_one_gene_are_summed_and_versions_are_nothing(study_of_symbols_or_ids):
    study = study_of_symbols_or_ids
    matrix, genes = counts(N_CELLS, N_GENES), study.example.genes
    symbols = genes[0] == "G0"
    names = genes if symbols else [f"{gene}.{i}" for i, gene in enumerate(genes)]
    cells = write_h5ad(
        study.folder / "twice.h5ad",
        np.hstack([matrix // 3, matrix - matrix // 3]),
        [f"column{i}" for i in range(2 * N_GENES)],
        **{"symbol" if symbols else "ensembl_id": [*genes, *names]},
    )
    assert_layers_agree(study.extract(), study.extract("twice_out.h5ad", cells))


def test_stored_zeros_dense_and_csc_matrices_are_all_the_same(study):
    cells = ad.read_h5ad(study.cells)
    expected, dense = study.extract(), cells.X.toarray()
    everything = np.ones(cells.shape, dtype=bool).nonzero()
    zeros = sparse.csr_matrix((dense.ravel(), everything), shape=cells.shape)
    cells.layers["counts"] = cells.X.copy()
    for name, matrix in {"dense": dense, "csc": cells.X.tocsc(), "zeros": zeros, "layer": 2 * dense}.items():
        cells.X, path = matrix, study.folder / f"{name}.h5ad"
        cells.write_h5ad(path)
        chosen = {"matrix": "layers/counts"} if name == "layer" else {}
        assert_layers_agree(expected, study.extract(f"{name}_out.h5ad", path, settings=chosen))


def test_the_provenance_says_how_it_was_made_and_not_where(study):
    (study.weights / "provenance.json").write_text('{"trained_on": "simulated atlas"}')
    given = {"control": "gene_permuted", "control_seed": 5, "seed": 2}
    provenance = read_provenance(study.extract(**given))
    assert given.items() <= provenance.items()
    about = {"family": "scfoundation", "n_layers": 2, "hidden_size": 16, "trained_on": "simulated atlas"}
    assert about.items() <= provenance.items()
    assert provenance["gene_match_rate"] == 1 and len(provenance["weights_sha256"]) == 64
    assert str(study.folder) not in json.dumps(provenance)


def test_half_precision_stays_close_and_is_told_in_the_provenance(study_of_each):
    exact = all_layers(study_of_each.extract())
    path = study_of_each.extract("half.h5ad", dtype="bfloat16", stored_dtype="float16")
    assert read_provenance(path)["dtype"] == "bfloat16"
    for layer, matrix in all_layers(path).items():
        a, b = exact[layer][:-1], matrix[:-1]
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min() > 0.999


@pytest.fixture
def budgets(monkeypatch):
    """The budgets of extractions, which end before anything runs."""
    given = []
    monkeypatch.setattr(Engine, "run", lambda engine: given.append(engine.token_budget))
    monkeypatch.setattr(job_module, "write_embeddings", lambda *_: None)
    return given


def test_float32_is_not_shortened_where_the_environment_would_have_it(study, budgets):
    torch.set_float32_matmul_precision("high")
    study.extract()
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(("given", "budget"), [(0, 8192), (37, 37)])
def test_a_budget_that_is_not_set_is_the_devices_own(study, budgets, given, budget):
    study.extract(token_budget=given)
    assert budgets == [budget]


def test_the_budget_halves_itself_when_memory_runs_out(study, monkeypatch, caplog):
    expected = study.extract()
    whole = Engine._forward

    def forward(self, window, cells):
        if window.sentences.lengths[cells].sum() > 100:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return whole(self, window, cells)

    monkeypatch.setattr(Engine, "_forward", forward)
    caplog.set_level("INFO")
    assert_layers_agree(expected, study.extract("small.h5ad", token_budget=350))
    assert "now 87 tokens" in caplog.text


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), ModelError, "does not fit into the memory"),
        (RuntimeError("a defect"), RuntimeError, "a defect"),
    ],
)
def test_a_cell_that_does_not_fit_alone_and_other_errors_end_the_run(
    study, monkeypatch, raised, error, message
):
    def forward(self, window, cells):
        raise raised

    monkeypatch.setattr(Engine, "_forward", forward)
    with pytest.raises(error, match=message):
        study.extract()


def test_values_that_are_not_finite_end_the_run(study, monkeypatch):
    import layerscope.models.scfoundation as family

    load = family.load

    def broken(*args):
        model = load(*args)
        with torch.no_grad():
            model.module.stack[0].self_attn.out_proj.weight.fill_(torch.inf)
        return model

    monkeypatch.setattr(family, "load", broken)
    with pytest.raises(ModelError, match=r"layer 01 .*'cell.*finite"):
        study.extract()


@pytest.mark.parametrize(
    ("value", "message"), [(-1.0, "negative"), (np.nan, "not finite"), (np.inf, "not finite")]
)
def test_values_that_no_model_takes_are_refused(study, value, message):
    matrix = counts(N_CELLS, N_GENES).astype(float)
    matrix[3, 4] = value
    cells = write_h5ad(study.folder / "bad.h5ad", matrix, study.example.genes)
    with pytest.raises(DataError, match=message):
        study.extract(cells=cells)


def test_values_that_are_declared_logarithms_are_taken_for_them_where_the_model_takes_any(tmp_path):
    study = study_of(EXAMPLES["scfoundation"], tmp_path, n_cells=60)
    cells = write_h5ad(tmp_path / "log.h5ad", logarithms(), study.example.genes)
    declared = {"values": "log_normalised"}
    path = study.extract("o.h5ad", cells, settings=declared)
    assert read_provenance(path)["values"] == "log_normalised"
    with pytest.raises(ConfigError, match="takes counts"):
        study.extract("p.h5ad", cells, settings={**declared, "pre_normalized": "F"})


def scaled(per=2.0**20):
    raw = counts(60, N_GENES)
    return raw / raw.sum(axis=1, keepdims=True).clip(1) * per


def logarithms():
    return np.log1p(scaled(1e4))


@pytest.mark.parametrize(("family", "values"), [("geneformer", scaled), ("tahoe_x1", logarithms)])
def test_models_of_ranks_and_bins_give_the_same_for_what_keeps_these(tmp_path, family, values):
    study = study_of(EXAMPLES[family], tmp_path, n_cells=60)
    cells = write_h5ad(tmp_path / "other.h5ad", values(), study.example.genes)
    assert_layers_agree(study.extract(), study.extract("other_out.h5ad", cells))


def test_no_input_is_overwritten(study):
    for output in (study.cells, next(study.weights.rglob("models.ckpt"))):
        before = output.read_bytes()
        with pytest.raises(ConfigError, match="is the input"):
            run_extraction(study.weights, study.cells, output, "scfoundation")
        assert output.read_bytes() == before


def test_a_resumed_run_makes_the_batches_that_an_undisturbed_one_would_have_made(study, monkeypatch):
    monkeypatch.setattr("layerscope.extraction.engine.WINDOW_CELLS", 8)
    monkeypatch.setattr("layerscope.extraction.partial_run.COMMIT_SECONDS", 0.0)
    whole, batches = Engine._forward, []

    def forward(self, window, cells):
        if len(batches) == stop_at:
            raise KeyboardInterrupt
        batches.append(tuple(window.rows[cells].tolist()))
        return whole(self, window, cells)

    monkeypatch.setattr(Engine, "_forward", forward)
    stop_at = -1
    study.extract(token_budget=60)
    undisturbed, stop_at = batches.copy(), 5
    batches.clear()
    with pytest.raises(KeyboardInterrupt):
        study.extract("resumed.h5ad", token_budget=60)
    stop_at = -1
    study.extract("resumed.h5ad", token_budget=60)
    assert batches == undisturbed
    assert any(len(batch) > 1 for batch in batches)


def test_a_run_that_is_killed_while_its_parts_are_removed_can_be_run_again(study, monkeypatch):
    expected = study.extract().read_bytes()

    def killed_half_way(partial):
        (partial.folder / "run.json").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(PartialRun, "remove", killed_half_way)
    with pytest.raises(KeyboardInterrupt):
        study.extract("other.h5ad")
    monkeypatch.undo()
    for left in ("records.bin", "done.bin", "run.json"):
        assert study.extract("other.h5ad").read_bytes() == expected
        folder = study.folder / ".partial.other.h5ad.run"
        folder.mkdir()
        (folder / left).write_bytes(b"")
    assert study.extract("other.h5ad").read_bytes() == expected


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(study):
    """Six tokens a batch, and a commit after each: every kill falls into another batch of another window."""
    output = study.folder / "killed.h5ad"
    folder = output.with_name(f".partial.{output.name}.run")
    setup = (
        "import time, runpy, sys; import layerscope.extraction.engine as e;"
        "import layerscope.extraction.partial_run as p;"
        "p.COMMIT_SECONDS = 0.0; e.WINDOW_CELLS = 8; f = e.Engine._forward;"
        "e.Engine._forward = lambda *a: (time.sleep({seconds}), f(*a))[1];"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    given = {"weights": study.weights, "cells": study.cells, "threads": 1, "token-budget": 60}

    def command(seconds, output):
        options = [f"--{name}={value}" for name, value in (given | {"output": output}).items()]
        script = str(ROOT / "scripts" / "extract_layers.py")
        code = setup.format(seconds=seconds)
        return [sys.executable, "-c", code, script, "--family=scfoundation", "--device=cpu", *options]

    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    subprocess.run(command(0, study.folder / "whole.h5ad"), env=environment, check=True)

    def n_done():
        marks = folder / "done.bin"
        return sum(map(bool, marks.read_bytes())) if marks.is_file() else 0

    done = []
    for wanted in (3, 8, 13):
        process = subprocess.Popen(command(0.1, output), env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None and n_done() <= wanted:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not output.exists()
        done.append(n_done())
    assert 3 < done[0] < done[1] < done[2] < N_CELLS - 1
    ran = subprocess.run(command(0, output), env=environment, capture_output=True, text=True, check=True)
    assert "interrupted run" in ran.stderr
    assert output.read_bytes() == (study.folder / "whole.h5ad").read_bytes()
    assert not folder.exists()
