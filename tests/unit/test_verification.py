"""A release at hand is compared with what is published of it; here golden sets stand for releases."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml
from cell_files import write_h5ad
from family_examples import EXAMPLES
from model_examples import SCFOUNDATION, TAHOE_A, dense_counts, load_tensors, restate, save_tensors
from tar_files import tar_of
from transcriptformer_examples import SETS, golden

import verify_model
from fault_server import FaultServer
from layerscope.errors import ConfigError, ModelError
from layerscope.sources.manifest import sha256, write_manifest

TRANSCRIPTFORMER = SETS[0]


@dataclass
class Release:
    """A copy of a golden set with a catalogue beside it, whose one entry is ``model``."""

    folder: Path
    weights: Path
    entry: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)  # that a server has

    def verify(self, *words: str) -> pd.DataFrame:
        """Run the script; its table."""
        models, output = self.folder / "models.yaml", self.folder / "table.tsv"
        models.write_text(yaml.safe_dump({"models": {"model": self.entry}}))
        chosen = ["--models", str(models), "--weights", str(self.weights), "--output", str(output)]
        with FaultServer(self.files) as server:
            more = ["--downloads", str(self.folder / "downloads"), "--mirror", server.url, "--device", "cpu"]
            try:
                verify_model.main(["model", *chosen, *more, *words])
            finally:
                if output.is_file():
                    self.table = pd.read_csv(output, sep="\t", keep_default_na=False).set_index("check")
        return self.table

    def result(self, check: str) -> str:
        """The outcome of the one check whose name begins so."""
        (result,) = self.table["result"][self.table.index.str.startswith(check)]
        return str(result)


def release_of(
    folder: Path, family: str, golden_set: Path, layers: int, published: dict[str, Any] | None, **options: Any
) -> Release:
    """A copy of a golden set of which every file's checksum is known."""
    weights = folder / "weights"
    shutil.copytree(golden_set, weights)
    names = [path for path in sorted(weights.rglob("*")) if path.is_file() and path.suffix != ".npz"]
    fetch = {
        path.name: {
            "huggingface": {"repo": "a/b", "revision": "c", "file": str(path.relative_to(weights))},
            "sha256": sha256(path),
        }
        for path in names
    }
    entry = {"family": family, "layers": layers, "set": options, "weights": {"fetch": fetch}}
    return Release(folder, weights, entry | ({"published": published} if published else {}))


@pytest.fixture
def transcriptformer(tmp_path):
    """Cells and their embeddings lie in one archive on a server."""
    expected = golden(TRANSCRIPTFORMER)
    counts, assay = dense_counts(expected), expected["assay"].astype(object)
    cells = write_h5ad(tmp_path / "cells.h5ad", counts, expected["input_gene_ids"], obs={"assay": assay})
    reference = ad.AnnData(obs=pd.DataFrame(index=[str(i) for i in range(len(counts))]))
    reference.obsm["embeddings"] = expected["cell_embedding"]
    reference.write_h5ad(tmp_path / "reference.h5ad")
    archive = tar_of(
        {f"p/{name}": (tmp_path / name).read_bytes() for name in ("cells.h5ad", "reference.h5ad")}
    )
    place = {"url": "https://host/package.tar.gz", "bytes": len(archive)}
    names = map(str, expected["vocab_tokens"])
    tokens = dict(zip(names, map(int, expected["vocab_ids"]), strict=True))
    special = {token: i for token, i in tokens.items() if token.startswith("[")}
    genes = [token for token in tokens if token.startswith("ENS")]
    published = {
        "source": "a package",
        "vocabulary": len(tokens),
        "special": special,
        "tokens": {gene: tokens[gene] for gene in genes[:3]},
        "embeddings": [
            {
                "source": "a package",
                "cells": {**place, "member": "p/cells.h5ad", "member_sha256": sha256(cells)},
                "reference": {**place, "member": "p/reference.h5ad", "obsm": "embeddings"},
                "set": {"gene_order": "columns"},
                "tolerance": 1e-3,
            }
        ],
    }
    layers = json.loads((TRANSCRIPTFORMER / "config.json").read_text())["model"]["model_config"]["num_layers"]
    # the entry's own order of genes is not the published one
    release = release_of(
        tmp_path, "transcriptformer", TRANSCRIPTFORMER, layers, published, gene_order="vocabulary"
    )
    release.files = {"/host/package.tar.gz": archive}
    return release


