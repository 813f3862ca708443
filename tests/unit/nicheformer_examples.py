"""Golden and small random Nicheformer releases, and cells for them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from model_examples import GOLDEN, as_stored, loader, over_vocabulary
from safetensors.torch import save_file

from layerscope.models import nicheformer
from layerscope.models.base import CellBlock
from layerscope.models.nicheformer_network import NicheformerConfig, NicheformerEncoder

SETS = sorted(path.parent for path in (GOLDEN / "nicheformer").glob("*/golden.npz"))
CONTEXT = ("specie", "assay", "modality")
PREPARATIONS = ("trained", "hf", "hf_nomean", "github", "trained_merfish", "hf_merfish")

load_nicheformer = loader(nicheformer, SETS[0])


def load_prepared(folder: Path, preparation: str) -> nicheformer.Nicheformer:
    """A golden model that prepares cells in one of the owners' ways; it refuses no cell, as theirs."""
    technology = "merfish" if preparation.endswith("merfish") else "dissociated"
    means = preparation.removesuffix("_merfish")
    return load_nicheformer(folder, means=means, technology=technology, min_expressed_genes=0)


def golden_block(
    model: nicheformer.Nicheformer, expected: dict[str, np.ndarray], ending: str = ""
) -> CellBlock:
    """Golden counts over the vocabulary; species, assays and modalities by name or, with ``_id``, number."""
    obs = {name: expected[f"{name}{ending}"] for name in CONTEXT}
    return over_vocabulary(expected["counts"], expected["input_genes"], model.vocabulary, obs=obs)


def write_nicheformer(
    folder: Path, n_genes: int = 40, hidden: int = 16, length: int = 24, **config: object
) -> Path:
    """A small random release, genes from token 21 on; they are ENSG00000000000 ..., in any order."""
    draw, first = np.random.default_rng(5), 21
    sizes = NicheformerConfig(
        n_tokens=first + n_genes + 5,
        n_positions=length,
        hidden_size=hidden,
        n_layers=2,
        heads=2,
        feed_forward=3 * hidden,
    )
    encoder = NicheformerEncoder.fresh(sizes, 7)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = as_stored(encoder, lambda name: (f"nicheformer.{name}",))
    surplus = {"nicheformer.pos": torch.arange(length), "classifier_head.bias": torch.zeros(first + n_genes)}
    save_file({**tensors, **surplus}, folder / "model.safetensors")
    stated = {
        "dim_model": hidden,
        "nheads": 2,
        "dim_feedforward": 3 * hidden,
        "nlayers": 2,
        "n_tokens": first + n_genes,
        "context_length": length,
        "learnable_pe": True,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(stated))
    special = {"[CLS]": 0, "[MASK]": 1, "[PAD]": 2}
    genes = {f"ENSG{i:011d}": first + place for place, i in enumerate(draw.permutation(n_genes))}
    (folder / "vocab.json").write_text(json.dumps(special | genes))
    np.save(folder / "dissociated_mean_script.npy", draw.uniform(0.5, 4, n_genes))
    return folder
