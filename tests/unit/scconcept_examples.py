"""Golden and small random scConcept releases, and cells for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from model_examples import GOLDEN, arrays, over_vocabulary

from layerscope.models import scconcept
from layerscope.models.base import CellBlock
from layerscope.models.scconcept_network import ScConceptConfig, ScConceptEncoder
from layerscope.models.settings import Settings

FOLDER = GOLDEN / "scconcept" / "A"
HUMAN, MULTI, OLDER = (
    FOLDER / name
    for name in ("corpus1K-modelTiny", "corpus2K[multi-species]-modelTiny", "corpus1K-modelOlder")
)
SETS = {"human": HUMAN, "multi_mmusculus": MULTI, "older": OLDER}


def golden(name: str) -> dict[str, np.ndarray]:
    """The arrays of a golden set."""
    return arrays(FOLDER / f"golden_{name}.npz")


def load_scconcept(folder: Path = HUMAN, seed: int = 0, **settings: Any) -> scconcept.ScConcept:
    """A scConcept model; the golden human one by default."""
    return scconcept.load(folder, Settings(settings, "scconcept"), seed)


def load_golden(name: str, seed: int = 0, **settings: Any) -> scconcept.ScConcept:
    """The model of a golden set, for its species."""
    return load_scconcept(SETS[name], seed, species=str(golden(name)["species"]), **settings)


def golden_block(model: scconcept.ScConcept, expected: dict[str, np.ndarray]) -> CellBlock:
    """Golden counts over the vocabulary."""
    return over_vocabulary(expected["counts"], expected["gene_ids"], model.vocabulary)


def write_scconcept(folder: Path, n_genes: int = 40, hidden: int = 16, max_genes: int = 23) -> Path:
    """A small random release for human cells; genes are ENSG00000000000 ... in another order than tokens."""
    config = ScConceptConfig(
        hidden_size=hidden,
        n_layers=2,
        heads=2,
        feed_forward=3 * hidden,
        species="hsapiens",
        n_tokens=n_genes + 2,
        gene_width=12,
        n_positions=max_genes + 1,
    )
    encoder = ScConceptEncoder.fresh(config, 7)
    encoder.positional_encoder.pe.normal_(generator=torch.Generator().manual_seed(8))
    model = {
        "dim_model": hidden,
        "nlayers": 2,
        "num_head": 2,
        "dim_hid": 3 * hidden,
        "dim_gene_embs": 12,
        "pe_max_len": max_genes + 1,
    }
    data = {"species": ["hsapiens"], "dataset": {"train": {"max_tokens": max_genes}}}
    tokens = np.random.default_rng(9).permutation(n_genes + 2)
    names = ["<pad>", "<cls>", *(f"ENSG{i:011d}" for i in range(n_genes))]
    rows = [f"{name},,{token}" for name, token in zip(names, tokens, strict=True)]
    (folder / "gene_mappings").mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": encoder.state_dict()}, folder / "model.ckpt")
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": model, "datamodule": data}))
    (folder / "gene_mappings" / "hsapiens.csv").write_text(
        "\n".join(["gene_id,gene_name,token", *rows]) + "\n"
    )
    return folder
