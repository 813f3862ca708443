"""Nicheformer on disk: configuration, weights, the order of genes, and the means of the technologies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from torch import Tensor

from layerscope.cells.h5ad_file import read_index
from layerscope.errors import LayerscopeError, ModelError
from layerscope.files import BAD_HEADER
from layerscope.models.nicheformer_network import NicheformerConfig
from layerscope.models.vocabulary import demand_ids, genes_of, special_of
from layerscope.models.weights import (
    DAMAGED,
    Checkpoint,
    content_of,
    demand_agreement,
    demand_architecture,
    first_file,
    n_blocks,
    present,
    read_checkpoint,
    read_json,
    read_safetensors,
    reading,
)

HUB = "Nicheformer"  # the owners' names: of the release's folder on Hugging Face, and of the files in it
CONFIG, WEIGHTS, CHECKPOINT = "config.json", "model.safetensors", "nicheformer.ckpt"
VOCABULARY, ORDER = "vocab.json", "model.h5ad"
MEANS = "{}_mean_script.npy"
PREFIX = "nicheformer."
TABLE, BLOCKS = "embeddings.weight", "encoder.layers."
IGNORED = ("encoder_layer.", "classifier_head.", "pooler_head.", "cls_head.")
COUNTING = "pos"  # a buffer of the numbers from 0 on
N_CONTEXT = 3  # tokens of a sentence before its genes: species, assay, modality
SURPLUS_ROWS = 5  # of the table, after its tokens
FLAGS = ("learnable_pe", "specie", "assay", "modality")  # all must be true


@dataclass(frozen=True, kw_only=True)
class Release(Checkpoint[NicheformerConfig]):
    """What a release folder holds."""

    prefix: str  # of the encoder's tensors
    special: Mapping[str, int]  # tokens that are no genes, where the release names them
    genes: Mapping[str, int]  # tokens, by ascending id
    source: Path  # the file that orders the genes
    technology: str  # whose means; empty without
    means: npt.NDArray[np.float64] | None  # of each gene, NaN where the technology never measured it


def read_release(folder: Path, checkpoint: str, technology: str, trusted_sha256: str) -> Release:
    """Read a release folder.

    ``checkpoint`` names the file of weights, if it has not one of the owners' names; ``technology`` the means
    that are wanted, if any are.
    """
    home = _home(folder)
    named = [first_file(place, checkpoint or WEIGHTS, checkpoint or CHECKPOINT) for place in (folder, home)]
    weights = next((path for path in named if path.is_file()), named[1])
    tensors, stated, config_path = _read_weights(weights, trusted_sha256)
    prefix = PREFIX if f"{PREFIX}{TABLE}" in tensors else ""
    tensors.pop(f"{prefix}{COUNTING}", None)
    with reading(config_path, "a configuration of Nicheformer"):
        demand_architecture(config_path, stated, dict.fromkeys(FLAGS, True))
        config = config_of(stated, tensors, prefix, config_path, weights)
    if config.n_positions <= N_CONTEXT:
        raise ModelError(
            f"{config_path}: context_length is {config.n_positions}, which leaves no place for genes"
        )
    source, special, genes = _read_genes(home, config.n_tokens - SURPLUS_ROWS)
    if max(genes.values()) >= config.n_tokens:
        raise ModelError(
            f"{source}: names tokens up to {max(genes.values())}, but the table in {weights} has "
            f"{config.n_tokens} rows: they are not of one release"
        )
    return Release(
        weights=weights,
        prefix=prefix,
        config=config,
        tensors=tensors,
        special=special,
        genes=genes,
        source=source,
        technology=technology,
        means=_read_means(folder, home, technology, len(genes)) if technology else None,
    )


def _home(folder: Path) -> Path:
    """Where the genes' order is: in FOLDER, or the folder ``Nicheformer`` in it or beside it."""
    places = (folder, folder / HUB, folder.parent / HUB)
    return next((place for place in places if _orders_genes(place)), folder)


def _orders_genes(folder: Path) -> bool:
    return (folder / VOCABULARY).is_file() or (folder / ORDER).is_file()


