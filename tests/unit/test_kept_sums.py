"""An extraction that keeps sums: the scores of stored cells, the same bytes after every interruption."""

import anndata
import numpy as np
import pandas as pd
import pytest
from model_examples import write_scfoundation
from perturbation_cells import experiment, write

import extract_layers
import sum_layers
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import read_layers
from layerscope.extraction.engine import Engine
from layerscope.tables import read_resamples, read_scores
from layerscope.tasks.jobs import make_reference, score_layer
from layerscope.tasks.perturbation import sum_extraction
from layerscope.tasks.perturbation.design import make_design
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.strict_reference import read_reference
from layerscope.tasks.perturbation.sum_extraction import SavedSums
from layerscope.tasks.perturbation.sums_file import SumsWriter, is_sums, read_layer_sums
from layerscope.tasks.screens.design import read_design

N_GENES = 40
SETTINGS = {"cells_per_perturbation": 20, "buckets": 4, "shuffles": 3, "permutations": 99, "resamples": 100}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small network, cells of a screen of which it refuses one, their design and their references."""
    folder = tmp_path_factory.mktemp("kept")
    write_scfoundation(folder / "weights", N_GENES)
    cells = experiment(n_genes=N_GENES, cells_per_guide=12, effect=1.5)
    counts = cells.X.tolil()
    counts[7] = 0
    cells = anndata.AnnData(
        counts.tocsr(), cells.obs, pd.DataFrame({"symbol": cells.var_names}, index=cells.var_names)
    )
    write(folder / "cells.h5ad", cells)
    make_reference(
        task="perturbation",
        protocol="strict",
        condition="c",
        cells=folder / "cells.h5ad",
        settings=SETTINGS,
        output=folder / "strict",
        seed=1,
    )
    reference = read_reference(folder / "strict" / "similarity.npz")
    (folder / "paper").mkdir()
    names, values = np.array(reference.names), reference.similarity[-1, 0, 0]
    np.savez(folder / "paper" / "similarity.npz", names=names, values=values)
    extract_layers.main([*options(folder), "--output", str(folder / "stored.h5ad")])
    return folder


def options(folder):
    common = ["--family", "scfoundation", "--weights", str(folder / "weights"), "--device", "cpu"]
    return [*common, "--cells", str(folder / "cells.h5ad"), "--model", "m", "--token-budget", "400"]


def kept(folder, output, *more):
    sum_layers.main([*options(folder), "--output", str(output), *more])
    return output


def with_design(folder):
    return ["--reference", str(folder / "strict")]


def scores(folder, embeddings, layer, protocol, tmp_path):
    score_layer(
        task="perturbation",
        protocol=protocol,
        condition="c",
        model="m",
        layer=layer,
        embeddings=embeddings,
        cells=folder / "cells.h5ad",
        reference=[folder / protocol],
        settings=SETTINGS if protocol == "strict" else {"resamples": 50},
        seed=3,
        output=tmp_path / "scores.tsv",
        resamples=tmp_path / "scores.npz",
    )
    return read_scores(tmp_path / "scores.tsv").set_index("metric"), read_resamples(tmp_path / "scores.npz")


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_kept_sums_score_as_stored_cells_do(study, tmp_path, protocol):
    sums = kept(study, tmp_path / "sums.h5", *with_design(study))
    assert is_sums(sums)
    assert not is_sums(study / "stored.h5ad")
    for layer in read_layers(study / "stored.h5ad"):
        stored, stored_values = scores(study, study / "stored.h5ad", layer, protocol, tmp_path)
        found, found_values = scores(study, sums, layer, protocol, tmp_path)
        pd.testing.assert_frame_equal(stored, found, rtol=1e-6, atol=1e-9)
        assert stored_values.keys() == found_values.keys()
        for name, values in stored_values.items():
            np.testing.assert_allclose(values, found_values[name], rtol=1e-6, atol=1e-9)
    assert (stored["status"] == "ok").any()


def test_sums_are_the_same_bytes_whatever_the_interruptions(study, tmp_path, monkeypatch):
    monkeypatch.setattr(sum_extraction, "MIN_STRETCH_CELLS", 64)
    monkeypatch.setattr("layerscope.extraction.partial_run.COMMIT_SECONDS", 0.0)
    whole = kept(study, tmp_path / "whole.h5", *with_design(study)).read_bytes()
    forward, calls = Engine._forward, []

    def interrupted(self, window, cells):
        calls.append(len(cells))
        if len(calls) in (9, 21):
            raise KeyboardInterrupt
        return forward(self, window, cells)

    monkeypatch.setattr(Engine, "_forward", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            kept(study, tmp_path / "again.h5", *with_design(study))
        assert (tmp_path / ".partial.again.h5.npz").is_file()
    assert kept(study, tmp_path / "again.h5", *with_design(study)).read_bytes() == whole
    assert {path.name for path in tmp_path.iterdir()} == {"whole.h5", "again.h5"}
    # what was done was not run again
    assert sum(calls) < 1.2 * len(read_design(study / "strict" / "design.npz").cell_ids)


def test_sums_of_another_run_are_not_taken_up_and_damaged_ones_are_refused(tmp_path, caplog):
    path, sums = tmp_path / "sums.npz", SumsWriter(experiment().obs, {})
    counts = {"n_refused": 1, "refused": {"empty": 1}, "n_shortened": 2}
    saved = SavedSums(path, {"run": 1}, sums)
    saved.save(3, counts)
    saved.save(5, counts)
    again = SavedSums(path, {"run": 1}, sums)
    assert again.n_summed == 5
    assert again.counts == {"n_refused": 2, "refused": {"empty": 2}, "n_shortened": 4}
    with caplog.at_level("INFO"):
        assert SavedSums(path, {"run": 2}, sums).n_summed == 0
    assert "thrown away" in caplog.text
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ConfigError, match="damaged"):
        SavedSums(path, {"run": 1}, sums)


def test_sums_of_another_design_or_without_one_are_refused_by_strict(study, tmp_path):
    design = read_design(study / "strict" / "design.npz")
    sums = kept(study, tmp_path / "sums.h5", *with_design(study))
    obs = experiment(n_genes=N_GENES, cells_per_guide=12, effect=1.5).obs
    other = make_design(obs, StrictSettings.read(SETTINGS), seed=9)
    with pytest.raises(DataError, match="another design"):
        read_layer_sums(sums, "01", other)
    with pytest.raises(DataError, match="no layer '09'"):
        read_layer_sums(sums, "09", design)
    bare = kept(study, tmp_path / "bare.h5")
    with pytest.raises(DataError, match="without a design"):
        read_layer_sums(bare, "01", design)
    with_stored, _ = scores(study, study / "stored.h5ad", "01", "paper", tmp_path)
    without, _ = scores(study, bare, "01", "paper", tmp_path)
    pd.testing.assert_frame_equal(with_stored, without, rtol=1e-6)


def test_cells_without_perturbations_have_no_sums(study, tmp_path):
    cells = experiment(n_genes=N_GENES)
    del cells.obs["is_control"]
    write(tmp_path / "cells.h5ad", cells)
    with pytest.raises(DataError, match="is_control"):
        sum_layers.main(
            [*options(study), "--cells", str(tmp_path / "cells.h5ad"), "--output", str(tmp_path / "x.h5")]
        )


def test_sums_are_kept_where_there_is_no_design_and_their_rows_say_why(study, tmp_path):
    asked = {"task": "perturbation", "protocol": "strict", "condition": "c", "cells": study / "cells.h5ad"}
    settings = SETTINGS | {"cells_per_perturbation": 4000}
    make_reference(**asked, settings=settings, output=tmp_path / "strict")
    sums = kept(study, tmp_path / "sums.h5", "--reference", str(tmp_path / "strict"))
    written = {"output": tmp_path / "scores.tsv", "resamples": tmp_path / "draws.npz"}
    about = {"model": "m", "layer": "01", "embeddings": sums, "reference": [tmp_path / "strict"]}
    score_layer(**asked, **about, **written, settings=settings)
    row = read_scores(tmp_path / "scores.tsv").iloc[0]
    assert row["status"] == "not_available" and "lower cells_per_perturbation" in row["reason"]
    assert row["depth"] == 0