@pytest.fixture
def scfoundation(tmp_path):
    """Cells are a table of counts; of their embeddings the first and last numbers are published."""
    with np.load(SCFOUNDATION / "input_counts.npz") as file:
        counts = pd.DataFrame(file["counts_aligned"][2:8], columns=file["vocab"]).rename("cell{}".format)
    with np.load(SCFOUNDATION / "expected.npz") as file:
        embeddings = file["official_all_F_t4"][2:8]
    table = counts.to_csv().encode()
    numbers = [
        {"cell": i, "first": row[:3].tolist(), "last": row[-3:].tolist()}
        for i, row in enumerate(embeddings.astype(float))
    ]
    published = {
        "source": "the owners",
        "genes": 60,
        "embeddings": [
            {
                "source": "the owners' demo",
                "cells": {"url": "https://host/demo.csv", "bytes": len(table)},
                "numbers": numbers,
                "set": {"pre_normalized": "F", "tgthighres": "t4"},
                "tolerance": 2e-3,
            }
        ],
    }
    release = release_of(
        tmp_path, "scfoundation", SCFOUNDATION, 3, published, gene_list="gene_index.tsv", tgthighres="a5"
    )
    release.files = {"/host/demo.csv": table}
    return release


def test_a_right_release_agrees_in_all_that_is_published(transcriptformer):
    table = transcriptformer.verify("--cells", "9")
    assert set(table["result"]) == {"agrees"}
    embeddings = table[table.index.str.startswith("official embedding of 9 cells")]
    assert len(embeddings) == 2
    assert (embeddings["difference"].astype(float) <= embeddings["allowed"].astype(float)).all()
    assert embeddings["source"].unique().tolist() == ["a package"]
    assert len(table[table.index.str.startswith("SHA-256")]) >= 4


def test_cells_and_embeddings_may_be_files_at_hand_of_one_name(scfoundation):
    with np.load(SCFOUNDATION / "expected.npz") as file:
        embeddings = file["official_all_F_t4"][2:8]
    places = [scfoundation.folder / name for name in ("theirs", "ours")]
    for place in places:
        place.mkdir()
    np.save(places[0] / "demo.npy", embeddings)
    (places[1] / "demo.csv").write_bytes(scfoundation.files["/host/demo.csv"])
    published = scfoundation.entry["published"]["embeddings"][0]
    del published["numbers"]
    published["cells"] = {"path": str(places[1] / "demo.csv")}
    published["reference"] = {"path": str(places[0] / "demo.npy")}
    assert set(scfoundation.verify("--cells", "6")["result"]) == {"agrees"}
    np.save(places[0] / "demo.npy", embeddings[:, :-1])
    with pytest.raises(ModelError, match="shape"):
        scfoundation.verify()


def test_embeddings_of_other_cells_differ_in_cosine(transcriptformer):
    """A tolerance that is too wide does not hide another direction."""
    path = next(transcriptformer.weights.glob("model*.*t"))
    tensors = load_tensors(path)
    tensors[[name for name in tensors if "linear2.weight" in name][-1]] += 0.1
    save_tensors(tensors, path)
    del transcriptformer.entry["weights"]["fetch"][path.name]["sha256"]  # nobody knows the checksum
    transcriptformer.entry["published"]["embeddings"][0]["tolerance"] = 1e3
    with pytest.raises(ModelError, match="cosine"):
        transcriptformer.verify("--cells", "9")


