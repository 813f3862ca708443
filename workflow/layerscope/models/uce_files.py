"""UCE on disk: weights, the genes of a species in the order of their tokens, and where they lie."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from layerscope.errors import ConfigError, ModelError
from layerscope.models.dictionaries import read_dictionary
from layerscope.models.uce_network import UCEConfig
from layerscope.models.weights import n_blocks, present, read_proteins, reading

log = logging.getLogger(__name__)

TABLE = "pe_embedding.weight"
IGNORED = ("binary_decoder.", "gene_embedding_layer.")
NOT_WEIGHTS = "all_tokens.torch"
CHROMOSOMES, OFFSETS = "species_chrom.csv", "species_offsets.pkl"
PROTEINS, NEW_SPECIES = "protein_embeddings", "new_species_protein_embeddings.csv"
FILES_OF = {  # how the owners name the files of the species that they call ...
    "human": "Homo_sapiens",
    "mouse": "Mus_musculus",
    "frog": "Xenopus_tropicalis",
    "zebrafish": "Danio_rerio",
    "mouse_lemur": "Microcebus_murinus",
    "pig": "Sus_scrofa",
    "macaca_fascicularis": "Macaca_fascicularis",
    "macaca_mulatta": "Macaca_mulatta",
}
STOCK = {145469: 143574}  # rows of the owners' table, and where its chromosomes begin
COMPARED_ROWS = 16
UNPLACED = -1


@dataclass(frozen=True, kw_only=True)
class Genes:
    """The genes of a species; a chromosome is :data:`UNPLACED` where it, or the start on it, is not known."""

    names: tuple[str, ...]  # symbols in capitals, by ascending token
    tokens: npt.NDArray[np.int64]
    chromosomes: npt.NDArray[np.int64]  # token of each gene's
    starts: npt.NDArray[np.float64]  # where on its chromosome each begins
    source: Path  # the file that orders them

    def placed(self) -> Genes:
        """The genes that have a place."""
        placed = np.flatnonzero(self.chromosomes != UNPLACED)
        if len(placed) < len(self.names):
            log.warning("%d genes have no chromosome or no start: left out", len(self.names) - len(placed))
        return Genes(
            names=tuple(self.names[gene] for gene in placed),
            tokens=self.tokens[placed],
            chromosomes=self.chromosomes[placed],
            starts=self.starts[placed],
            source=self.source,
        )


def release_folder(folder: Path) -> Path:
    """``folder`` itself, or the ``model_files`` in it, as the owners' repository has them."""
    inner = folder / "model_files"
    return inner if inner.is_dir() else folder


def find_checkpoint(folder: Path, name: str) -> Path:
    """The file of weights: the one named, or the only one there is."""
    if name:
        return present(folder / name, "the file of weights")
    files = sorted(
        path
        for pattern in ("*.torch", "*.safetensors")
        for path in folder.glob(pattern)
        if path.name != NOT_WEIGHTS
    )
    if len(files) != 1:
        listed = ", ".join(path.name for path in files) or "none"
        raise ModelError(
            f"{folder}: expected one file of weights (*.torch or *.safetensors), found {listed}; "
            "name it with --set checkpoint=FILE"
        )
    return files[0]


def config_of(tensors: Mapping[str, Tensor], heads: int, path: Path) -> UCEConfig:
    """Sizes from the tensors."""
    with reading(path, "a UCE checkpoint"):
        n_tokens, token_width = tensors[TABLE].shape
        last = n_blocks(tensors, "decoder.") - 1
        decoder = [len(tensors[f"decoder.{i}.0.weight"]) for i in range(last)]
        config = UCEConfig(
            n_tokens=n_tokens,
            token_width=token_width,
            hidden_size=len(tensors["encoder.0.weight"]),
            n_layers=n_blocks(tensors, "transformer_encoder.layers."),
            heads=heads,
            feed_forward=len(tensors["transformer_encoder.layers.0.linear1.weight"]),
            n_positions=len(tensors["pos_encoder.pe"]),
            decoder=(*decoder, len(tensors[f"decoder.{last}.weight"])),
        )
    if heads < 1 or config.hidden_size % heads:
        raise ConfigError(
            f"{path}: {heads} heads do not divide a width of {config.hidden_size}; the file does not say how "
            "many there are: give their number with --set nhead=N"
        )
    return config


def read_genes(
    folder: Path, species: str, table: Tensor, *, proteins: str, chromosome_offset: int, drop_unplaced: bool
) -> Genes:
    """The genes of a species in a release, their tokens in the checkpoint's ``table``, and their places.

    The file of protein embeddings, found by the species' name if ``proteins`` is empty, gives the order of
    tokens. Chromosomes begin at the token ``chromosome_offset``; if that is negative, they are the last rows.
    """
    places, codes = _read_chromosomes(folder / CHROMOSOMES)
    offset = _chromosome_offset(chromosome_offset, len(table), len(codes), folder / CHROMOSOMES)
    as_json = folder / OFFSETS.replace(".pkl", ".json")
    first = _first_token(as_json if as_json.is_file() else folder / OFFSETS, species)
    path, vectors = _read_proteins(folder, species, proteins)
    names = list(vectors)
    if first + len(names) > offset:
        raise ModelError(
            f"{path}: {len(names)} genes from token {first} on run into the chromosomes, which begin at "
            f"{offset}"
        )
    _demand_same_vectors(vectors, table[first : first + len(names)], path)
    own = places[places["species"] == species].drop_duplicates("gene_symbol").set_index("gene_symbol")
    own = own.reindex(names)
    placed = (own["label"].notna() & own["start"].notna()).to_numpy()
    chromosomes = own["label"].map(codes).fillna(0).to_numpy(dtype=np.int64)
    genes = Genes(
        names=tuple(names),
        tokens=first + np.arange(len(names)),
        chromosomes=np.where(placed, offset + chromosomes, UNPLACED),
        starts=own["start"].to_numpy(dtype=np.float64),
        source=path,
    )
    return genes.placed() if drop_unplaced else genes


