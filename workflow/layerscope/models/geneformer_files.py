"""Geneformer on disk: a model's folder of the owners' release, and the dictionaries that belong to it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import ConfigError, ModelError
from layerscope.models.dictionaries import read_dictionary
from layerscope.models.geneformer_network import GeneformerConfig
from layerscope.models.vocabulary import demand_ids, genes_of
from layerscope.models.weights import (
    Checkpoint,
    demand_agreement,
    demand_architecture,
    first_file,
    n_blocks,
    read_json,
    read_tensors,
    reading,
)
from layerscope.sources.manifest import is_manifest

CONFIG, SAFETENSORS, CHECKPOINT = "config.json", "model.safetensors", "pytorch_model.bin"
TOKENS, MEDIANS, MAPPING = "token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict"
RELEASE_DICTIONARIES = "geneformer"
CELL, END = "<cls>", "<eos>"
PREFIX, BLOCKS = "bert.", "bert.encoder.layer."
IGNORED = ("cls.", "bert.pooler.", "bert.embeddings.position_ids")
CLASSIFIER = ("classifier.", "score.")
SUFFIXES = (".json", ".pkl", ".pickle")
EXPECTED = {"model_type": "bert", "position_embedding_type": "absolute", "is_decoder": False}
EMBEDDINGS = {
    "word": "word_embeddings",
    "position": "position_embeddings",
    "token_type": "token_type_embeddings",
    "norm": "LayerNorm",
}
IN_BLOCK = {
    "self_attn.in_proj": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "self_attn.out_proj": ("attention.output.dense",),
    "norm1": ("attention.output.LayerNorm",),
    "linear1": ("intermediate.dense",),
    "linear2": ("output.dense",),
    "norm2": ("output.LayerNorm",),
}


@dataclass(frozen=True, kw_only=True)
class Dictionaries:
    """What a generation of the release tokenises cells with."""

    source: Path  # the token dictionary's file
    tokens: Mapping[str, int]  # Ensembl id or special token to id
    medians: Mapping[str, float]  # of each gene over the cells that express it
    names: Mapping[str, str]  # Ensembl ids, outdated ones included, to those of tokens


def stored_as(name: str) -> Sequence[str]:
    """Where the checkpoint holds a parameter of the network; queries, keys and values are stored apart."""
    room, rest = name.split(".", 1)
    if room == "embeddings":
        table, _, kind = rest.rpartition(".")
        return (f"{PREFIX}embeddings.{EMBEDDINGS[table]}.{kind}",)
    number, _, rest = rest.partition(".")
    part, kind = re.fullmatch(r"(.*)[._](weight|bias)", rest).groups()  # type: ignore[union-attr]
    return tuple(f"{BLOCKS}{number}.{part_name}.{kind}" for part_name in IN_BLOCK[part])


def model_folder(folder: Path, name: str) -> Path:
    """The model's folder: ``folder`` itself, or the one of that name in a whole release."""
    models = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
    if name and not (folder / name).is_dir():
        listed = ", ".join(models) or "none"
        raise ConfigError(f"{folder}: --set model={name}: no such model; there are: {listed}")
    if name:
        return folder / name
    if (folder / CONFIG).is_file() or not folder.is_dir():
        return folder
    if len(models) > 1:
        raise ConfigError(f"{folder}: holds {', '.join(models)}; choose one with --set model=NAME")
    return folder / models[0] if models else folder


def read_network(folder: Path, *, trusted_sha256: str = "") -> Checkpoint[GeneformerConfig]:
    """Read ``config.json`` and the weights."""
    stated = read_json(folder / CONFIG, "the configuration")
    weights = first_file(folder, SAFETENSORS, CHECKPOINT)
    tensors = read_tensors(weights, trusted_sha256, SAFETENSORS)
    heads = [name for name in tensors if name.startswith(CLASSIFIER)]
    if heads:
        raise ModelError(
            f"{weights}: {heads[0]}: a model that was fine-tuned to classify, not the pretrained one"
        )
    config = config_of(stated, folder / CONFIG)
    demand_agreement(folder / CONFIG, {"num_hidden_layers": (config.n_layers, n_blocks(tensors, BLOCKS))})
    return Checkpoint(weights=weights, config=config, tensors=tensors)


def config_of(stated: Mapping[str, Any], path: Path) -> GeneformerConfig:
    """Sizes and constants of ``config.json``."""
    demand_architecture(path, stated, EXPECTED)
    with reading(path, "a configuration of Geneformer"):
        config = GeneformerConfig(
            vocabulary_size=int(stated["vocab_size"]),
            n_positions=int(stated["max_position_embeddings"]),
            hidden_size=int(stated["hidden_size"]),
            n_layers=int(stated["num_hidden_layers"]),
            heads=int(stated["num_attention_heads"]),
            feed_forward=int(stated["intermediate_size"]),
            n_types=int(stated["type_vocab_size"]),
            activation=str(stated["hidden_act"]),
            norm_eps=float(stated["layer_norm_eps"]),
            initial_scale=float(stated["initializer_range"]),
            pad_id=int(stated["pad_token_id"]),
        )
    config.demand_computable(path, config.activation)
    return config


