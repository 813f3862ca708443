"""Extraction gives the same bytes whatever the batch, the order, the threads or the interruptions."""

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
    write_geneformer,
    write_h5ad,
    write_scfoundation,
    write_scgpt,
    write_tahoe_x1,
)
from scipy import sparse

import layerscope.extraction.engine as engine_module
from layerscope.errors import ConfigError, DataError, ModelError
from layerscope.extraction.embeddings_file import read_layer, read_provenance
from layerscope.extraction.engine import Engine
from layerscope.models.base import pack

ROOT = Path(__file__).parents[2]
N_GENES = 40
WRITERS = {
    "scfoundation": write_scfoundation,
    "tahoe_x1": write_tahoe_x1,
    "scgpt": write_scgpt,
    "geneformer": write_geneformer,
}
SYMBOLS = ("scfoundation", "scgpt")


def genes_of(family: str) -> list[str]:
    return [f"G{i}" if family in SYMBOLS else f"ENSG{i:011d}" for i in range(N_GENES)]


@pytest.fixture(params=WRITERS)
def study(request, tmp_path):
    """A family with its weights and a file of 60 cells."""
    family = request.param
    weights = WRITERS[family](tmp_path / "weights", N_GENES)
    cells = write_h5ad(tmp_path / "cells.h5ad", counts(60, N_GENES), genes_of(family))
    return family, weights, cells, tmp_path


def extracted(study, name="out.h5ad", cells=None, **job):
    family, weights, default, folder = study
    return run_extraction(weights, cells or default, folder / name, family, **job)


def test_golden_cells_through_the_whole_engine(tmp_path):
    with np.load(SCFOUNDATION / "input_counts.npz") as stored, np.load(SCFOUNDATION / "expected.npz") as e:
        cells = write_h5ad(tmp_path / "s.h5ad", stored["counts"], stored["gene_names"])
        path = run_extraction(SCFOUNDATION, cells, tmp_path / "so.h5ad", "scfoundation", settings=GENE_LIST)
        for layer in range(4):
            found = read_layer(path, f"{layer:02d}").matrix[:10]
            np.testing.assert_allclose(found, e["token_S"][layer, :10], **TOLERANCE)
        np.testing.assert_allclose(
            read_layer(path, "official").matrix[:10], e["official_all_F_t4"][:10], **TOLERANCE
        )
    matrix, genes = golden_tahoe_counts("A")
    cells = write_h5ad(tmp_path / "t.h5ad", matrix, genes)
    path = run_extraction(TAHOE_A, cells, tmp_path / "to.h5ad", "tahoe_x1", settings={"max_length": 1000})
    with np.load(GOLDEN / "tahoe_x1" / "A" / "full.npz") as e:
        for layer in range(4):
            found = read_layer(path, f"{layer:02d}").matrix[:11]
            np.testing.assert_allclose(found, e["pool_cls"][:, layer], **TOLERANCE)
        found = read_layer(path, "official").matrix[:11]
        np.testing.assert_allclose(found, e["cell_emb_official"], **TOLERANCE)


@pytest.mark.parametrize(("generation", "last"), [("v1", "cell_mean"), ("v2", "cls")])
def test_golden_cells_of_geneformer_through_the_whole_engine(tmp_path, generation, last):
    with np.load(GENEFORMER / f"golden_{generation}.npz") as e:
        cells = write_h5ad(tmp_path / "cells.h5ad", e["counts"], e["ensembl_ids"])
        weights = {"v1": GENEFORMER_V1, "v2": GENEFORMER_V2}[generation]
        path = run_extraction(weights, cells, tmp_path / "out.h5ad", "geneformer")
        assert read_provenance(path)["values"] == "counts, whole or not"
        for layer in range(4):
            found = read_layer(path, f"{layer:02d}").matrix
            np.testing.assert_allclose(found, e[f"{last}_stable"][layer], **TOLERANCE)
        found = read_layer(path, "official").matrix
        np.testing.assert_allclose(found, e[f"{last}_stable"][2], **TOLERANCE)


def test_golden_cells_of_scgpt_through_the_whole_engine(tmp_path):
    with np.load(SCGPT / "golden.npz") as e:
        cells = write_h5ad(tmp_path / "cells.h5ad", e["counts"], e["genes"])
        chosen = {"binning": "highest"}
        path = run_extraction(SCGPT, cells, tmp_path / "out.h5ad", "scgpt", settings=chosen)
        model = load_scgpt(**chosen)
        vocabulary = over_vocabulary(e["counts"], e["genes"], model.vocabulary.genes)
        with torch.inference_mode():
            batch = pack(model.tokenise(vocabulary))
            for layer, hidden in model.layers(batch):
                found = read_layer(path, f"{layer:02d}").matrix
                np.testing.assert_allclose(found, model.pool(hidden, batch, "cls").numpy(), **TOLERANCE)
            official = model.official(hidden, batch).numpy()
        np.testing.assert_allclose(read_layer(path, "official").matrix, official, **TOLERANCE)
    assert read_provenance(path)["settings"]["binning"] == "highest"


