"""Tahoe-X1 on disk: the release folder, and writing one."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.torch import save_file
from torch import Tensor

from layerscope.errors import ModelError
from layerscope.files import whole
from layerscope.models.binned import CELL, VOCABULARY, BinnedRelease
from layerscope.models.tahoe_x1_network import ChemistryConfig, TahoeX1Config, TahoeX1Encoder
from layerscope.models.vocabulary import demand_ids, genes_of
from layerscope.models.weights import (
    demand_agreement,
    demand_architecture,
    first_file,
    n_blocks,
    read_checkpoint,
    read_json,
    read_safetensors,
    read_yaml,
    reading,
)

SAFETENSORS, CHECKPOINT = "model.safetensors", "best-model.pt"
MODEL_CONFIG, COLLATOR_CONFIG = "model_config.yml", "collator_config.yml"
PREFIX, BLOCKS = "model.", "transformer_encoder.layers."
IGNORED = ("expression_decoder.", "mvc_decoder.", "flag_encoder.")
GENE_NORM, VALUE_NORM = "gene_encoder.enc_norm.weight", "expression_encoder.norm.weight"
PAD, DRUG = "<pad>", "<drug>"
NORMS = ("layernorm", "low_precision_layernorm")  # the same in float32
EXPECTED = {
    "norm_scheme": "pre",
    "use_glu": False,
    "norm_config.norm_type": NORMS[0],
    "cell_emb_style": "cls",
    "expression_encoder.input_emb_style": "continuous",
    **dict.fromkeys([f"attn_config.{name}" for name in ("qk_ln", "qk_gn", "alibi", "rope")], False),
}

# what the owners' trainer stores beside the weights: the state of NumPy's generators, and times
TRAINER_STATE = (
    datetime.timedelta,
    np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    np.ndarray,
    np.dtype,
    np.dtypes.UInt32DType,
)


@dataclass(frozen=True, kw_only=True)
class Release(BinnedRelease[TahoeX1Config]):
    """What a release folder holds."""

    collator: Mapping[str, Any]  # how sentences were made


def read_release(folder: Path, *, trusted_sha256: str = "") -> Release:
    """Read a release folder; safetensors are preferred to the trainer's checkpoint."""
    model = read_yaml(folder / MODEL_CONFIG)
    collator = read_yaml(folder / COLLATOR_CONFIG)
    tokens = _vocabulary(folder / VOCABULARY)
    weights = first_file(folder, SAFETENSORS, CHECKPOINT)
    if weights.name == SAFETENSORS:
        tensors = read_safetensors(weights)
    else:
        trainer = read_checkpoint(
            weights, trusted_sha256=trusted_sha256, allowed=TRAINER_STATE, instead=SAFETENSORS
        )
        with reading(weights, "a checkpoint of Tahoe-X1's trainer"):
            tensors = dict(trainer["state"]["model"])
    tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    config = config_of(model, tensors, weights)
    beyond = [name for name, token in tokens.items() if not 0 <= token < config.vocabulary_size]
    if beyond:
        raise ModelError(
            f"{folder / VOCABULARY}: {len(beyond)} tokens ({beyond[0]}, ...) have ids beyond the "
            f"{config.vocabulary_size} rows of the gene table in {weights.name}"
        )
    genes = genes_of(tokens)
    return Release(
        weights=weights, config=config, tensors=tensors, tokens=tokens, genes=genes, collator=collator
    )


def _vocabulary(path: Path) -> dict[str, int]:
    tokens = read_json(path, "the vocabulary")
    if CELL not in tokens:
        raise ModelError(f"{path}: expected a mapping of tokens to ids with {CELL!r} among them")
    demand_ids(tokens, path)
    return tokens


