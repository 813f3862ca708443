"""What is published of a release, which a user who has it can compare with what runs here."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from layerscope.settings import Settings, exactly_one
from layerscope.sources.settings import OneFile, RemoteFile, Text


class PublishedNumbers(Settings):
    """Some numbers of one cell's published embedding."""

    cell: int = Field(ge=0)
    """Its place among the cells, from 0."""
    first: tuple[float, ...] = Field(default=(), strict=False)
    """Where the embedding begins."""
    last: tuple[float, ...] = Field(default=(), strict=False)
    """Where it ends."""


class ReferenceFile(RemoteFile):
    """A file of published embeddings: an h5ad, or a NumPy array of cells by dimensions."""

    obsm: Text | None = None
    """Of an h5ad: the name of the embeddings in `obsm`."""


class PublishedEmbeddings(Settings):
    """Embeddings that others computed with a release, and the cells that they are of."""

    compared: ClassVar[tuple[str, ...]] = ("reference", "numbers")

    source: Text
    """Who published them, for the table."""
    cells: OneFile
    """Their cells: an h5ad, or a table of counts (`.csv`, cells by genes)."""
    reference: Annotated[ReferenceFile, BeforeValidator(exactly_one(*RemoteFile.places))] | None = None
    """The embeddings, in the order of the cells."""
    numbers: Annotated[tuple[PublishedNumbers, ...], Field(strict=False)] = ()
    """Or what is published of them."""
    set: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Options of the family that they were made with, over the entry's own."""
    tolerance: float = Field(gt=0)
    """Root mean square difference that a cell may have."""
    cosine: float = Field(default=0.999, gt=0, le=1)
    """Cosine that a cell must reach; of a few numbers it is not asked."""


OneEmbeddings = Annotated[PublishedEmbeddings, BeforeValidator(exactly_one(*PublishedEmbeddings.compared))]


class Published(Settings):
    """Numbers that are published of a release."""

    source: str = ""
    """Who published these numbers, for the table."""
    vocabulary: int | None = Field(default=None, ge=1)
    """Rows of the table of genes, special tokens included."""
    genes: int | None = Field(default=None, ge=1)
    """Genes that the model knows."""
    parameters: int | None = Field(default=None, ge=1)
    """Numbers in the tensors that run, heads left out."""
    special: dict[str, int] = Field(default_factory=dict)
    """Ids of special tokens."""
    tokens: dict[str, int] = Field(default_factory=dict)
    """Ids of some genes, named as the vocabulary names them."""
    embeddings: Annotated[tuple[OneEmbeddings, ...], Field(strict=False)] = ()
    """Embeddings of cells."""