@pytest.mark.parametrize("pooling", ["", "mean_genes"])
def test_budget_windows_and_threads_change_no_byte(study, monkeypatch, pooling):
    expected = extracted(study, pooling=pooling).read_bytes()
    for budget in (37, 100_000):
        found = extracted(study, f"budget{budget}.h5ad", token_budget=budget, pooling=pooling)
        assert found.read_bytes() == expected
    before = torch.get_num_threads()
    for threads in (1, 2, 4):
        found = extracted(study, f"threads{threads}.h5ad", threads=threads, pooling=pooling)
        assert found.read_bytes() == expected
    torch.set_num_threads(before)
    monkeypatch.setattr(engine_module, "WINDOW_CELLS", 7)
    assert extracted(study, "windows.h5ad", pooling=pooling).read_bytes() == expected
    monkeypatch.setattr(engine_module, "SHARD_BYTES", 700)
    assert extracted(study, "shards.h5ad", pooling=pooling).read_bytes() == expected


def test_the_order_of_cells_and_columns_changes_no_bit(study):
    family, _, _, folder = study
    matrix, genes = counts(60, N_GENES), np.array(genes_of(family))
    draw = np.random.default_rng(1)
    cells, columns = draw.permutation(60), draw.permutation(N_GENES)
    mixed = write_h5ad(
        folder / "mixed.h5ad",
        matrix[np.ix_(cells, columns)],
        genes[columns],
        [f"cell{i}" for i in cells],
    )
    one, other = all_layers(extracted(study)), all_layers(extracted(study, "mixed_out.h5ad", mixed))
    for layer in one:
        np.testing.assert_array_equal(one[layer][cells], other[layer])


def test_genes_outside_the_vocabulary_change_nothing(study):
    family, _, _, folder = study
    matrix = counts(60, N_GENES)
    wider = np.hstack([np.full((60, 3), 9), matrix])
    cells = write_h5ad(folder / "wider.h5ad", wider, ["x", "y", "z", *genes_of(family)])
    one, other = all_layers(extracted(study)), all_layers(extracted(study, "wider_out.h5ad", cells))
    for layer in one:
        np.testing.assert_array_equal(one[layer], other[layer])


def test_columns_of_one_gene_are_summed_and_versions_are_nothing(study):
    family, _, _, folder = study
    matrix, genes = counts(60, N_GENES), genes_of(family)
    part = matrix // 3
    symbols = family in SYMBOLS
    names = [gene if symbols else f"{gene}.{i}" for i, gene in enumerate(genes)]
    cells = write_h5ad(
        folder / "twice.h5ad",
        np.hstack([part, matrix - part]),
        [f"column{i}" for i in range(2 * N_GENES)],
        **{"symbol" if symbols else "ensembl_id": [*genes, *names]},
    )
    one, other = all_layers(extracted(study)), all_layers(extracted(study, "twice_out.h5ad", cells))
    for layer in one:
        np.testing.assert_array_equal(one[layer], other[layer])


def test_stored_zeros_dense_and_csc_matrices_are_all_the_same(study):
    _, _, cells, folder = study
    read = ad.read_h5ad(cells)
    expected = all_layers(extracted(study))
    dense, csc, zeros, layer = (read.copy() for _ in range(4))
    dense.X = read.X.toarray()
    csc.X = read.X.tocsc()
    everything = np.ones(read.shape, dtype=bool).nonzero()
    zeros.X = sparse.csr_matrix((read.X.toarray().ravel(), everything), shape=read.shape)
    assert zeros.X.nnz == zeros.X.shape[0] * zeros.X.shape[1]
    layer.layers["kept"], layer.X = read.X, read.X * 2
    for name, variant, chosen in (
        ("dense", dense, {}),
        ("csc", csc, {}),
        ("zeros", zeros, {}),
        ("layer", layer, {"matrix": "layers/kept"}),
    ):
        stored = folder / f"{name}.h5ad"
        variant.write_h5ad(stored)
        found = all_layers(extracted(study, f"{name}_out.h5ad", stored, settings=chosen))
        for which, matrix in expected.items():
            np.testing.assert_array_equal(found[which], matrix)


def test_a_refused_cell_is_a_row_of_nan_in_every_layer_with_its_reason(study):
    path = extracted(study)
    for matrix in all_layers(path).values():
        assert np.isnan(matrix[-1]).all()
        assert np.isfinite(matrix[:-1]).all()
    assert read_layer(path, "01").refused == [""] * 59 + ["expresses no gene of the vocabulary"]
    provenance = read_provenance(path)
    assert provenance["n_refused"] == 1
    assert provenance["refused"] == {"expresses no gene of the vocabulary": 1}


