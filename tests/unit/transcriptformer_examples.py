"""Golden and small random TranscriptFormer releases, and cells for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from model_examples import GOLDEN, arrays, as_stored, dense_counts, loader, over_vocabulary

from layerscope.models import transcriptformer
from layerscope.models.base import CellBlock
from layerscope.models.transcriptformer_network import (
    TranscriptFormerConfig,
    TranscriptFormerEncoder,
    stored_as,
)

SETS = sorted(path.parent for path in (GOLDEN / "transcriptformer").glob("*/golden.npz"))


def golden(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a golden set."""
    return arrays(folder / "golden.npz")


load_transcriptformer = loader(transcriptformer, SETS[0])


def golden_block(model: transcriptformer.TranscriptFormer, expected: dict[str, np.ndarray]) -> CellBlock:
    """Golden counts over the vocabulary."""
    obs = {"assay": expected["assay"].astype(object)}
    return over_vocabulary(dense_counts(expected), expected["input_gene_ids"], model.vocabulary, obs=obs)


def write_transcriptformer(
    folder: Path, n_genes: int = 40, hidden: int = 16, length: int = 24, bias: bool = False, **data: Any
) -> Path:
    """A small random release with other special tokens, another name for the assay, and two species' files.

    Genes are ENSG00000000000 ..., in any order.
    """
    special = ["[MASK]", "[START]", "<none>", "[CELL]"]
    draw = np.random.default_rng(5)
    config = TranscriptFormerConfig(
        n_tokens=len(special) + n_genes,
        token_width=12,
        n_assays=3,
        assay_column="platform",
        hidden_size=hidden,
        n_layers=2,
        heads=2,
        feed_forward=3 * hidden,
        activation="relu",
        attention_bias=bias,
        feed_forward_bias=bias,
        softcap=0,
    )
    encoder = TranscriptFormerEncoder.fresh(config, 7)
    with torch.no_grad():
        table = draw.normal(size=(config.n_tokens, config.token_width)).astype(np.float32)
        encoder.gene_embeddings.embedding.weight.copy_(torch.from_numpy(table))
    (folder / "vocabs").mkdir(parents=True)
    tensors = as_stored(encoder, stored_as)
    torch.save({**tensors, "mu.bias": torch.zeros(1)}, folder / "model_weights.pt")
    genes = [f"ENSG{i:011d}" for i in draw.permutation(n_genes)]
    half = n_genes // 2
    for name, keys in (("b_gene.h5", genes[:half]), ("a_gene.h5", [genes[0], *genes[half:]])):
        with h5py.File(folder / "vocabs" / name, "w") as file:
            file["keys"] = np.array(keys, dtype="S")
    (folder / "vocabs" / "platform_vocab.json").write_text(json.dumps({"x": 0, "n/a": 2, "y": 1}))
    stated = {
        "data_config": {
            "aux_cols": ["platform"],
            "aux_pad_token": "n/a",
            "gene_pad_token": "<none>",
            "special_tokens": special,
            "esm2_mappings": ["b_gene.h5", "a_gene.h5"],
            "clip_counts": 7,
            **data,
        },
        "model_config": {
            "num_heads": 2,
            "activation": "relu",
            "attn_bias": bias,
            "fw_bias": bias,
            "softcap": 0,
            "seq_len": length,
            "log_counts_eps": 1e-6,
        },
    }
    (folder / "config.json").write_text(json.dumps({"model": stated}))
    return folder
