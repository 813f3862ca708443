"""The paper's configuration from download to report, against real servers with files in the real layouts.

    make rehearsal

Only the mirror's prefix differs from the real run; see ``Rehearsal.changes``.
"""

from __future__ import annotations

import html
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from mirror_files import BUCKET, FOLDER, SCREENS
from mirror_servers import Served
from rehearsed_study import CONFIGURATION, Rehearsal
from workflow_study import ROOT

from layerscope.cells.damage import OWNERS_SUMS
from layerscope.cells.readers.cd4_perturbseq import COLUMNS_READ as COLUMNS_READ_BY_THE_READER
from layerscope.extraction.embeddings_file import read_layer, read_layers
from layerscope.layout import layer_names
from layerscope.sources.manifest import read_manifest
from layerscope.tables import read_scores, read_table

pytestmark = pytest.mark.rehearsal

CONDITIONS = {"cord_blood": "trajectory"} | dict.fromkeys(SCREENS, "perturbation")
LAYERS = {"scfoundation": 12, "tahoe_x1_1b": 24}
COLUMNS_READ = (*COLUMNS_READ_BY_THE_READER, *OWNERS_SUMS)
WANTED, ALLOWED, OF_CHUNKS = 0.016, 0.02, 1.3


def test_the_paper_runs_from_download_to_report(rehearsal: Rehearsal) -> None:
    results = rehearsal.folder / "results"
    page = (results / "report.html").read_text(encoding="utf-8")
    study = yaml.safe_load((ROOT / CONFIGURATION).read_text(encoding="utf-8"))["study"]
    assert study["title"] in html.unescape(page)
    for table in ("scores", "layers", "published", "shifts", "geometry", "alignment"):
        assert (results / f"tables/{table}.tsv").stat().st_size > 200, table
    figures = {path.stem for path in (results / "figures").glob("*.svg")}
    scored = {f"{task}_{protocol}" for task, names in study["protocols"].items() for protocol in names}
    assert figures == scored | {"layer_choice", "published", "geometry", "alignment"}


def test_every_model_has_a_score_or_a_reason_in_every_condition(rehearsal: Rehearsal) -> None:
    study = yaml.safe_load((ROOT / CONFIGURATION).read_text(encoding="utf-8"))["study"]
    scores = read_scores(rehearsal.folder / "results/tables/scores.tsv")
    primary = scores[(scores.metric == "spearman") & (scores.protocol == "paper")].set_index(
        ["condition", "model", "layer"]
    )
    assert primary.index.is_unique
    expected = [
        (condition, model, layer)
        for condition in study["conditions"]
        for model in study["models"]
        for layer in layer_names(LAYERS.get(model.removesuffix("_untrained_1"), 0))
    ]
    assert set(primary.index) == set(expected)
    ok = primary.status == "ok"
    assert primary.estimate[ok].between(-1, 1).all()
    assert (primary.reason[~ok] != "").all()
    # layer 00 of a cell token, the same for every cell, is the one thing that cannot be scored
    without = primary.index[~ok]
    assert {(model.removesuffix("_untrained_1"), layer) for _, model, layer in without} <= {
        ("tahoe_x1_1b", "00")
    }


def test_the_models_know_the_genes_of_every_condition(rehearsal: Rehearsal) -> None:
    for condition in CONDITIONS:
        for model, layers in LAYERS.items():
            file = rehearsal.folder / f"results/embeddings/{condition}/{model}.h5ad"
            assert read_layers(file) == layer_names(layers)
            about = read_layer(file, "official").provenance
            assert about["gene_match_rate"] > 0.9, (condition, model)
            assert about["n_refused"] == 0


@pytest.mark.parametrize("state", SCREENS)
def test_the_chosen_cells_are_those_of_the_hundred_largest_perturbations(
    rehearsal: Rehearsal, state: str
) -> None:
    choice = read_table(_dataset(rehearsal, state) / "choice.tsv")
    targeting = choice[~choice.is_control]
    chosen = targeting[targeting.cells_chosen > 0]
    assert len(chosen) == 100
    assert chosen.cells_passing.min() >= targeting[targeting.cells_chosen == 0].cells_passing.max()
    assert (chosen.cells_chosen == chosen.cells_passing).all()
    assert (choice.cells_passing <= choice.cells_in_file).all()
    with h5py.File(_dataset(rehearsal, state) / "slice.h5ad") as cut:
        assert len(cut["obs/lane_id/codes"]) == choice.cells_chosen.sum()