def config_of(model: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> TahoeX1Config:
    """Sizes from the tensors, constants from ``model_config.yml``; both must agree."""
    stands_in = path.parent / MODEL_CONFIG
    with reading(path, "a Tahoe-X1 checkpoint"):
        vocabulary_size, hidden = tensors["gene_encoder.embedding.weight"].shape
        feed_forward = len(tensors[f"{BLOCKS}0.up_proj.weight"])
    depth = n_blocks(tensors, BLOCKS)
    with reading(stands_in, "a configuration of Tahoe-X1"):
        values, attention = model["expression_encoder"], model.get("attn_config") or {}
        config = TahoeX1Config(
            vocabulary_size=vocabulary_size,
            hidden_size=hidden,
            n_layers=depth,
            heads=int(model["n_heads"]),
            feed_forward=feed_forward,
            activation=model["transformer_activation"],
            value_activation=values["activation"],
            max_value=float(values["max_value"]),
            norm_eps=float(model["norm_config"]["eps"]),
            clip_qkv=_number(attention.get("clip_qkv")),
            softmax_scale=_number(attention.get("softmax_scale")),
            gene_norm=_has_norm(model.get("gene_encoder") or {}, GENE_NORM in tensors),
            value_norm=_has_norm(values, VALUE_NORM in tensors),
            chemistry=_chemistry(model, tensors),
        )
        stated = {
            "d_model": (int(model["d_model"]), hidden),
            "n_layers": (int(model["n_layers"]), depth),
            "vocab_size": (int(model["vocab_size"]), vocabulary_size),
            "d_model x expansion_ratio": (int(float(model["expansion_ratio"]) * hidden), feed_forward),
        }
    demand_agreement(stands_in, stated)
    _demand_architecture(model, config, stands_in)
    return config


def _number(stated: Any) -> float | None:
    return None if stated is None else float(stated)


def _has_norm(encoder: Mapping[str, Any], in_tensors: bool) -> bool:
    """Whether an encoder ends in a norm: as it says, else as its tensors do."""
    return bool(encoder.get("use_norm", in_tensors))


def _chemistry(model: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ChemistryConfig | None:
    if "chem_encoder.embedding.weight" not in tensors:
        return None
    n_drugs, bits = tensors["chem_encoder.embedding.weight"].shape
    return ChemistryConfig(n_drugs=n_drugs, bits=bits, activation=model["chemical_encoder"]["activation"])


def _demand_architecture(model: Mapping[str, Any], config: TahoeX1Config, path: Path) -> None:
    """Refuse what this network would compute wrongly without a word."""
    with reading(path, "a configuration of Tahoe-X1"):
        attention = model.get("attn_config") or {}
        norm = str(model["norm_config"].get("norm_type", NORMS[0]))
        encoder = model["expression_encoder"]
        stated = {
            **model,
            "norm_config.norm_type": NORMS[0] if norm.lower() in NORMS else norm,
            "expression_encoder.input_emb_style": encoder.get("input_emb_style", "continuous"),
            **{f"attn_config.{name}": value for name, value in attention.items() if value},
            "attn_config.kv_nheads": attention.get("kv_nheads", config.heads),
        }
    of_drugs = [config.chemistry.activation] if config.chemistry else []
    config.demand_computable(path, config.activation, config.value_activation, *of_drugs)
    demand_architecture(path, stated, EXPECTED | {"attn_config.kv_nheads": config.heads})


def write_release(
    folder: Path,
    encoder: TahoeX1Encoder,
    genes: Sequence[str],
    *,
    max_length: int,
    heads: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a release of an encoder without chemistry; a cell has at most ``max_length`` tokens.

    The names of ``heads``, tensors to store besides, start with one of :data:`IGNORED`.
    """
    tensors = {
        PREFIX + name: tensor.detach().cpu().contiguous()
        for name, tensor in {**encoder.state_dict(), **(heads or {})}.items()
    }
    with whole(folder / SAFETENSORS) as scratch:
        save_file(tensors, scratch)
    config = encoder.config
    model = {
        "name": "tahoe_x1",
        "d_model": config.hidden_size,
        "n_layers": config.n_layers,
        "n_heads": config.heads,
        "expansion_ratio": config.feed_forward // config.hidden_size,
        "transformer_activation": config.activation,
        "norm_scheme": "pre",
        "use_glu": False,
        "attn_config": {"attn_type": "grouped_query_attention", "kv_nheads": config.heads},
        "norm_config": {"norm_type": "layernorm", "eps": config.norm_eps},
        "expression_encoder": {
            "input_emb_style": "continuous",
            "max_value": config.max_value,
            "activation": config.value_activation,
            "use_norm": True,
        },
        "gene_encoder": {"use_norm": True},
        "vocab_size": config.vocabulary_size,
    }
    collator = {
        "do_binning": True,
        "num_bins": 51,
        "right_binning": False,
        "pad_value": -2,
        "mask_value": -1,
        "max_length": max_length,
        "pad_token_id": 0,
    }
    for name, content in ((MODEL_CONFIG, model), (COLLATOR_CONFIG, collator)):
        with whole(folder / name) as scratch:
            scratch.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with whole(folder / VOCABULARY) as scratch:
        scratch.write_text(json.dumps(tokens_of(genes), indent=1) + "\n", encoding="utf-8")


def tokens_of(genes: Sequence[str]) -> dict[str, int]:
    """A vocabulary as the owners lay it out: padding 0, cell 1, end 2, then the genes."""
    return {token: place for place, token in enumerate([PAD, CELL, "<eoc>", *genes])}
