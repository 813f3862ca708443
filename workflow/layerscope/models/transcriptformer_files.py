"""TranscriptFormer on disk: configuration, weights, and the vocabularies that number genes and assays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from layerscope.errors import ModelError
from layerscope.models.transcriptformer_network import TranscriptFormerConfig
from layerscope.models.weights import (
    DAMAGED,
    Checkpoint,
    demand_agreement,
    demand_architecture,
    first_file,
    n_blocks,
    present,
    read_json,
    read_tensors,
    reading,
)

CONFIG, WEIGHTS, SAFETENSORS = "config.json", "model_weights.pt", "model_weights.safetensors"
VOCABULARIES = "vocabs"
TABLE = "gene_embeddings.embedding.weight"
IGNORED = ("mu.", "gene_id_head.")
START = "[START]"
CLIP_COUNTS = 30.0  # what the owners' package takes where the configuration says nothing
LAYERS = "transformer_encoder.encoder_layers."
EXPECTED = {
    "filter_to_vocabs": True,
    "pad_zeros": True,
    "normalize_to_scale": 0,
    "sort_genes": False,
    "randomize_genes": False,
}


@dataclass(frozen=True, kw_only=True)
class Release(Checkpoint[TranscriptFormerConfig]):
    """What a release folder holds."""

    special: tuple[str, ...]  # tokens, by ascending id
    genes: tuple[str, ...]  # tokens, by ascending id, after the special ones
    source: str  # where the genes' names were read
    pad: str  # the special token that fills up
    assays: Mapping[str, int]  # to the row of their table; empty where sentences have none
    unknown_assay: str  # stands for an assay that is not known
    length: int  # genes of a sentence, the start included
    clip_counts: float  # counts are cut here
    min_genes: int  # that a cell must express


def read_release(folder: Path, *, trusted_sha256: str = "", pretrained_embedding: str = "") -> Release:
    """Read a release folder.

    The genes of ``pretrained_embedding``, files of protein embeddings of another species, relative to the
    folder and joined by commas, take the place of the checkpoint's; special tokens keep their rows.
    """
    path = folder / CONFIG
    stated = read_json(path, "the configuration")
    with reading(path, "a configuration of TranscriptFormer"):
        data, model = (_section(stated, name) for name in ("data_config", "model_config"))
        columns = _assay_columns(data, model, path)
        special, files = (_names(data[key]) for key in ("special_tokens", "esm2_mappings"))
        pad, unknown = str(data.get("gene_pad_token", "[PAD]")), str(data.get("aux_pad_token", "unknown"))
        length, min_genes = int(_number(model, "seq_len")), int(_number(data, "min_expressed_genes", 0))
        clip_counts = _number(data, "clip_counts", CLIP_COUNTS)
    demand_architecture(path, data, EXPECTED)
    if length < 1 or clip_counts < 0:
        found = f"seq_len = {length} and clip_counts = {clip_counts}"
        raise ModelError(f"{path}: {found}; expected 1 and 0 or more")
    weights = first_file(folder, WEIGHTS, SAFETENSORS)
    tensors = read_tensors(weights, trusted_sha256, SAFETENSORS)
    genes = _genes([_vocabulary(folder, name) for name in files], special)
    if TABLE not in tensors:
        raise ModelError(f"{weights}: not a TranscriptFormer checkpoint, it has no {TABLE!r}")
    if len(tensors[TABLE]) != len(special) + len(genes):
        raise ModelError(
            f"{weights}: the table of genes has {len(tensors[TABLE])} rows, but there are {len(special)} "
            f"special tokens and {len(genes)} genes in {', '.join(files)}"
        )
    if pretrained_embedding:
        files = tuple(pretrained_embedding.split(","))
        genes, tensors[TABLE] = _other_species([folder / name for name in files], special, tensors[TABLE])
    for token in (pad, START):
        if token not in special:
            raise ModelError(f"{path}: {token} is not among the special tokens, {', '.join(special)}")
    assays = _assays(folder, columns, unknown)
    return Release(
        weights=weights,
        config=config_of(model, tensors, columns, assays, weights),
        tensors=tensors,
        special=special,
        genes=genes,
        source=", ".join(files),
        pad=pad,
        assays=assays,
        unknown_assay=unknown,
        length=length,
        clip_counts=clip_counts,
        min_genes=min_genes,
    )


def _section(stated: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Part of ``config.json``; what is null has the default of the owners' package, as what is missing."""
    return {key: value for key, value in stated["model"][name].items() if value is not None}


def _number(section: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """What a section says, as a number; without a default it must say something."""
    value = section[key] if default is None else section.get(key, default)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key} is {value!r}, not a number") from error


def _names(stated: Any) -> tuple[str, ...]:
    """A list of names, or one."""
    return (stated,) if isinstance(stated, str) else tuple(map(str, stated))