def _read_chromosomes(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """The table of places with a column ``label`` (species and chromosome), and the code of each label."""
    with reading(present(path, "the table of chromosomes"), "a table of chromosomes"):
        columns = pd.read_csv(path, dtype=str)
        names = ("species", "gene_symbol", "chromosome", "start")
        table = pd.DataFrame({name: columns[name] for name in names})
    table["gene_symbol"] = table["gene_symbol"].str.upper()
    table["start"] = pd.to_numeric(table["start"], errors="coerce")
    table["label"] = table["species"] + "_" + table["chromosome"]
    labels = sorted(table["label"].dropna().unique())
    return table, {label: code for code, label in enumerate(labels)}


def _chromosome_offset(given: int, n_tokens: int, n_chromosomes: int, path: Path) -> int:
    """Token of the first chromosome: the one given, or so that chromosomes are the table's last rows."""
    offset = given if given >= 0 else n_tokens - n_chromosomes
    if not 0 <= offset <= n_tokens - n_chromosomes:
        raise ModelError(
            f"{path}: {n_chromosomes} chromosomes from token {offset} on do not fit the {n_tokens} rows of "
            "the checkpoint's table; give that token with --set chrom_token_offset=N"
        )
    if given < 0 and offset != STOCK.get(n_tokens, offset):
        raise ModelError(
            f"{path}: {n_chromosomes} chromosomes, where the owners' release has "
            f"{n_tokens - STOCK[n_tokens]}: the file is cut off, or another one; fetch it again, or give the "
            "token of the first chromosome with --set chrom_token_offset=N"
        )
    return offset


def _first_token(path: Path, species: str) -> int:
    offsets = read_dictionary(path, "the first token of each species")
    if species not in offsets:
        known = ", ".join(sorted(offsets))
        raise ConfigError(f"{path}: no species {species!r}; choose one of {known} with --set species=NAME")
    if not isinstance(offsets[species], int):
        raise ModelError(f"{path}: the first token of {species} is {offsets[species]!r}, not a number")
    if offsets[species] < 0:
        raise ModelError(f"{path}: the first token of {species} is {offsets[species]}, below 0")
    return int(offsets[species])


def _read_proteins(folder: Path, species: str, named: str) -> tuple[Path, dict[str, Tensor]]:
    """The file of proteins, and its vectors by symbol in capitals.

    Of two symbols that differ in capitals alone there is the vector of the last, in the place of the first.
    """
    path = folder / named if named else _find_proteins(folder, species)
    as_spelt = read_proteins(path)
    vectors = {name.upper(): vector for name, vector in as_spelt.items()}
    if n_shared := len(as_spelt) - len(vectors):
        text = "%s: %d symbols differ from another in capitals alone, and share its token"
        log.warning(text, path.name, n_shared)
    return path, vectors


def _find_proteins(folder: Path, species: str) -> Path:
    listed = folder / NEW_SPECIES
    if listed.is_file() and listed.stat().st_size:
        with reading(present(listed, "the list of further species"), "a list of further species"):
            new = pd.read_csv(listed, dtype=str)
        if {"species", "path"} <= set(new.columns) and species in set(new["species"]):
            return folder / str(new.loc[new["species"] == species, "path"].iloc[0])
    inner = folder / PROTEINS
    beside = inner if inner.is_dir() else folder
    files = sorted(beside.glob(f"{FILES_OF.get(species, species)}*.pt"))
    if len(files) != 1:
        names = ", ".join(path.name for path in sorted(beside.glob("*.pt"))) or "none"
        raise ModelError(
            f"{beside}: expected one file of protein embeddings of {species}; there are {names}. "
            f"Name it with --set protein_embeddings=FILE (relative to {folder.name})"
        )
    return files[0]


def _demand_same_vectors(vectors: Mapping[str, Tensor], rows: Tensor, path: Path) -> None:
    """Refuse genes in another order than the checkpoint's: some vectors must be its rows."""
    names: Sequence[str] = list(vectors)
    for place in np.unique(np.linspace(0, len(names) - 1, COMPARED_ROWS).astype(int)):
        vector, row = vectors[names[place]].float(), rows[place].float()
        if vector.shape != row.shape or not torch.allclose(vector, row, rtol=1e-4, atol=1e-5):
            raise ModelError(
                f"{path}: the vector of {names[place]} is not the checkpoint's row of that token; the "
                f"order of genes, or the offset in {OFFSETS}, belongs to another release"
            )
