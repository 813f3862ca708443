"""scFoundation on disk: the owners' release, read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerscope.errors import ModelError
from layerscope.files import whole
from layerscope.models.scfoundation_network import ScFoundationConfig, ScFoundationEncoder
from layerscope.models.vocabulary import Vocabulary
from layerscope.models.weights import (
    Checkpoint,
    content_of,
    demand_agreement,
    n_blocks,
    present,
    read_checkpoint,
    reading,
)

CHECKPOINT = "models.ckpt"
GENE_LIST = "OS_scRNA_gene_index.19264.tsv"
SUBMODELS = ("cell", "rde", "gene")
PREFIX, BLOCKS = "model.", "encoder.transformer_encoder."
IGNORED = ("decoder.", "decoder_embed.", "norm.", "to_final.")


def read_submodel(folder: Path, submodel: str, trusted: str) -> Checkpoint[ScFoundationConfig]:
    """Read a sub-model of the checkpoint."""
    path = folder / CHECKPOINT
    submodels = read_checkpoint(path, trusted_sha256=trusted)
    if not isinstance(submodels, Mapping) or submodel not in submodels:
        raise ModelError(f"{path}: no sub-model {submodel!r}; it holds {content_of(submodels)}")
    parts = submodels[submodel]
    if not isinstance(parts, Mapping) or not {"config", "state_dict"} <= set(parts):
        raise ModelError(f"{path}: {submodel} holds {content_of(parts)}; expected config and state_dict")
    with reading(path, "a scFoundation checkpoint"):
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in dict(parts["state_dict"]).items()}
        config = flattened(parts["config"])
    return Checkpoint(weights=path, config=config_of(config, tensors, path), tensors=tensors)


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """The release's nested configuration as the owners' loader flattens it."""
    if "model_config" not in config:
        return dict(config)
    return {**config["model_config"][config["model"]], **config.get("dataset_config", {}).get("rnaseq", {})}


def config_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> ScFoundationConfig:
    """Sizes from the tensors, constants from the flat configuration; both must agree."""
    with reading(path, "a scFoundation checkpoint"):
        n_positions, hidden = tensors["pos_emb.weight"].shape
        bins = len(tensors["token_emb.emb.weight"])
        feed_forward = len(tensors[f"{BLOCKS}0.linear1.weight"])
        depth = n_blocks(tensors, BLOCKS)
        encoder = config["encoder"]
        shape = ScFoundationConfig(
            n_genes=n_positions - 3,
            hidden_size=hidden,
            n_layers=depth,
            heads=int(encoder["heads"]),
            feed_forward=feed_forward,
            bins=bins,
            bin_alpha=float(config["bin_alpha"]),
            mask_token_id=float(config["mask_token_id"]),
            pad_token_id=float(config["pad_token_id"]),
        )
        stated = {
            "seq_len": (int(config["seq_len"]), shape.n_genes + 2),
            "encoder.hidden_dim": (int(encoder["hidden_dim"]), hidden),
            "encoder.depth": (int(encoder["depth"]), depth),
            "bin_num": (int(config["bin_num"]), bins),
        }
    demand_agreement(path, stated)
    shape.demand_computable(path)
    return shape


def read_gene_list(path: Path) -> Vocabulary:
    """Read the owners' gene list: columns ``gene_name`` and ``index``, in the order of ``index``."""
    what = "the gene list (--set gene_list=FILE names another)"
    with reading(present(path, what), "a gene list of scFoundation"):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        genes, places = table["gene_name"].to_numpy(), table["index"].to_numpy(dtype=np.int64)
    if sorted(places) != list(range(len(places))):
        raise ModelError(f"{path}: the column index must count from 0 to {len(places) - 1}, each once")
    return Vocabulary(tuple(genes[np.argsort(places)]), str(path))


def write_release(
    folder: Path,
    encoders: Mapping[str, ScFoundationEncoder],
    genes: Sequence[str],
    heads: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a release: the encoder of each sub-model, and the genes in the order of the position embedding.

    The names of ``heads``, tensors to store besides, start with one of :data:`IGNORED`.
    """
    submodels = {
        name: {
            "config": nested(encoder.config),
            "state_dict": {
                PREFIX + key: tensor.detach().cpu().contiguous()
                for key, tensor in {**encoder.state_dict(), **(heads or {})}.items()
            },
        }
        for name, encoder in encoders.items()
    }
    # a stream, since of a path PyTorch stores the name
    with whole(folder / CHECKPOINT) as scratch, scratch.open("wb") as stream:
        torch.save(submodels, stream)
    write_gene_list(folder / GENE_LIST, genes)


def nested(config: ScFoundationConfig) -> dict[str, Any]:
    """A configuration nested as in the release; :func:`flattened` undoes it."""
    shape = {"hidden_dim": config.hidden_size, "depth": config.n_layers, "heads": config.heads}
    model = {
        "seq_len": config.n_genes + 2,
        "encoder": {**shape, "module_type": "transformer"},
        "n_class": config.bins + 4,
        "pad_token_id": config.pad_token_id,
        "mask_token_id": config.mask_token_id,
        "bin_num": config.bins,
        "bin_alpha": config.bin_alpha,
    }
    return {"model": "mae_autobin", "model_config": {"mae_autobin": model}, "dataset_config": {"rnaseq": {}}}


def write_gene_list(path: Path, genes: Sequence[str]) -> None:
    """Write a gene list as the owners do."""
    rows = [f"{gene}\t{index}\n" for index, gene in enumerate(genes)]
    with whole(path) as scratch:
        scratch.write_text("".join(["gene_name\tindex\n", *rows]), encoding="utf-8")
