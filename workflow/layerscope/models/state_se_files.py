"""State Embedding on disk: configuration, weights, and the proteins of the genes in the order of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from layerscope.errors import ModelError
from layerscope.models.state_se_network import StateConfig
from layerscope.models.weights import (
    Checkpoint,
    demand_agreement,
    demand_architecture,
    n_blocks,
    read_checkpoint,
    read_proteins,
    read_safetensors,
    read_yaml,
    reading,
    renamed,
    spelt_alike,
)

CONFIG, WEIGHTS, PROTEINS = "config.yaml", "model.safetensors", "protein_embeddings.pt"
ENCODER, SAME_LAYER = "encoder.", "gene_embedding_layer."  # two names of the owners' for one layer
TABLE, BLOCKS = "proteins.weight", "transformer_encoder.layers."
IGNORED = ("binary_decoder.", "dataset_encoder.", "pe_embedding.", "_bin_indices_cached")
stored_as = renamed({"self_attn.in_proj_": "qkv_proj.", "self_attn.out_proj": "out_proj"})
FLAGS = ("counts", "rda", "dataset_correction")  # all must be true
PAD_LENGTH, CLS_GENE = 2048, 3  # of the owners' package, where the configuration says nothing


@dataclass(frozen=True, kw_only=True)
class Release(Checkpoint[StateConfig]):
    """What a release folder holds."""

    genes: tuple[str, ...]  # by ascending token
    source: Path  # the file that orders the genes
    length: int  # tokens of a sentence, but for that of the data set
    cls_gene: int  # the cell token has the count of the known gene of this number


def read_release(folder: Path, checkpoint: str = "") -> Release:
    """Read a release folder; ``checkpoint`` names the weights, if not ``model.safetensors``."""
    path = folder / CONFIG
    stated = read_yaml(path)
    with reading(path, "a configuration of State Embedding"):
        model, dataset, profiles = (stated[part] for part in ("model", "dataset", "embeddings"))
        flags = {f"model.{name}": model.get(name) for name in FLAGS}
        demand_architecture(path, flags, dict.fromkeys(flags, True))
        width = int(profiles[profiles["current"]]["size"])
        length = int(dataset.get("pad_length", PAD_LENGTH))
        cls_gene = int(dataset.get("cls_token_idx", CLS_GENE))
    if length < 2 or cls_gene < 0:
        raise ModelError(
            f"{path}: dataset.pad_length is {length} and cls_token_idx {cls_gene}; expected 2 and 0 or more"
        )
    weights = _weights(folder, checkpoint)
    tensors = spelt_alike(read_safetensors(weights), _spell, weights)
    genes, tensors[TABLE] = _read_proteins(folder / PROTEINS, width)
    return Release(
        weights=weights,
        config=config_of(model, width, tensors, path, weights),
        tensors=tensors,
        genes=genes,
        source=folder / PROTEINS,
        length=length,
        cls_gene=cls_gene,
    )


def _weights(folder: Path, checkpoint: str) -> Path:
    """The file of weights; the trainer's checkpoints, which are pickles with code, are refused."""
    path = folder / (checkpoint or WEIGHTS)
    pickles = [path] if path.suffix == ".ckpt" else sorted(folder.glob("*.ckpt"))
    if pickles and (checkpoint == path.name == pickles[0].name or not path.is_file()):
        read_checkpoint(pickles[0], trusted_sha256=None, instead=WEIGHTS)
        raise ModelError(f"{pickles[0]}: a trainer's checkpoint is not read; put {WEIGHTS} in its place")
    return path


def _spell(name: str) -> str:
    """The encoder of tokens has one or both of two names."""
    return ENCODER + name.removeprefix(SAME_LAYER) if name.startswith(SAME_LAYER) else name


def _read_proteins(path: Path, width: int) -> tuple[tuple[str, ...], Tensor]:
    """The genes by ascending token, which is their place in the file, and their vectors."""
    vectors = read_proteins(path)
    for name, vector in vectors.items():
        if vector.shape != (width,) or not vector.is_floating_point():
            raise ModelError(
                f"{path}: the vector of {name} is {tuple(vector.shape)} of {vector.dtype}; {CONFIG} asks for "
                f"{width} floating-point numbers"
            )
    return tuple(vectors), torch.stack([vector.float() for vector in vectors.values()])


def config_of(
    model: Mapping[str, Any], width: int, tensors: Mapping[str, Tensor], path: Path, weights: Path
) -> StateConfig:
    """Sizes from the tensors, checked against those that are stated; the number of heads is only stated."""
    with reading(weights, "a checkpoint of State Embedding"):
        config = StateConfig(
            n_tokens=len(tensors[TABLE]),
            token_width=tensors["encoder.0.weight"].shape[1],
            n_bins=len(tensors["bin_encoder.weight"]),
            bin_width=len(tensors["count_encoder.0.weight"]),
            output_size=len(tensors["decoder.1.weight"]),
            n_dataset=len(tensors["dataset_embedder.weight"]),
            hidden_size=len(tensors["encoder.0.weight"]),
            n_layers=n_blocks(tensors, BLOCKS),
            heads=0,
            feed_forward=len(tensors[f"{BLOCKS}0.linear1.weight"]),
        )
    with reading(path, "a configuration of State Embedding"):
        sizes = {
            "model.emsize": (int(model["emsize"]), config.hidden_size),
            "model.nlayers": (int(model["nlayers"]), config.n_layers),
            "model.d_hid": (int(model["d_hid"]), config.feed_forward),
            "model.output_dim": (int(model["output_dim"]), config.output_size),
            "embeddings' size": (width, config.token_width),
        }
        config = replace(config, heads=int(model["nhead"]))
    demand_agreement(path, sizes)
    config.demand_computable(path)
    return config
