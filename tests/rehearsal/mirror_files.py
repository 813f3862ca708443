"""Synthetic files in the exact layouts of the real ones, laid out as the hosts serve them; only sizes differ.

Of the largest file 1.6% of the rows are chosen, as of the real one, and the configuration's own thresholds
(200 genes per cell, 20 cells per perturbation) hold.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from layerscope.models import scfoundation_files, tahoe_x1_files
from layerscope.models.scfoundation_network import ScFoundationConfig, ScFoundationEncoder
from layerscope.models.tahoe_x1_network import TahoeX1Config, TahoeX1Encoder
from layouts import ensembl_ids, symbols, write_cd4_perturbseq, write_gse276896

BUCKET, FOLDER = "genome-scale-tcell-perturb-seq", "marson2025_data"
GEO = "ftp.ncbi.nlm.nih.gov/geo/series/GSE276nnn/GSE276896/suppl/GSE276896_adata_meta.h5ad.gz"
HGNC = "storage.googleapis.com/public-download-files/hgnc/tsv/tsv/hgnc_complete_set.txt"
CODE_REVISION = "d09626a5c1bc30b9c6227378677b61e0b987fe8b"
WEIGHTS_REVISION = "cb434153a1acfacd215eefc956ea445f7cc39cc3"
GENE_LIST = (
    f"raw.githubusercontent.com/biomap-research/scFoundation/{CODE_REVISION}/model/"
    "OS_scRNA_gene_index.19264.tsv"
)
SCFOUNDATION = f"huggingface.co/genbio-ai/scFoundation/resolve/{WEIGHTS_REVISION}"
TAHOE_X1 = "huggingface.co/tahoebio/Tahoe-x1/resolve/main/1b-model"

N_GENES, N_LISTED, N_VOCABULARY = 1_000, 19_264, 5_000
UNLISTED = 60
WIDTH, HEADS = 16, 1

# state: cells, targets, median gene's count, how the matrix is stored; the second is as the real files, whose
# third state has its genes in another order. 140 targets have about 25 cells that
# pass, the others few
SCREENS: Mapping[str, tuple[int, int, float, dict[str, Any]]] = {
    "D1_Rest": (190_000, 12_000, 0.3, {}),
    "D1_Stim8hr": (60_000, 4_000, 0.22, {"storage": {"chunks": (7_618,)}, "appended": 1_000}),
    "D1_Stim48hr": (
        60_000,
        4_000,
        0.22,
        {
            "storage": {"chunks": (4_000,), "compression": "gzip", "compression_opts": 1},
            "gene_order": list(range(N_GENES - 1, -1, -1)),
        },
    ),
}
STRONG, CELLS_OF_STRONG, CONTROLS = 140, 23.0, 300


@dataclass(frozen=True)
class Files:
    """What the servers serve.

    Attributes
    ----------
    hosts
        Folder with one folder per host.
    objects
        Folder of the bucket's objects.
    large
        Paths under ``hosts`` that Hugging Face keeps elsewhere and redirects to, with their SHA-256.
    pinned
        SHA-256 and size of what the catalogue of models pins: models.ckpt and the gene list.
    """

    hosts: Path
    objects: Path
    large: dict[str, str] = field(default_factory=dict)
    pinned: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_files(folder: Path) -> Files:
    """Write everything that the paper's study fetches."""
    files = Files(folder / "hosts", folder / "objects")
    _write_cord_blood(files.hosts / GEO)
    _write_gene_names(files.hosts / HGNC)
    _write_scfoundation(files)
    _write_tahoe_x1(files)
    files.objects.mkdir(parents=True)
    for number, (state, screen) in enumerate(SCREENS.items()):
        _write_screen(files.objects / f"{state}.assigned_guide.h5ad", number, *screen)
    return files


def _write_cord_blood(path: Path) -> None:
    path.parent.mkdir(parents=True)
    plain = path.with_suffix("")
    write_gse276896(plain, n_cells=300, genes=symbols(N_GENES), seed=7, clones=40)
    path.write_bytes(gzip.compress(plain.read_bytes(), compresslevel=1))
    plain.unlink()