def test_more_cells_than_there_are_is_all_and_none_is_none(scfoundation):
    table = scfoundation.verify("--cells", "1000")
    assert set(table["result"]) == {"agrees"}
    assert table.index.str.startswith("official embedding of cell").sum() == 6
    assert scfoundation.verify("--cells", "0")["result"].tolist()[-1] == "not checked"
    with pytest.raises(ConfigError, match="--cells -1"):
        scfoundation.verify("--cells", "-1")


@pytest.mark.parametrize(
    ("place", "value", "check"),
    [
        (("embeddings", 0, "set", "gene_order"), "vocabulary", "official embedding of 9 cells: root"),
        (("vocabulary",), 7, "rows of the table"),
        (("tokens", "ENSG99999999999"), 3, "id of ENSG99999999999"),
        (("special", "[PAD]"), 5, "id of [PAD]"),
    ],
)
def test_what_differs_is_found_and_ends_with_an_error(transcriptformer, place, value, check):
    *parents, last = place
    reduce(getitem, parents, transcriptformer.entry["published"])[last] = value
    with pytest.raises(ModelError, match="checks differ"):
        transcriptformer.verify("--cells", "9")
    assert transcriptformer.result(check) == "differs"


def test_published_numbers_of_another_cell_differ(scfoundation):
    scfoundation.entry["published"]["embeddings"][0]["numbers"][1]["last"][2] += 0.02
    with pytest.raises(ModelError, match="1 of"):
        scfoundation.verify()
    assert scfoundation.result("official embedding of cell 1") == "differs"
    assert scfoundation.result("official embedding of cell 0") == "agrees"


@pytest.mark.parametrize("damage", ["a flipped byte", "no file"])
def test_files_that_differ_do_not_run(transcriptformer, damage):
    path = transcriptformer.weights / "config.json"
    if damage == "no file":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"1 of .*SHA-256 of config\.json"):
        transcriptformer.verify()
    assert transcriptformer.result("counts") == "not checked"


def test_without_a_published_checksum_the_first_fetch_is_what_is_compared_with(tmp_path):
    release = release_of(tmp_path, "tahoe_x1", TAHOE_A, 3, {"vocabulary": 10**6})
    for source in release.entry["weights"]["fetch"].values():
        del source["sha256"]
    write_manifest(release.weights / "vocab.json", "https://host/vocab.json")
    with pytest.raises(ModelError, match="rows of the table"):
        release.verify()
    assert release.result("SHA-256 of vocab.json") == "agrees"
    assert release.result("SHA-256 of model_config.yml") == "not published"
    restate(release.weights / "vocab.json", new=10**6)
    with pytest.raises(ModelError, match=r"SHA-256 of vocab\.json"):
        release.verify()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"control": "untrained", "of": "x", "seed": 1}, "no release to verify"),
        ({"family": "hvg_pca"}, "no release to verify"),
        ({"family": "scgpt", "layers": 2, "weights": {"fetch": {"a": {}}}}, "exactly one"),
    ],
)
def test_what_has_no_release_is_refused(tmp_path, entry, message):
    with pytest.raises(ConfigError, match=message):
        Release(tmp_path, tmp_path, entry).verify()


@pytest.fixture(params=EXAMPLES)
def example(request, tmp_path):
    family = EXAMPLES[request.param]
    weights = family.write(tmp_path / "written")
    return release_of(tmp_path, request.param, weights, 2, None, **family.settings)


def test_every_family_can_be_verified_and_says_what_is_not_published(example):
    results = example.verify()["result"]
    assert example.result("embeddings") == example.result("counts") == "not published"
    assert (results[results.index.str.startswith("SHA-256")] == "agrees").all()
    example.entry["published"] = {"genes": 40, "parameters": 1}
    with pytest.raises(ModelError, match=r"1 of .* differ: parameters"):
        example.verify()
    assert example.result("genes") == example.result("layers") == "agrees"
