"""scGPT on disk: the owners' folder of checkpoint, arguments and vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from layerscope.errors import ModelError
from layerscope.models.binned import CELL, VOCABULARY, BinnedRelease
from layerscope.models.scgpt_network import ScGptConfig
from layerscope.models.vocabulary import demand_ids, genes_of
from layerscope.models.weights import (
    demand_agreement,
    demand_architecture,
    demand_bins,
    n_blocks,
    read_json,
    read_tensors,
    reading,
    renamed,
    spelt_alike,
)

CHECKPOINT, ARGUMENTS, END = "best_model.pt", "args.json", "<eoc>"
BLOCKS = "transformer_encoder.layers."
IGNORED = (
    "decoder.",
    "mvc_decoder.",
    "cls_decoder.",
    "flag_encoder.",
    "batch_encoder.",
    "grad_reverse_discriminator.",
)
BATCH_NORM = ("bn.", "dsbn.")
SPELLINGS = {
    "self_attn._impl.": "self_attn.",
    "self_attn.in_proj_weight": "self_attn.Wqkv.weight",
    "self_attn.in_proj_bias": "self_attn.Wqkv.bias",
}
stored_as = renamed({"in_proj_weight": "Wqkv.weight", "in_proj_bias": "Wqkv.bias"})
EXPECTED = {"input_emb_style": "continuous", "input_style": "binned"}
OTHER_FORWARD = ("batchnorm", "batch_norm", "dsbn", "pre_norm")
OFF = (None, False, "", "no", "none", "false", "False")


@dataclass(frozen=True, kw_only=True)
class Release(BinnedRelease[ScGptConfig]):
    """What a release folder holds."""

    n_bins: int  # one of which is for zeros
    pad_value: float  # the cell token's
    max_length: int  # tokens of a sentence at most


def read_release(folder: Path, *, trusted_sha256: str = "") -> Release:
    """Read a release folder."""
    weights = folder / CHECKPOINT
    arguments = read_json(folder / ARGUMENTS, "the file of training arguments")
    _demand_architecture(arguments, folder / ARGUMENTS)
    tensors = _read_encoder(weights, trusted_sha256)
    with reading(folder / ARGUMENTS, "the training arguments of scGPT"):
        tokens, genes = read_tokens(folder / VOCABULARY, str(arguments["pad_token"]))
        return Release(
            weights=weights,
            config=config_of(arguments, tensors, tokens, folder),
            tensors=tensors,
            tokens=tokens,
            genes=genes,
            n_bins=demand_bins(int(arguments["n_bins"])),
            pad_value=float(arguments["pad_value"]),
            max_length=int(arguments["max_seq_length"]),
        )


def _read_encoder(path: Path, trusted_sha256: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint, attention's under one name each, whichever library stored them."""

    def spell(name: str) -> str:
        for unusual, usual in SPELLINGS.items():
            name = name.replace(unusual, usual)
        return name

    tensors = spelt_alike(read_tensors(path, trusted_sha256), spell, path)
    by_batch = [name for name in tensors if name.startswith(BATCH_NORM)]
    if by_batch:
        raise ModelError(
            f"{path}: {by_batch[0]}: fine-tuned with batch norm, which makes it another architecture"
        )
    return tensors


def read_tokens(path: Path, pad: str) -> tuple[dict[str, int], list[str]]:
    """Read ``vocab.json``: its tokens, with the special ones that the owners' code appends, and the genes."""
    tokens = read_json(path, "the vocabulary")
    for special in (pad, CELL, END):
        tokens.setdefault(special, len(tokens))
    demand_ids(tokens, path)
    return tokens, [gene for gene in genes_of(tokens) if gene != pad]


def config_of(
    arguments: Mapping[str, Any], tensors: Mapping[str, Tensor], tokens: Mapping[str, int], folder: Path
) -> ScGptConfig:
    """Sizes as the arguments state them, checked against the tensors and the vocabulary."""
    config = ScGptConfig(
        vocabulary_size=len(tokens),
        hidden_size=int(arguments["embsize"]),
        n_layers=int(arguments["nlayers"]),
        heads=int(arguments["nheads"]),
        feed_forward=int(arguments["d_hid"]),
    )
    demand_agreement(folder / ARGUMENTS, {"nlayers": (config.n_layers, n_blocks(tensors, BLOCKS))})
    config.demand_computable(folder / ARGUMENTS)
    table = tensors.get("encoder.embedding.weight")
    if table is not None and len(table) != len(tokens):
        raise ModelError(
            f"{folder}: {VOCABULARY} has {len(tokens)} tokens, special ones included, but the gene table in "
            f"{CHECKPOINT} has {len(table)} rows: they are not of one release"
        )
    if set(tokens.values()) != set(range(len(tokens))):
        raise ModelError(f"{folder}: the ids in {VOCABULARY} do not count from 0 to {len(tokens) - 1}")
    return config


def _demand_architecture(arguments: Mapping[str, Any], path: Path) -> None:
    """Refuse what this network would compute wrongly without a word."""
    demand_architecture(path, arguments, EXPECTED)
    for name, value in arguments.items():
        if any(part in name.lower() for part in OTHER_FORWARD) and value not in OFF:
            raise ModelError(f"{path}: {name} is {value!r}; this architecture is without")