def _write_screen(
    path: Path, seed: int, n_cells: int, n_targets: int, detected: float, how: dict[str, Any]
) -> None:
    """One state of the screen; the few strong targets have the cells that a perturbation needs."""
    targeting = 0.66 * n_cells  # a quarter have no guide, 4% several
    strong = CELLS_OF_STRONG / targeting
    others = (1 - STRONG * strong) / (n_targets - STRONG)
    shares = np.full(n_targets, others)
    chosen = np.random.default_rng(1).choice(n_targets, STRONG, replace=False)
    shares[chosen] = strong
    write_cd4_perturbseq(
        path,
        n_cells,
        genes=symbols(N_GENES),
        targets=[f"TARGET{i}" for i in range(n_targets)],
        seed=seed,
        strength=0.7,
        detected=detected,
        spread=0.2,
        drawn=[f"TARGET{i}" for i in chosen],
        controls=CONTROLS / n_cells,
        shares=list(shares),
        **how,
    )


def _write_gene_names(path: Path) -> None:
    """HGNC's complete set: some genes under an earlier symbol, some without Ensembl id."""
    path.parent.mkdir(parents=True)
    header = "hgnc_id\tsymbol\tname\tlocus_group\tstatus\talias_symbol\tprev_symbol\tensembl_gene_id\n"
    rows = [
        f"HGNC:{i}\t{f'NEW{i}' if i % 50 == 1 else name}\tgene {i}\tprotein-coding gene\tApproved\t\t"
        f"{name if i % 50 == 1 else ''}\t{'' if i % 50 == 2 else gene}\n"
        for i, (name, gene) in enumerate(zip(symbols(N_GENES), ensembl_ids(N_GENES), strict=True))
    ]
    path.write_text(header + "".join(rows), encoding="utf-8")


def _write_scfoundation(files: Files) -> None:
    """models.ckpt with its three sub-models, 12 layers each, decoders included; the list of 19,264 genes."""
    genes = [*symbols(N_GENES)[UNLISTED:], *(f"ELSEWHERE{i}" for i in range(N_LISTED))][:N_LISTED]
    config = ScFoundationConfig(
        n_genes=N_LISTED, hidden_size=WIDTH, n_layers=12, heads=HEADS, feed_forward=4 * WIDTH
    )
    submodels = ("gene", "cell", "rde")
    encoders = {name: ScFoundationEncoder.fresh(config, seed) for seed, name in enumerate(submodels)}
    decoder = {
        "decoder.performer.net.layers.0.0.fn.to_q.weight": (WIDTH, WIDTH),
        "decoder_embed.weight": (WIDTH, WIDTH),
        "decoder_embed.bias": (WIDTH,),
        "norm.weight": (WIDTH,),
        "norm.bias": (WIDTH,),
        "to_final.weight": (1, WIDTH),
    }
    release = files.hosts / SCFOUNDATION
    heads = {name: torch.ones(shape) for name, shape in decoder.items()}
    scfoundation_files.write_release(release, encoders, genes, heads)
    listed = files.hosts / GENE_LIST
    listed.parent.mkdir(parents=True)
    (release / scfoundation_files.GENE_LIST).rename(listed)
    checkpoint = release / scfoundation_files.CHECKPOINT
    files.large[f"{SCFOUNDATION}/{checkpoint.name}"] = _sha256(checkpoint)
    files.pinned[checkpoint.name] = {"bytes": checkpoint.stat().st_size, "sha256": _sha256(checkpoint)}
    files.pinned[listed.name] = {"bytes": listed.stat().st_size, "sha256": _sha256(listed)}


def _write_tahoe_x1(files: Files) -> None:
    """The folder of a size, 24 layers, with the heads of the owners' training."""
    genes = [
        *ensembl_ids(N_GENES)[UNLISTED:],
        *(f"ENSG{i:011d}" for i in range(50_000, 50_000 + N_VOCABULARY)),
    ]
    genes = genes[: N_VOCABULARY - 3]
    config = TahoeX1Config(
        vocabulary_size=N_VOCABULARY, hidden_size=WIDTH, n_layers=24, heads=HEADS, feed_forward=4 * WIDTH
    )
    heads = {
        "expression_decoder.fc.0.weight": (WIDTH, WIDTH),
        "mvc_decoder.gene2query.weight": (WIDTH, WIDTH),
    }
    release = files.hosts / TAHOE_X1
    tahoe_x1_files.write_release(
        release,
        TahoeX1Encoder.fresh(config, 3),
        genes,
        max_length=2048,
        heads={name: torch.ones(shape) for name, shape in heads.items()},
    )
    weights = release / tahoe_x1_files.SAFETENSORS
    files.large[f"{TAHOE_X1}/{weights.name}"] = _sha256(weights)
    assert yaml.safe_load((release / tahoe_x1_files.MODEL_CONFIG).read_text())["n_layers"] == 24
    assert len(json.loads((release / tahoe_x1_files.VOCABULARY).read_text())) == N_VOCABULARY


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
