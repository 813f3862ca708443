"""scConcept on disk: configuration, weights, and the genes of a species with their tokens."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from layerscope.errors import ConfigError, ModelError
from layerscope.models.scconcept_network import ScConceptConfig
from layerscope.models.weights import (
    Checkpoint,
    content_of,
    demand_agreement,
    demand_architecture,
    first_file,
    n_blocks,
    read_checkpoint,
    read_text,
    read_yaml,
    reading,
)

CONFIG, WEIGHTS = "config.yaml", "model.ckpt"
GENES, PROTEINS = "gene_mappings", "pretrained_vocabulary"
CELL, PAD = "<cls>", "<pad>"
STATE = ("state_dict", "model")  # where Lightning, and where Fabric, keeps the weights
BLOCKS = "transformer_encoder.layers."
LEARNABLE, PRETRAINED = (f"gene_token_encoder.{kind}_embs." for kind in ("learnable", "pretrained"))
IGNORED = ("logit_scale", "expression_decoder.")
NORMALISATIONS = ("raw", "log1p")
STRATEGIES = ("top-nonzero", "top", "random-nonzero", "random")
HUMAN = "hsapiens"
SPECIES = {"human": HUMAN, "mouse": "mmusculus"}  # of organisms that are told by the names of genes
NORM_SCHEMES = ("post", "pre")


@dataclass(frozen=True, kw_only=True)
class Release(Checkpoint[ScConceptConfig]):
    """What a release says of the cells of one species."""

    ignored: Sequence[str]  # prefixes of tensors that are not of this species, or make no representation
    source: Path  # the file of genes
    genes: tuple[str, ...]  # ids, by ascending token
    tokens: npt.NDArray[np.int64]  # of each gene
    names: Mapping[str, str]  # ids, and symbols in capitals, with the id that each means
    special: Mapping[str, int]
    max_genes: int
    normalisation: str
    strategy: str


def read_release(
    folder: Path, species: str, organism: str, *, trusted_sha256: str, use_learnable: bool
) -> Release:
    """Read a model's folder for a species; by default that of the cells, else the human, or the only one."""
    path = folder / CONFIG
    stated = read_yaml(path)
    with reading(path, "a configuration of scConcept"):
        data = stated["datamodule"]
        known = [data["species"]] if isinstance(data["species"], str) else list(data["species"])
        training = data["dataset"]["train"]
        max_genes = int(training["max_tokens"])
        strategy = training.get("gene_sampling_strategy", data.get("gene_sampling_strategy", STRATEGIES[0]))
        normalisation = data.get("normalization") or NORMALISATIONS[0]
    _demand_choice(path, "gene_sampling_strategy", strategy, STRATEGIES)
    _demand_choice(path, "normalization", normalisation, NORMALISATIONS)
    species = _species(species, organism, known, path)
    source = _file_of(folder, GENES, species)
    table = _read_genes(source)
    weights = folder / WEIGHTS
    tensors = _read_tensors(weights, trusted_sha256)
    missing = [name for one in known if (name := f"{LEARNABLE}{one}.weight") not in tensors]
    if missing:
        raise ModelError(
            f"{weights}: {len(missing)} missing tensors of species that {path} has: {missing[0]}"
        )
    config = config_of(stated, tensors, species, path, use_learnable)
    _demand_rows(table, config.n_tokens, source)
    genes = table[~table["gene_id"].isin([CELL, PAD])]
    symbols = genes[genes["gene_name"] != ""].drop_duplicates("gene_name")
    others = [f"{kind}{one}." for kind in (LEARNABLE, PRETRAINED) for one in known if one != species]
    return Release(
        weights=weights,
        config=config,
        tensors=tensors,
        ignored=(*IGNORED, *others),
        source=source,
        genes=tuple(genes["gene_id"]),
        tokens=genes["token"].to_numpy(),
        names=dict(zip(symbols["gene_name"], symbols["gene_id"], strict=True))
        | {gene: gene for gene in genes["gene_id"]},
        special=dict(table[table["gene_id"].isin([CELL, PAD])].set_index("gene_id")["token"].astype(int)),
        max_genes=max_genes,
        normalisation=normalisation,
        strategy=strategy,
    )