def test_the_provenance_says_how_it_was_made_and_not_where(study):
    family, _, _, folder = study
    path = extracted(study, name="o.h5ad", control="gene_permuted", control_seed=5, seed=2)
    found = read_provenance(path)
    assert found["family"] == family and found["n_layers"] == 2 and found["hidden_size"] == 16
    assert (found["control"], found["control_seed"], found["seed"]) == ("gene_permuted", 5, 2)
    assert found["gene_match_rate"] == 1 and len(found["weights_sha256"]) == 64
    assert str(folder) not in json.dumps(found)


def test_what_a_checkpoint_was_trained_on_is_passed_on(study):
    (study[1] / "provenance.json").write_text('{"trained_on": "simulated atlas"}')
    assert read_provenance(extracted(study))["trained_on"] == "simulated atlas"


@pytest.mark.parametrize("control", ["untrained", "gene_permuted", "values_permuted"])
def test_controls_go_through_the_same_engine(study, control):
    trained = all_layers(extracted(study))
    one = extracted(study, "one.h5ad", control=control, control_seed=1)
    again = extracted(study, "again.h5ad", control=control, control_seed=1, token_budget=50)
    other = extracted(study, "other.h5ad", control=control, control_seed=2)
    assert one.read_bytes() == again.read_bytes()
    last = "02"
    assert not np.array_equal(all_layers(one)[last], trained[last], equal_nan=True)
    assert not np.array_equal(all_layers(one)[last], all_layers(other)[last], equal_nan=True)


def test_half_precision_stays_close_and_is_told_in_the_provenance(study):
    exact = all_layers(extracted(study))
    path = extracted(study, "half.h5ad", dtype="bfloat16", stored_dtype="float16")
    assert read_provenance(path)["dtype"] == "bfloat16"
    for layer, matrix in all_layers(path).items():
        a, b = exact[layer][:-1], matrix[:-1]
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min() > 0.999


def test_the_budget_halves_itself_when_memory_runs_out(study, monkeypatch, caplog):
    expected = extracted(study).read_bytes()
    whole = Engine._forward

    def forward(self, window, cells):
        if window.sentences.lengths[cells].sum() > 100:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return whole(self, window, cells)

    monkeypatch.setattr(Engine, "_forward", forward)
    caplog.set_level("INFO")
    assert extracted(study, "small.h5ad", token_budget=700).read_bytes() == expected
    assert "the budget is now 87 tokens" in caplog.text


def test_a_cell_that_does_not_fit_alone_ends_the_run_with_a_remedy(study, monkeypatch):
    def forward(self, window, cells):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Engine, "_forward", forward)
    with pytest.raises(ModelError, match="does not fit into the memory"):
        extracted(study)


def test_other_runtime_errors_are_not_swallowed(study, monkeypatch):
    def forward(self, window, cells):
        raise RuntimeError("a defect")

    monkeypatch.setattr(Engine, "_forward", forward)
    with pytest.raises(RuntimeError, match="a defect"):
        extracted(study)


def test_values_that_are_not_finite_end_the_run(study, monkeypatch):
    family = study[0]
    module = "layerscope.models." + family
    loaded = sys.modules[module].load

    def broken(*args):
        model = loaded(*args)
        with torch.no_grad():
            next(p for n, p in model.module.named_parameters() if "out_proj.weight" in n).fill_(torch.inf)
        return model

    monkeypatch.setattr(sys.modules[module], "load", broken)
    with pytest.raises(ModelError, match=r"layer 01 of cell 'cell.*' is not finite"):
        extracted(study)


@pytest.mark.parametrize(
    ("value", "message"), [(-1.0, "negative"), (np.nan, "not finite"), (np.inf, "not finite")]
)
def test_values_that_no_model_takes_are_refused(study, value, message):
    family, _, _, folder = study
    matrix = counts(60, N_GENES).astype(float)
    matrix[3, 4] = value
    cells = write_h5ad(folder / "bad.h5ad", matrix, genes_of(family))
    with pytest.raises(DataError, match=message):
        extracted(study, cells=cells)