def config_of(
    model: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    columns: Sequence[str],
    assays: Mapping[str, int],
    path: Path,
) -> TranscriptFormerConfig:
    """Sizes from the tensors, constants from ``config.json``; both must agree."""
    column = columns[0] if columns else ""
    table = f"aux_embeddings.{column}.weight"
    stands_in = path.parent / CONFIG
    with reading(path, "a TranscriptFormer checkpoint"):
        n_tokens, token_width = tensors[TABLE].shape
        n_assays = len(tensors[table]) if columns else 0
        hidden_size = len(tensors["gene_embeddings.mlp.layers.4.weight"])
        n_layers, feed_forward = n_blocks(tensors, LAYERS), len(tensors[f"{LAYERS}0.linear1.weight"])
    with reading(stands_in, "a configuration of TranscriptFormer"):
        config = TranscriptFormerConfig(
            n_tokens=n_tokens,
            token_width=token_width,
            n_assays=n_assays,
            assay_column=column,
            hidden_size=hidden_size,
            n_layers=n_layers,
            heads=int(_number(model, "num_heads")),
            feed_forward=feed_forward,
            activation=str(model.get("activation", "gelu")),
            attention_bias=bool(model.get("attn_bias", f"{LAYERS}0.self_attn.linears.0.bias" in tensors)),
            feed_forward_bias=bool(model.get("fw_bias", f"{LAYERS}0.linear1.bias" in tensors)),
            softcap=_number(model, "softcap"),
            log_counts_eps=_number(model, "log_counts_eps", 1e-6),
        )
        sizes = {"embed_dim": hidden_size, "num_layers": n_layers, "model_dim": feed_forward}
        stated = {name: (int(_number(model, name, size)), size) for name, size in sizes.items()}
    demand_agreement(stands_in, stated)
    config.demand_computable(stands_in, config.activation)
    beyond = [name for name, row in assays.items() if not 0 <= row < config.n_assays]
    if beyond:
        raise ModelError(
            f"{column}_vocab.json gives {beyond[0]!r} the row {assays[beyond[0]]}, but {table} of {path} has "
            f"{config.n_assays} rows"
        )
    return config


def _assay_columns(data: Mapping[str, Any], model: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The columns of ``obs`` that sentences begin with: one or none."""
    columns = _names(data.get("aux_cols", ()))
    if len(columns) > 1 or int(_number(model, "aux_len", len(columns))) != len(columns):
        raise ModelError(
            f"{path}: aux_cols = {list(columns)} and aux_len = {model.get('aux_len', 0)}; this architecture "
            "has one such token, or none"
        )
    return columns


def _vocabulary(folder: Path, name: str) -> Path:
    """A file of the vocabularies, in their folder or beside the weights."""
    beside = folder / name
    return beside if beside.is_file() else folder / VOCABULARIES / name


def _genes(files: Sequence[Path], special: Sequence[str]) -> tuple[str, ...]:
    """Names of the genes by ascending token: file by file, of repeats the first."""
    names = dict.fromkeys(name for path in files for name in _keys(path))
    return tuple(name for name in names if name not in set(special))


def _keys(path: Path) -> list[str]:
    try:
        with h5py.File(present(path, "the vocabulary of genes")) as file:
            return [str(name) for name in file["keys"].asstr()[()]]
    except DAMAGED as error:
        raise ModelError(f"{path}: not a vocabulary of genes ({error}); fetch it again") from error


def _other_species(
    files: Sequence[Path], special: Sequence[str], table: Tensor
) -> tuple[tuple[str, ...], Tensor]:
    """Genes of another species, and the table with their vectors after the checkpoint's special tokens."""
    genes = _genes(files, special)
    vectors: dict[str, np.ndarray] = {}
    for path in files:
        with h5py.File(path) as file:
            names = _keys(path)
            if "arrays" not in file or not set(names) <= set(file["arrays"]):
                raise ModelError(f"{path}: expected a vector in `arrays` for each gene in `keys`")
            for name in names:
                vectors.setdefault(name, file["arrays"][name][()])
    other = torch.from_numpy(np.stack([vectors[name] for name in genes]).astype(np.float32))
    if other.shape[1] != table.shape[1]:
        raise ModelError(
            f"{files[0]}: vectors of {other.shape[1]} numbers, but the checkpoint has {table.shape[1]}"
        )
    return genes, torch.cat([table[: len(special)].float(), other])


def _assays(folder: Path, columns: Sequence[str], unknown: str) -> dict[str, int]:
    if not columns:
        return {}
    path = _vocabulary(folder, f"{columns[0]}_vocab.json")
    assays = read_json(path, "the vocabulary of assays")
    if unknown not in assays or not all(isinstance(row, int) for row in assays.values()):
        raise ModelError(f"{path}: expected a mapping of assays to rows with {unknown!r} among them")
    return assays