def _read_weights(path: Path, trusted_sha256: str) -> tuple[dict[str, Tensor], dict[str, Any], Path]:
    """Tensors, the configuration, and the file that states it: a Lightning checkpoint has its own."""
    if path.suffix == ".safetensors":
        config = path.parent / CONFIG
        return read_safetensors(path), read_json(config, "the configuration"), config
    held = read_checkpoint(path, trusted_sha256=trusted_sha256, instead=WEIGHTS)
    if not isinstance(held, Mapping) or not {"state_dict", "hyper_parameters"} <= held.keys():
        raise ModelError(
            f"{path}: not a checkpoint of Nicheformer, which has state_dict and hyper_parameters; it holds "
            f"{content_of(held)}"
        )
    return dict(held["state_dict"]), dict(held["hyper_parameters"]), path


def config_of(
    stated: Mapping[str, Any], tensors: Mapping[str, Tensor], prefix: str, path: Path, weights: Path
) -> NicheformerConfig:
    """Sizes from the tensors, checked against those that are stated; the number of heads is only stated."""
    heads = int(stated["nheads"])
    with reading(weights, "a checkpoint of Nicheformer"):
        n_tokens, width = tensors[f"{prefix}{TABLE}"].shape
        config = NicheformerConfig(
            n_tokens=n_tokens,
            n_positions=len(tensors[f"{prefix}positional_embedding.weight"]),
            hidden_size=width,
            n_layers=n_blocks(tensors, f"{prefix}{BLOCKS}"),
            heads=heads,
            feed_forward=len(tensors[f"{prefix}{BLOCKS}0.linear1.weight"]),
        )
    sizes = {
        "dim_model": config.hidden_size,
        "dim_feedforward": config.feed_forward,
        "nlayers": config.n_layers,
        "context_length": config.n_positions,
        "n_tokens": config.n_tokens - SURPLUS_ROWS,
    }
    demand_agreement(path, {name: (int(stated[name]), size) for name, size in sizes.items()})
    config.demand_computable(path)
    return config


def _read_genes(folder: Path, n_tokens: int) -> tuple[Path, dict[str, int], dict[str, int]]:
    """The file that orders the genes, the special tokens and the genes, by ascending id.

    It is ``vocab.json``; a checkpoint of PyTorch comes without, and then the order is that of the one cell in
    ``model.h5ad``, whose genes are the last of the tokens. Where there are both, they must agree.
    """
    path, order = folder / VOCABULARY, folder / ORDER
    names = _names_in_order(order) if order.is_file() else []
    if not path.is_file() and names:
        first = n_tokens - len(names)
        return order, {}, {gene: first + place for place, gene in enumerate(names)}
    tokens = read_json(path, "the vocabulary")
    demand_ids(tokens, path)
    special, genes = special_of(tokens, "[]"), {gene: tokens[gene] for gene in genes_of(tokens, "[]")}
    if not genes or min(tokens.values()) < 0:
        raise ModelError(f"{path}: the vocabulary holds no gene, or ids below 0; fetch it again")
    if names and names != list(genes):
        raise ModelError(f"{path}: its genes, by their ids, are not those of {ORDER} in their order")
    return path, special, genes


def _names_in_order(path: Path) -> list[str]:
    present(path, "the order of genes")
    try:
        with h5py.File(path) as file:
            return read_index(file["var"])
    except (*DAMAGED, LayerscopeError) as error:
        raise ModelError(f"{path}: not a whole h5ad file ({error}); fetch it again") from error


def _read_means(folder: Path, home: Path, technology: str, n_genes: int) -> npt.NDArray[np.float64]:
    """The mean of each gene, in the order of the vocabulary: beside the weights or in ``model_means``."""
    name = MEANS.format(technology)
    places = (folder, home, folder / "model_means", home.parent / "model_means")
    path = next((place / name for place in places if (place / name).is_file()), folder / name)
    present(path, f"the means of {technology}")
    try:
        means = np.load(path, allow_pickle=False)
    except (*DAMAGED, *BAD_HEADER) as error:
        raise ModelError(f"{path}: not a whole NumPy file ({error}); fetch it again") from error
    if not isinstance(means, np.ndarray) or means.shape != (n_genes,) or means.dtype.kind != "f":
        what = f"{means.dtype} {means.shape}" if isinstance(means, np.ndarray) else type(means).__name__
        raise ModelError(f"{path}: holds {what}; expected a mean of each of the {n_genes} genes")
    if np.isinf(means).any() or np.isnan(means).all():
        raise ModelError(f"{path}: holds infinite means, or none at all; fetch it again")
    return means.astype(np.float64)