def _demand_choice(path: Path, key: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ModelError(f"{path}: {key} is {value!r}; this architecture has {', '.join(choices)}")


def _species(wanted: str, organism: str, known: Sequence[str], path: Path) -> str:
    of_cells = SPECIES.get(organism, HUMAN)
    default = next((name for name in (of_cells, HUMAN) if name in known), known[0] if len(known) == 1 else "")
    chosen = wanted or default
    if chosen not in known:
        raise ConfigError(
            f"{path}: no species {chosen!r}; choose one of {', '.join(map(str, known))} with --set "
            "species=NAME"
        )
    return chosen


def _file_of(folder: Path, kind: str, species: str) -> Path:
    """The release's file of a kind: in a folder of that name, or beside the weights under both names."""
    return first_file(folder, f"{kind}/{species}.csv", f"{kind}.{species}.csv")


def _read_genes(path: Path) -> pd.DataFrame:
    """Ids, symbols in capitals and tokens, by ascending token; of a name that comes twice the first row's."""
    text = read_text(path, "the table of genes")
    with reading(path, "a table of genes"):
        rows = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        table = pd.DataFrame({name: rows[name] for name in ("gene_id", "gene_name", "token")})
        table["token"] = table["token"].astype(np.int64)
    table["gene_name"] = table["gene_name"].str.upper()
    table.loc[table["gene_name"].duplicated(), "gene_name"] = ""
    for token in (CELL, PAD):
        if token not in set(table["gene_id"]):
            raise ModelError(f"{path}: the table of genes has no {token!r}; fetch it again")
    return table.sort_values("token", kind="stable")


def _demand_rows(table: pd.DataFrame, n_tokens: int, path: Path) -> None:
    """Refuse a table of genes whose tokens are not the rows of the checkpoint's table."""
    tokens = table["token"].to_numpy()
    if len(np.unique(tokens)) < len(tokens) or tokens[0] < 0:
        raise ModelError(f"{path}: two tokens share an id, or one is below 0")
    if tokens[-1] >= n_tokens or n_tokens not in (len(tokens), tokens[-1] + 1):
        raise ModelError(
            f"{path}: {len(tokens)} tokens up to {tokens[-1]}, where the checkpoint's table has {n_tokens} "
            "rows: the file is cut off, or of another release"
        )


def _read_tensors(path: Path, trusted_sha256: str) -> dict[str, Tensor]:
    checkpoint = read_checkpoint(path, trusted_sha256=trusted_sha256)
    held = [checkpoint[key] for key in STATE if key in checkpoint] if isinstance(checkpoint, Mapping) else []
    if not held or not isinstance(held[0], Mapping) or not all(map(torch.is_tensor, held[0].values())):
        raise ModelError(
            f"{path}: expected weights under {' or '.join(STATE)}; it holds {content_of(checkpoint)}"
        )
    return dict(held[0])


def config_of(
    stated: Mapping[str, Any], tensors: Mapping[str, Tensor], species: str, path: Path, use_learnable: bool
) -> ScConceptConfig:
    """Sizes and constants of ``config.yaml``; the tables of genes have their own."""
    with reading(path, "a configuration of scConcept"):
        model = stated["model"]
        demand_architecture(path, model, {"input_encoding": "rank_encoding"})
        norm_scheme = model.get("norm_scheme", NORM_SCHEMES[0])
        pretrained = tensors.get(f"{PRETRAINED}{species}.weight", torch.empty(0, 0))
        config = ScConceptConfig(
            hidden_size=int(model["dim_model"]),
            n_layers=int(model["nlayers"]),
            heads=int(model["num_head"]),
            feed_forward=int(model["dim_hid"]),
            species=species,
            n_tokens=len(tensors[f"{LEARNABLE}{species}.weight"]),
            gene_width=int(model.get("dim_gene_embs") or model["dim_model"]),
            pretrained_width=pretrained.shape[-1],
            n_positions=int(model.get("pe_max_len") or ScConceptConfig.n_positions),
            projected=int(model.get("projection_dim") or 0),
            norm_first=norm_scheme == "pre",
            activation=str(model.get("activation") or ScConceptConfig.activation),
            use_learnable=use_learnable,
        )
    _demand_choice(path, "norm_scheme", norm_scheme, NORM_SCHEMES)
    config.demand_computable(path, config.activation)
    demand_agreement(path, {"nlayers": (config.n_layers, n_blocks(tensors, BLOCKS))})
    if not use_learnable and not config.pretrained_width:
        raise ConfigError("--set use_learnable_embs=false: this checkpoint has no vectors of proteins beside")
    return config


def read_proteins(release: Release) -> Tensor:
    """The vectors of proteins before training, one for each token; zero where a gene has none."""
    path = _file_of(release.weights.parent, PROTEINS, release.config.species)
    text = read_text(path, "the vectors of proteins before training, which an untrained control needs,")
    with reading(path, "a table of vectors of proteins"):
        vectors = pd.read_csv(io.StringIO(text), index_col=0).astype(np.float32)
        width = release.config.pretrained_width
        if vectors.shape[1] != width:
            raise ValueError(f"vectors of {vectors.shape[1]} numbers, where the checkpoint's have {width}")
        if vectors.isna().any(axis=None):
            raise ValueError("a vector of it is not whole")
        table = torch.zeros(release.config.n_tokens, width)
        of_genes = vectors.reindex(release.genes).fillna(0.0).to_numpy()
        table[torch.from_numpy(release.tokens)] = torch.from_numpy(of_genes)
    return table
