"""A bucket behind an S3-compatible server: whole objects, and slices, without credentials."""

import hashlib
import json
import socket
import subprocess
import sys
import time

import anndata
import numpy as np
import pytest
import requests

from layerscope.cells.slices import slice_cells
from layerscope.sources.addresses import address
from layerscope.sources.download import download
from layerscope.sources.manifest import read_manifest
from layouts import write_cd4_perturbseq

BUCKET = "genome-scale-tcell-perturb-seq"
KEY = "marson2025_data/D1_Rest.assigned_guide.h5ad"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """moto's S3 server with one public object; yields the mirror that leads to it, and the file."""
    file = tmp_path_factory.mktemp("bucket") / "D1_Rest.assigned_guide.h5ad"
    write_cd4_perturbseq(file, n_cells=800)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                requests.get(url, timeout=2)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        public = {"x-amz-acl": "public-read"}
        assert requests.put(f"{url}/{BUCKET}", headers=public, timeout=9).ok
        assert requests.put(f"{url}/{BUCKET}/{KEY}", file.read_bytes(), headers=public, timeout=9).ok
        yield {"s3://": f"{url}/"}, file
    finally:
        process.kill()
        process.wait()


def test_an_object_comes_whole_and_its_md5_is_checked(bucket, tmp_path):
    mirror, file = bucket
    manifest = download(address({"url": f"s3://{BUCKET}/{KEY}"}, mirror), tmp_path / "whole.h5ad")
    assert (tmp_path / "whole.h5ad").read_bytes() == file.read_bytes()
    assert manifest["url"] == f"https://{BUCKET}.s3.amazonaws.com/{KEY}"
    assert manifest["etag"].strip('"') == hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def test_a_slice_comes_by_ranges(bucket, tmp_path):
    mirror, file = bucket
    settings = {
        "url": f"s3://{BUCKET}/{KEY}",
        "kind": "cd4_perturbseq",
        "selection": {"most_cells": 2, "max_control_cells": 10, "max_cells_per_perturbation": 10},
    }
    slice_cells(settings, tmp_path / "slice.h5ad", tmp_path / "choice.tsv", json.dumps(mirror))
    cells, whole = anndata.read_h5ad(tmp_path / "slice.h5ad"), anndata.read_h5ad(file)
    assert cells.n_obs == 30
    assert np.array_equal(cells.X.toarray(), whole[cells.obs_names].X.toarray())
    manifest = read_manifest(tmp_path / "slice.h5ad")
    assert manifest["n_bytes_moved"] < 0.6 * file.stat().st_size