@pytest.mark.parametrize("state", SCREENS)
def test_the_server_sent_little_more_than_the_rows(rehearsal: Rehearsal, state: str) -> None:
    whole = rehearsal.servers.files.objects / f"{state}.assigned_guide.h5ad"
    cut = _dataset(rehearsal, state) / "slice.h5ad"
    sent = _sent(rehearsal, state)
    assert read_manifest(cut)["n_bytes_moved"] == sent.n_bytes
    with h5py.File(whole) as stored, h5py.File(cut) as kept:
        columns = _bytes_of_columns(stored)
        n_rows, n_kept = len(stored["obs/_index"]), len(kept["obs/_index"])
        if stored["X/data"].chunks:
            allowed = OF_CHUNKS * _bytes_of_chunks(stored, kept) + columns
        else:
            assert n_kept <= WANTED * n_rows
            allowed = ALLOWED * whole.stat().st_size + columns
    _say(
        f"{state}: {n_kept:,} of {n_rows:,} rows, {n_kept / n_rows:.2%}; sent {sent.n_bytes / 1e6:.1f} MB of "
        f"{whole.stat().st_size / 1e6:.1f} MB in {sent.requests:,} requests; allowed {allowed / 1e6:.1f} MB"
    )
    assert sent.n_bytes <= allowed


def test_whole_files_were_sent_once(rehearsal: Rehearsal) -> None:
    hosts = rehearsal.servers.files.hosts
    sizes = {
        f"/{path.relative_to(hosts)}": path.stat().st_size for path in hosts.rglob("*") if path.is_file()
    }
    assert len(sizes) == 8
    large = {f"/{path}": f"/cdn-lfs.huggingface.co/{path}" for path in rehearsal.servers.files.large}
    sent = {address: rehearsal.served[large.get(address, address)] for address in sizes}
    assert {address: found.n_bytes for address, found in sent.items()} == sizes


def test_manifests_name_the_real_addresses(rehearsal: Rehearsal) -> None:
    found = sorted((rehearsal.folder / "resources").rglob("*.manifest.json"))
    manifests = [json.loads(path.read_text(encoding="utf-8")) for path in found]
    assert len(manifests) == 8 + len(SCREENS)
    for manifest in manifests:
        assert manifest["url"].startswith("https://")
        assert "127.0.0.1" not in manifest["url"]


def test_a_second_run_fetches_nothing_and_runs_nothing(rehearsal: Rehearsal) -> None:
    before = rehearsal.servers.served()
    assert rehearsal.snakemake() == 0
    assert "Nothing to be done" in rehearsal.log.read_text(encoding="utf-8")[-2000:]
    assert rehearsal.servers.served() == before


def test_the_pinned_checksum_refuses_other_weights(rehearsal: Rehearsal, tmp_path: Path) -> None:
    models = yaml.safe_load((ROOT / "config/models.yaml").read_text(encoding="utf-8"))["models"]
    for name, source in models["scfoundation"]["weights"]["fetch"].items():
        unsized = {key: value for key, value in source.items() if key != "bytes"}
        for settings in (source, unsized):
            run = _fetch(rehearsal, settings, tmp_path / name)
            assert run.returncode == 1
            assert "the study says" in run.stderr or "expected the SHA-256" in run.stderr
            assert list(tmp_path.iterdir()) == []


def _fetch(rehearsal: Rehearsal, settings: Any, output: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/fetch_file.py", "--settings", json.dumps(settings)]
    return subprocess.run(
        [*command, "--output", str(output), "--mirror", rehearsal.servers.mirror],
        cwd=rehearsal.folder,
        env=rehearsal.environment | {"PYTHONPATH": "workflow"},
        capture_output=True,
        text=True,
        check=False,
    )


def _dataset(rehearsal: Rehearsal, state: str) -> Path:
    return rehearsal.folder / f"resources/cd4_perturbseq_{state}"


def _sent(rehearsal: Rehearsal, state: str) -> Served:
    return rehearsal.served[f"/{BUCKET}.s3.amazonaws.com/{FOLDER}/{state}.assigned_guide.h5ad"]


def _bytes_of_columns(stored: h5py.File) -> int:
    """Bytes of the obs columns that are read, and of the cells' names."""
    obs = stored["obs"]
    parts = [obs["_index"]]
    for name in COLUMNS_READ:
        parts += list(obs[name].values()) if isinstance(obs[name], h5py.Group) else [obs[name]]
    return sum(_bytes_of(part) for part in parts)


def _bytes_of(values: h5py.Dataset) -> int:
    """Text of variable length: a reference of 16 bytes, a header of 16, and the text padded to 8."""
    if h5py.check_string_dtype(values.dtype) is None:
        return int(values.id.get_storage_size())
    return sum(16 + 16 + -(-len(text) // 8) * 8 for text in values[()])


def _bytes_of_chunks(stored: h5py.File, kept: h5py.File) -> int:
    """Bytes of the chunks that hold the rows of the slice."""
    position = {name: row for row, name in enumerate(stored["obs/_index"].asstr()[()])}
    rows = np.array([position[name] for name in kept["obs/_index"].asstr()[()]])
    indptr = stored["X/indptr"][()]
    total = 0
    for name in ("data", "indices"):
        values = stored["X"][name]
        length = values.chunks[0]
        first, last = indptr[rows] // length, (indptr[rows + 1] - 1) // length
        touched = {chunk for a, b in zip(first, last, strict=True) for chunk in range(a, b + 1)}
        total += sum(values.id.get_chunk_info_by_coord((chunk * length,)).size for chunk in touched)
    return total


def _say(line: str) -> None:
    print(f"\n{line}", file=sys.__stderr__)
