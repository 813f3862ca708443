"""The scripts of the perturbation task take the options that the workflow gives them."""

import pytest
from perturbation_cells import experiment, write

import compute_baseline
import design_splits
import differential_expression
import perturbation_similarity
import reference_perturbation
import score_perturbation
import sum_pseudobulk
from layerscope.errors import ConfigError
from layerscope.tables import read_scores

STRICT = '{"cells_per_perturbation": 40, "buckets": 4, "shuffles": 2, "permutations": 99, "resamples": 100}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    write(folder / "cells.h5ad", experiment())
    called(compute_baseline, folder, "--baseline log_all_genes --cells cells.h5ad --seed 1 --output m.h5ad")
    return folder


def called(script, folder, line):
    """Call a script's main; names of files are files of the folder, ``SETTINGS`` the strict ones."""
    words = [STRICT if word == "SETTINGS" else word for word in line.split()]
    script.main([str(folder / word) if word.endswith((".h5ad", ".npz", ".tsv")) else word for word in words])


SCORE = "--embeddings m.h5ad --layer official --cells cells.h5ad --condition c --model m --seed 1"


def test_protocol_paper_from_cells_to_scores(folder):
    called(sum_pseudobulk, folder, "--cells cells.h5ad --settings {} --output pseudobulk.h5ad")
    line = "--pseudobulk pseudobulk.h5ad --settings {} --threads 2 --output profiles.h5ad"
    called(differential_expression, folder, line)
    called(perturbation_similarity, folder, "--profiles profiles.h5ad --output similarity.npz")
    line = "--reference similarity.npz --settings {} --output paper.tsv --resamples paper_values.npz"
    called(score_perturbation, folder, f"--protocol paper {SCORE} {line}")
    rows = read_scores(folder / "paper.tsv")
    assert (rows["status"] == "ok").all()
    assert set(rows["protocol"]) == {"paper"}


def test_protocol_released_from_cells_to_scores(folder):
    line = "--protocol released --cells cells.h5ad --condition c --settings {} --seed 1"
    called(reference_perturbation, folder, f"{line} --output released.npz --ceilings released_ceilings.tsv")
    line = "--reference released.npz --settings {} --output released.tsv --resamples released_values.npz"
    called(score_perturbation, folder, f"--protocol released {SCORE} {line}")
    assert (read_scores(folder / "released.tsv")["status"] == "ok").all()


def test_protocol_strict_from_cells_to_scores(folder):
    called(design_splits, folder, "--cells cells.h5ad --settings SETTINGS --seed 1 --output design.npz")
    line = (
        "--protocol strict --cells cells.h5ad --design design.npz --condition c --settings SETTINGS --seed 1"
    )
    called(reference_perturbation, folder, f"{line} --output strict.npz --ceilings ceilings.tsv")
    line = "--reference strict.npz --design design.npz --settings SETTINGS"
    line = f"{line} --output strict.tsv --resamples strict_values.npz"
    called(score_perturbation, folder, f"--protocol strict {SCORE} {line}")
    assert set(read_scores(folder / "strict.tsv")["protocol"]) == {"strict"}


def test_a_reference_without_its_design_is_refused(folder):
    line = "--protocol strict --cells cells.h5ad --condition c --settings SETTINGS --seed 1"
    with pytest.raises(ConfigError, match="--design"):
        called(reference_perturbation, folder, f"{line} --output strict.npz --ceilings ceilings.tsv")