def test_scfoundation_refuses_what_is_neither_counts_nor_said_to_be_log_normalised(tmp_path):
    weights = write_scfoundation(tmp_path / "weights", N_GENES)
    raw = counts(60, N_GENES)[:-1]
    matrix = np.log1p(raw / raw.sum(axis=1, keepdims=True) * 1e4)
    cells = write_h5ad(tmp_path / "cells.h5ad", matrix, genes_of("scfoundation"))
    with pytest.raises(DataError, match="values: log_normalised"):
        run_extraction(weights, cells, tmp_path / "o.h5ad", "scfoundation")
    settings = {"values": "log_normalised"}
    path = run_extraction(weights, cells, tmp_path / "o.h5ad", "scfoundation", settings=settings)
    assert read_provenance(path)["values"] == "log_normalised"
    with pytest.raises(ConfigError, match="takes counts"):
        flag = {**settings, "pre_normalized": "F"}
        run_extraction(weights, cells, tmp_path / "p.h5ad", "scfoundation", settings=flag)


def test_geneformer_takes_scaled_counts_for_counts_and_refuses_logarithms(tmp_path):
    weights = write_geneformer(tmp_path / "weights", N_GENES)
    raw, genes = counts(60, N_GENES)[:-1], genes_of("geneformer")
    scaled = raw / raw.sum(axis=1, keepdims=True) * 2.0**20
    one, other = (
        all_layers(
            run_extraction(
                weights,
                write_h5ad(tmp_path / f"{name}.h5ad", matrix, genes),
                tmp_path / f"{name}_out.h5ad",
                "geneformer",
            )
        )
        for name, matrix in (("raw", raw), ("scaled", scaled))
    )
    for layer in one:
        np.testing.assert_array_equal(one[layer], other[layer])
    logged = write_h5ad(tmp_path / "logged.h5ad", np.log1p(scaled), genes)
    with pytest.raises(DataError, match="values in proportion to them, but this looks like natural log"):
        run_extraction(weights, logged, tmp_path / "o.h5ad", "geneformer")
    with pytest.raises(ConfigError, match="takes counts"):
        chosen = {"values": "log_normalised"}
        run_extraction(weights, logged, tmp_path / "o.h5ad", "geneformer", settings=chosen)


def test_tahoe_x1_takes_any_monotone_transform_and_gives_the_same(tmp_path):
    weights = write_tahoe_x1(tmp_path / "weights", N_GENES)
    raw = counts(60, N_GENES)[:-1]
    genes = genes_of("tahoe_x1")
    cells = write_h5ad(tmp_path / "raw.h5ad", raw, genes)
    logged = write_h5ad(tmp_path / "log.h5ad", np.log1p(raw / raw.sum(axis=1, keepdims=True) * 1e4), genes)
    one = all_layers(run_extraction(weights, cells, tmp_path / "a.h5ad", "tahoe_x1"))
    other = all_layers(run_extraction(weights, logged, tmp_path / "b.h5ad", "tahoe_x1"))
    for layer in one:
        np.testing.assert_array_equal(one[layer], other[layer])


@pytest.mark.parametrize(
    ("job", "error", "message"),
    [
        ({"layers": 12}, ModelError, "has 2 layers, the study says 12"),
        ({"pooling": "sum"}, ConfigError, "no pooling 'sum'; choose one of"),
        ({"settings": {"matrix": "layers/counts"}}, DataError, "no matrix 'layers/counts'"),
        ({"settings": {"gene_column": "symbols"}}, DataError, "no column 'symbols'"),
        ({"settings": {"hue": "1"}}, ConfigError, "no setting 'hue'"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(study, job, error, message):
    with pytest.raises(error, match=message):
        extracted(study, **job)


def command(study, output: Path) -> list[str]:
    family, weights, cells, _ = study
    script = str(ROOT / "scripts" / "extract_layers.py")
    given = {"family": family, "weights": weights, "cells": cells, "output": output, "threads": 1}
    return [sys.executable, script, *(f"--{k}={v}" for k, v in given.items()), "--token-budget=1"]


@pytest.mark.parametrize("study", ["scfoundation"], indirect=True)
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(study, monkeypatch):
    expected = extracted(study).read_bytes()
    output = study[3] / "killed.h5ad"
    shards = output.with_name(f".partial.{output.name}.shards")
    slow = (
        "import time, runpy, sys; import layerscope.extraction.engine as e;"
        "e.SHARD_SECONDS = 0.0; e.WINDOW_CELLS = 16; f = e.Engine._forward;"
        "e.Engine._forward = lambda *a: (time.sleep(0.05), f(*a))[1];"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    done = []
    for wanted in (5, 25, 45):
        process = subprocess.Popen(
            [sys.executable, "-c", slow, *command(study, output)[1:]],
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and len(list(shards.glob("*.bin"))) < wanted:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not output.exists()
        done.append(len((shards / "journal.jsonl").read_bytes().splitlines()))
    assert 5 < done[0] < done[1] < done[2]
    ran = subprocess.run(command(study, output), env=environment, capture_output=True, text=True, check=True)
    assert "taking up an interrupted run" in ran.stderr
    assert output.read_bytes() == expected
    assert not shards.exists()
