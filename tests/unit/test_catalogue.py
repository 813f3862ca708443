"""What the repository's own catalogue says of releases: their checksums, and options that they need."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cell_files import write_h5ad
from family_examples import EXAMPLES, N_CELLS, N_GENES, assert_layers_agree, study_of
from model_examples import counts
from study_configs import read

from layerscope.models.entries import FoundationModel
from layerscope.study import jobs
from layerscope.study.runs import Study

NO_PUBLIC_CHECKSUM = {"tahoe_x1_70m", "tahoe_x1_1b", "tahoe_x1_3b"} | {
    f"scconcept_{size}" for size in ("30m", "170m", "170m_multispecies")
}
NO_PUBLIC_CHECKSUM |= {"transcriptformer_exemplar", "transcriptformer_metazoa", "nicheformer"}


def study() -> Study:
    return Study.read(read("models.yaml", "datasets.yaml", "config.yaml"))


def catalogue() -> dict[str, FoundationModel]:
    return {
        name: entry
        for name, entry in study().models.items()
        if isinstance(entry, FoundationModel) and entry.weights.fetch
    }


@pytest.mark.parametrize("model", sorted(set(catalogue()) - NO_PUBLIC_CHECKSUM))
def test_every_file_of_a_release_is_pinned_by_its_checksum(model):
    for name, source in (catalogue()[model].weights.fetch or {}).items():
        # of an archive, its own checksum is enough
        assert source.known_sha256 or source.sha256, name
        assert source.huggingface is None or source.huggingface.revision != "main", name


def test_the_files_of_one_archive_know_of_each_other():
    asked = jobs.weights_source(study(), "transcriptformer_sapiens", "config.json")
    assert asked["together"] == list(catalogue()["transcriptformer_sapiens"].weights.fetch or {})
    assert "together" not in jobs.weights_source(study(), "uce_4layer", "species_chrom.csv")


def test_known_checksums_are_checked_again_before_a_model_runs():
    words = jobs.sums_options(study(), "transcriptformer_sapiens_untrained_1")
    known = [word for option, word in pairwise(words) if option == "--sha256"]
    entry = catalogue()["transcriptformer_sapiens"].weights.fetch or {}
    assert known == [f"{name}={source.member_sha256}" for name, source in entry.items()]


@pytest.mark.parametrize(
    ("model", "owners"),
    [
        ("geneformer_v1_10m", {"ties": "columns"}),
        ("geneformer_v2_104m", {"ties": "columns"}),
        ("state_se_600m", {"gene_order": "columns"}),
        ("transcriptformer_sapiens", {"gene_order": "columns"}),
    ],
)
def test_the_order_of_a_files_columns_changes_nothing_unless_the_owners_way_is_chosen(
    model, owners, tmp_path
):
    entry = catalogue()[model]
    release = study_of(EXAMPLES[entry.family], tmp_path)
    for path in release.weights.glob("gene_median_dictionary*"):
        path.write_bytes(pickle.dumps(dict.fromkeys(map(str, release.example.genes), 1.0)))  # ties everywhere
    matrix = np.minimum(counts(N_CELLS, N_GENES), 1)
    dealt = np.random.default_rng(3).permutation(N_GENES)
    files = {
        name: write_h5ad(tmp_path / f"{name}.h5ad", matrix[:, order], list(release.example.genes[order]))
        for name, order in (("as_it_is", np.arange(N_GENES)), ("dealt", dealt))
    }

    def layers(which: str, file: str, options: dict[str, Any]) -> Path:
        return release.extract(f"{which}_{file}.h5ad", files[file], settings=options)

    ours = [layers("ours", file, dict(entry.set)) for file in files]
    assert_layers_agree(*ours)
    theirs = [layers("theirs", file, owners) for file in files]
    with pytest.raises(AssertionError):
        assert_layers_agree(*theirs)
