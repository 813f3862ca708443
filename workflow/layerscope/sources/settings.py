"""Where a file is, as a study says it."""

from __future__ import annotations

import posixpath
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from layerscope.settings import Settings, exactly_one

Text = Annotated[str, Field(min_length=1)]


class HuggingFaceFile(Settings):
    """A file of a repository of Hugging Face."""

    repo: str
    """`OWNER/NAME`."""
    revision: str
    """Branch, tag or commit."""
    file: str
    """Path in the repository."""


class GeoFile(Settings):
    """A supplementary file of GEO."""

    accession: str = Field(pattern=r"^G(SE|SM|PL)[0-9]+$")
    """Accession number."""
    file: str
    """Name of the file."""


class RemoteFile(Settings):
    """A file: yours, or one that is fetched and checked."""

    places: ClassVar[tuple[str, ...]] = ("path", "url", "huggingface", "geo")

    path: Text | None = None
    """A file of yours; stands in for any download."""
    url: Text | None = None
    """`https://`, or `s3://BUCKET/KEY` of a public bucket."""
    huggingface: HuggingFaceFile | None = None
    """`{repo, revision, file}`."""
    geo: GeoFile | None = None
    """`{accession, file}`."""
    bytes: int | None = Field(default=None, ge=0)
    """Size, checked."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Checked."""
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    """Checked."""
    member: Text | None = None
    """Of weights: the file to take out of the archive that the source is."""

    @property
    def address(self) -> str | None:
        """The end of which is the file's name; none where nothing is fetched whole."""
        place = self.geo or self.huggingface
        return place.file if place else self.url

    @property
    def name(self) -> str:
        """Name that the file gets here; a gzipped h5ad is decompressed while it is fetched."""
        name = posixpath.basename(self.address or "")
        return name.removesuffix(".gz") if name.endswith(".h5ad.gz") else name


class DatasetSource(RemoteFile):
    """Where the cells of a dataset are."""

    places: ClassVar[tuple[str, ...]] = (*RemoteFile.places, "slice", "simulate")

    slice: Text | None = None
    """An h5ad in a bucket or on a server of which only the chosen cells are fetched."""
    simulate: Literal["differentiation", "perturbation", "atlas"] | None = None
    """A draw of the embedded study's cells."""


OneFile = Annotated[RemoteFile, BeforeValidator(exactly_one(*RemoteFile.places))]
OneSource = Annotated[DatasetSource, BeforeValidator(exactly_one(*DatasetSource.places))]
