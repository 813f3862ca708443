"""Where a file is, as a study says it."""

from __future__ import annotations

import posixpath
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from layerscope.errors import ConfigError
from layerscope.settings import UNIQUE, Name, Settings, exactly_one

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


class Place(Settings):
    """Another place of the same bytes."""

    places: ClassVar[tuple[str, ...]] = ("url", "huggingface", "geo")

    url: Text | None = None
    """`https://`, or `s3://BUCKET/KEY` of a public bucket."""
    huggingface: HuggingFaceFile | None = None
    """`{repo, revision, file}`."""
    geo: GeoFile | None = None
    """`{accession, file}`."""


OnePlace = Annotated[Place, BeforeValidator(exactly_one(*Place.places))]


class RemoteFile(Place):
    """A file: yours, or one that is fetched and checked."""

    places: ClassVar[tuple[str, ...]] = ("path", *Place.places)

    path: Text | None = None
    """A file of yours; stands in for any download."""
    alternatives: Annotated[tuple[OnePlace, ...], Field(strict=False)] = ()
    """Other places of the same bytes, each `{url}`, `{huggingface}` or `{geo}`: asked in this order where the
    first does not give the file."""
    bytes: int | None = Field(default=None, ge=0)
    """Size, checked."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Checked."""
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    """Checked."""
    member: Text | None = None
    """Of weights: the file to take out of the archive that the source is."""
    member_bytes: int | None = Field(default=None, ge=0)
    """Size of that file, checked; `bytes`, `sha256` and `md5` are the archive's."""
    member_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Checked."""

    @model_validator(mode="after")
    def _demand_member(self) -> Self:
        for key in ("member_bytes", "member_sha256"):
            if getattr(self, key) is not None and self.member is None:
                raise ValueError(f"{key!r} is of a file in an archive: name it as 'member'")
        return self

    @property
    def archive(self) -> tuple[Any, ...] | None:
        """The archive that the file comes out of, if it comes out of one that is fetched."""
        return (self.url, self.huggingface, self.geo) if self.member and not self.path else None

    @property
    def known_sha256(self) -> str | None:
        """Checksum of the file that the source gives, where one is stated."""
        return self.member_sha256 if self.member else self.sha256

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


class PackageFile(Settings):
    """A file that an installed Python package brings along."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The package, as it is imported."""
    file: Text
    """Path in the package's folder."""

    @property
    def path(self) -> str:
        """The file's path here, found without importing the package; a ConfigError where it is not there."""
        spec = find_spec(self.name)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(f"the package {self.name!r} is not installed here: `pip install {self.name}`")
        folder = spec.submodule_search_locations[0]
        path = Path(folder) / self.file
        if not path.is_file():
            raise ConfigError(
                f"the package {self.name!r} in {folder} has no file {self.file!r}; install a version that "
                "has it, or name another file"
            )
        return str(path)


class DatasetSource(RemoteFile):
    """Where the cells of a dataset are."""

    places: ClassVar[tuple[str, ...]] = (*RemoteFile.places, "package", "slice", "simulate", "conditions")

    package: PackageFile | None = None
    """`{name, file}`: a file that an installed Python package brings along, such as scanpy's small data."""
    slice: Text | None = None
    """An h5ad in a bucket or on a server of which only the chosen cells are fetched."""
    simulate: Literal["differentiation", "perturbation", "atlas", "cohort"] | None = None
    """A draw of the embedded study's cells."""
    conditions: Annotated[tuple[Name, ...], Field(min_length=2), *UNIQUE] | None = None
    """The prepared cells of these conditions (of another species by their `orthologs`), with the genes that
    all have; with `labels: [condition]` each cell tells which of them it is of."""

    @property
    def local(self) -> str | None:
        """The file where it is here already, yours or a package's; none where it is fetched or made."""
        return self.package.path if self.package else self.path


OneFile = Annotated[RemoteFile, BeforeValidator(exactly_one(*RemoteFile.places))]
OneSource = Annotated[DatasetSource, BeforeValidator(exactly_one(*DatasetSource.places))]
