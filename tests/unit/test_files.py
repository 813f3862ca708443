"""No step writes over what it reads."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cell_files import adata_of, write_canonical

from layerscope.demo.pretraining import pretrain
from layerscope.errors import ConfigError
from layerscope.extraction.embeddings_file import write_official
from layerscope.extraction.export import export_layer
from layerscope.extraction.import_embeddings import import_embeddings
from layerscope.extraction.merge import merge
from layerscope.files import whole
from layerscope.geometry.comparison import compare_layers, compare_with_baselines
from layerscope.geometry.job import describe_geometry
from layerscope.models.baselines import compute_baseline
from layerscope.sources.fetch import fetch
from layerscope.tables import join_tables


@pytest.fixture
def inputs(tmp_path):
    """A folder with cells, two of their layers, a table and an archive."""
    counts = np.random.default_rng(0).poisson(1, (30, 30)).astype(np.float32)
    cells = adata_of(counts)
    for path in ("cells.h5ad", "models.ckpt", "provenance.json"):
        write_canonical(tmp_path / path, cells)
    for path in ("layers.h5ad", "baseline.h5ad"):
        write_official(tmp_path / path, list(cells.obs_names), counts, {"n_layers": 0})
    (tmp_path / "table.tsv").write_text("cka\n0.5\n", encoding="utf-8")
    with tarfile.open(tmp_path / "files.tar", "w") as tar:
        tar.add(tmp_path / "table.tsv", "table.tsv")
    return tmp_path


def compare(at: Path, path: Path) -> None:
    files = [[at / name] for name in ("table.tsv", "layers.h5ad", "baseline.h5ad")]
    compare_with_baselines(*files, {}, 1, path)


def bring(at: Path, path: Path) -> None:
    source, layers = {"path": str(path)}, {"official": "obsm/official"}
    about: dict[str, Any] = {"model": "m", "cells": at / "cells.h5ad", "max_missing": 0.0, "max_surplus": 0.0}
    import_embeddings(source=source, layers=layers, output=path, **about)


STEPS: list[tuple[str, Callable[[Path, Path], object]]] = [
    ("layers.h5ad", bring),
    ("table.tsv", lambda at, path: join_tables([path], path)),
    ("layers.h5ad", lambda at, path: describe_geometry(path, "c", "m", {}, 1, path)),
    ("layers.h5ad", lambda at, path: compare_layers(path, "c", "m", {}, 1, path)),
    ("table.tsv", compare),
    ("layers.h5ad", compare),
    ("baseline.h5ad", compare),
    ("models.ckpt", lambda at, path: pretrain("scfoundation", path, {}, 1, at)),
    ("provenance.json", lambda at, path: pretrain("tahoe_x1", path, {}, 1, at)),
    ("cells.h5ad", lambda at, path: export_layer(at / "layers.h5ad", path, "official", path)),
    ("layers.h5ad", lambda at, path: export_layer(path, at / "cells.h5ad", "official", path)),
    ("layers.h5ad", lambda at, path: merge([path], path)),
    ("cells.h5ad", lambda at, path: compute_baseline("log_all_genes", path, path, {}, 0)),
    ("files.tar", lambda at, path: fetch({"path": str(path), "member": "table.tsv"}, path)),
]


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_no_step_writes_over_its_input(inputs, name, step):
    before = (inputs / name).read_bytes()
    with pytest.raises(ConfigError, match="is the input"):
        step(inputs, inputs / name)
    assert (inputs / name).read_bytes() == before


def test_an_output_that_is_no_file_is_left_as_it_is(tmp_path):
    """As root, a rename would replace ``/dev/null`` for the whole machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="no file"), whole(pipe) as scratch:
        scratch.write_text("words")
    assert pipe.is_fifo()
