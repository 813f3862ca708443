"""Geneformer on disk: a model's folder of the owners' release, and the dictionaries that belong to it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from layerscope.errors import ConfigError, ModelError
from layerscope.models.dictionaries import read_dictionary
from layerscope.models.gene_value import ACTIVATIONS
from layerscope.models.geneformer_network import GeneformerConfig
from layerscope.models.weights import demand_agreement, n_blocks, read_checkpoint, read_json, read_safetensors

CONFIG, SAFETENSORS, CHECKPOINT = "config.json", "model.safetensors", "pytorch_model.bin"
TOKENS, MEDIANS, MAPPING = "token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict"
RELEASE_DICTIONARIES = "geneformer"
CELL, END = "<cls>", "<eos>"
PREFIX, BLOCKS = "bert.", "bert.encoder.layer."
IGNORED = ("cls.", "bert.pooler.", "bert.embeddings.position_ids")
CLASSIFIER = ("classifier.", "score.")
SUFFIXES = (".json", ".pkl", ".pickle")
ABSOLUTE = "absolute"
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
    """What a generation of the release tokenises cells with.

    Attributes
    ----------
    source
        The token dictionary's file.
    tokens
        Ensembl id or special token to id.
    medians
        Median of each gene of ``tokens`` over the cells that express it.
    names
        Ensembl ids, outdated ones included, to those of ``tokens``.
    """

    source: Path
    tokens: Mapping[str, int]
    medians: Mapping[str, float]
    names: Mapping[str, str]

    @property
    def genes(self) -> list[str]:
        """The tokens that are genes, by ascending id."""
        return sorted(_genes(self.tokens), key=self.tokens.__getitem__)


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
    if name:
        return folder / name
    if (folder / CONFIG).is_file() or not folder.is_dir():
        return folder
    models = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
    if len(models) > 1:
        raise ConfigError(f"{folder}: holds {', '.join(models)}; choose one with --set model=NAME")
    return folder / models[0] if models else folder


def read_network(
    folder: Path, *, trusted_sha256: str = ""
) -> tuple[Path, GeneformerConfig, dict[str, Tensor]]:
    """Read ``config.json`` and the weights: the file, the network's sizes, its tensors."""
    stated = read_json(folder / CONFIG, "the configuration")
    weights = folder / SAFETENSORS
    if weights.is_file() or not (folder / CHECKPOINT).is_file():
        tensors = read_safetensors(weights)
    else:
        weights = folder / CHECKPOINT
        tensors = dict(read_checkpoint(weights, trusted_sha256=trusted_sha256))
    heads = [name for name in tensors if name.startswith(CLASSIFIER)]
    if heads:
        raise ModelError(
            f"{weights}: {heads[0]}: a model that was fine-tuned to classify, not the pretrained one"
        )
    config = config_of(stated, folder / CONFIG)
    demand_agreement(folder / CONFIG, {"num_hidden_layers": (config.n_layers, n_blocks(tensors, BLOCKS))})
    return weights, config, tensors


def config_of(stated: Mapping[str, Any], path: Path) -> GeneformerConfig:
    """Sizes and constants of ``config.json``."""
    for key, needed in (("model_type", "bert"), ("position_embedding_type", ABSOLUTE), ("is_decoder", False)):
        if stated.get(key, needed) != needed:
            raise ModelError(f"{path}: {key} is {stated[key]!r}; this architecture has {needed!r}")
    try:
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
    except KeyError as error:
        raise ModelError(f"{path}: the configuration lacks {error.args[0]!r}") from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: a size in the configuration is not a number ({error})") from error
    if config.activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ModelError(f"{path}: hidden_act {config.activation!r} is not one of {known}")
    config.demand_equal_heads(path)
    return config


def read_dictionaries(folder: Path, given: str, n_tokens: int) -> Dictionaries:
    """Read the dictionaries of the generation that a model belongs to.

    Parameters
    ----------
    folder
        The model's.
    given
        Folder of the dictionaries, from ``folder``; empty to look in ``folder``, else in its folder
        ``geneformer``, else in the folder ``geneformer`` beside it, as the release has them.
    n_tokens
        Rows of the model's gene table, which the token dictionary must have as many tokens as.

    Raises
    ------
    ModelError
        If there is none of that size, or one is damaged or unsafe, or does not fit the others.
    ConfigError
        If several would fit.
    """
    beside = (folder, folder / RELEASE_DICTIONARIES, folder.parent / RELEASE_DICTIONARIES)
    candidates = _token_dictionaries((folder / given,) if given else beside)
    if not candidates:
        where = folder / given if given else folder
        raise ModelError(
            f"{where}: no {TOKENS}*.pkl (or .json) there or in the release's folder {RELEASE_DICTIONARIES}; "
            "name its folder with --set dictionaries=FOLDER"
        )
    sizes: dict[Path, int | ModelError] = {}
    fitting: dict[Path, dict[str, int]] = {}
    for path in candidates:
        try:
            tokens = _read_tokens(path)
            sizes[path] = len(tokens)
        except ModelError as error:
            sizes[path] = error
            continue
        if len(tokens) == n_tokens:
            fitting[path] = tokens
    if not fitting:
        damaged = [error for error in sizes.values() if isinstance(error, ModelError)]
        if damaged:
            raise damaged[0]
        listed = ", ".join(f"{path.name} has {size}" for path, size in sizes.items())
        raise ModelError(
            f"{folder}: the gene table has {n_tokens} rows, but of the token dictionaries {listed}: "
            "dictionaries of one generation (V1, V2) do not fit models of another"
        )
    path = _of_generation(fitting, folder)
    return _whole(path, fitting[path])


def _token_dictionaries(roots: Sequence[Path]) -> list[Path]:
    """Token dictionaries in the first folder that has any, itself or one deeper; JSON before pickles."""
    for root in roots:
        dictionaries: dict[Path, Path] = {}
        for suffix in SUFFIXES:
            for pattern in (f"{TOKENS}*{suffix}", f"*/{TOKENS}*{suffix}"):
                for path in sorted(root.glob(pattern)):
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
    if not all(type(place) is int for place in tokens.values()):
        raise ModelError(f"{path}: the token dictionary has ids that are not whole numbers")
    if sorted(tokens.values()) != list(range(len(tokens))):
        raise ModelError(f"{path}: the ids do not count from 0 to {len(tokens) - 1}, each once")
    if (CELL in tokens) != (END in tokens):
        raise ModelError(f"{path}: has one of {CELL} and {END}; a cell's sentence needs both or neither")
    return tokens


def _whole(path: Path, tokens: dict[str, int]) -> Dictionaries:
    """The dictionaries beside a token dictionary."""
    medians = read_dictionary(_beside(path, MEDIANS), "the dictionary of medians")
    names = read_dictionary(_beside(path, MAPPING), "the dictionary of Ensembl ids")
    wrong = [gene for gene in _genes(tokens) if not _is_positive(medians.get(gene))]
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


def _genes(tokens: Mapping[str, int]) -> list[str]:
    return [token for token in tokens if not (token.startswith("<") and token.endswith(">"))]


def _is_positive(median: object) -> bool:
    return isinstance(median, int | float) and math.isfinite(median) and median > 0