def read_dictionaries(folder: Path, given: str, n_tokens: int) -> Dictionaries:
    """Read the dictionaries of the generation of a model, whose gene table has ``n_tokens`` rows.

    They lie in the folder ``given``; if that is empty, in the model's, else in its folder ``geneformer``,
    else in the folder ``geneformer`` beside it, as the release has them.
    """
    beside = (folder, folder / RELEASE_DICTIONARIES, folder.parent / RELEASE_DICTIONARIES)
    candidates = _token_dictionaries((folder / given,) if given else beside)
    if not candidates:
        where = folder / given if given else f"{folder}, or the release's folder {RELEASE_DICTIONARIES}"
        raise ModelError(
            f"{where}: no {TOKENS}*.pkl (or .json) there; name its folder with --set dictionaries=FOLDER, as "
            f"seen from {folder}"
        )
    readable: dict[Path, dict[str, int]] = {}
    unreadable: list[ModelError] = []
    for path in candidates:
        try:
            readable[path] = _read_tokens(path)
        except ModelError as error:
            unreadable.append(error)
    fitting = {path: tokens for path, tokens in readable.items() if len(tokens) == n_tokens}
    if not fitting and unreadable:
        raise unreadable[0]
    if not fitting:
        sizes = ", ".join(f"{path.name} has {len(tokens)}" for path, tokens in readable.items())
        raise ModelError(
            f"{folder}: the gene table has {n_tokens} rows, but of the token dictionaries {sizes}: "
            "dictionaries of one generation (V1, V2) do not fit models of another"
        )
    path = _of_generation(fitting, folder)
    return _dictionaries_beside(path, fitting[path])


def _token_dictionaries(roots: Sequence[Path]) -> list[Path]:
    """Token dictionaries in the first folder that has any, itself or one deeper; JSON before pickles."""
    for root in roots:
        dictionaries: dict[Path, Path] = {}
        for suffix in SUFFIXES:
            for pattern in (f"{TOKENS}*{suffix}", f"*/{TOKENS}*{suffix}"):
                for path in sorted(root.glob(pattern)):
                    if not is_manifest(path):
                        dictionaries.setdefault(path.with_suffix(""), path)
        if dictionaries:
            return list(dictionaries.values())
    return []


def _of_generation(fitting: Mapping[Path, Mapping[str, int]], folder: Path) -> Path:
    """The one that fits; of several, the one whose special tokens are those of the model's generation."""
    if len(fitting) > 1 and (named := re.search(r"V([12])", folder.name)):
        with_cell = named[1] == "2"
        chosen = [path for path, tokens in fitting.items() if (CELL in tokens) == with_cell]
    else:
        chosen = list(fitting)
    if len(chosen) != 1:
        raise ConfigError(
            f"{folder}: {', '.join(map(str, fitting))} all fit; choose with --set dictionaries=FOLDER"
        )
    return chosen[0]


def _read_tokens(path: Path) -> dict[str, int]:
    tokens = read_dictionary(path, "the token dictionary")
    demand_ids(tokens, path)
    if sorted(tokens.values()) != list(range(len(tokens))):
        raise ModelError(f"{path}: the ids do not count from 0 to {len(tokens) - 1}, each once")
    if (CELL in tokens) != (END in tokens):
        raise ModelError(f"{path}: has one of {CELL} and {END}; a cell's sentence needs both or neither")
    return tokens


def _dictionaries_beside(path: Path, tokens: dict[str, int]) -> Dictionaries:
    """The dictionaries beside a token dictionary."""
    medians = read_dictionary(_beside(path, MEDIANS), "the dictionary of medians")
    names = read_dictionary(_beside(path, MAPPING), "the dictionary of Ensembl ids")
    wrong = [gene for gene in genes_of(tokens) if not _is_positive(medians.get(gene))]
    if wrong:
        raise ModelError(
            f"{_beside(path, MEDIANS)}: {len(wrong)} genes of {path.name} have no median above zero, "
            f"such as {wrong[0]}"
        )
    if not all(isinstance(gene, str) for gene in names.values()):
        raise ModelError(f"{_beside(path, MAPPING)}: the dictionary of Ensembl ids names what is no text")
    return Dictionaries(source=path, tokens=tokens, medians=medians, names=names)


def _beside(path: Path, which: str) -> Path:
    """The dictionary of the same generation: same folder, same ending of the name."""
    stem = path.with_name(path.name.replace(TOKENS, which, 1)).with_suffix("")
    for suffix in SUFFIXES:
        if stem.with_suffix(suffix).is_file():
            return stem.with_suffix(suffix)
    return stem.with_suffix(path.suffix)


def _is_positive(median: object) -> bool:
    return isinstance(median, int | float) and math.isfinite(median) and median > 0
