"""The entries of a study's catalogue of models: foundation models, their controls, and baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from layerscope.models.published import Published
from layerscope.settings import Name, Seed, Settings, exactly_one, keys_among
from layerscope.sources.settings import OneFile

Whole = Annotated[int, Field(ge=1)]


def _option(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ValueError(f"found {value!r}; expected text, a number, true or false")
    return value


Option = Annotated[Any, AfterValidator(_option)]


class PretrainedHere(Settings):
    """Weights that the workflow makes."""

    cells: Name
    """The condition on whose cells the model is pretrained."""


class Weights(Settings):
    """Where the weights of a foundation model come from: exactly one of the two."""

    pretrain: PretrainedHere | None = None
    """`{cells: CONDITION}`: pretrained here on that condition's cells."""
    fetch: dict[Name, OneFile] | None = Field(default=None, min_length=1)
    """`{FILE: SOURCE, ...}`: the files of a release, each with its source."""


class FoundationModel(Settings):
    """A model with layers and weights."""

    family: Name
    """The architecture; [docs/models.md](../docs/models.md) says what each reads."""
    layers: int = Field(ge=1, le=999)
    """Number of blocks; a checkpoint with another number is refused."""
    weights: Annotated[Weights, BeforeValidator(exactly_one("pretrain", "fetch"))]
    """`pretrain` or `fetch`."""
    set: dict[str, Option] = Field(default_factory=dict)
    """Options of the family, such as `submodel: cell` of scFoundation; all are in
    [docs/models.md](../docs/models.md)."""
    pooling: str | None = None
    """How a numbered layer's tokens become one vector per cell; null: what the paper's released code uses."""
    title: str | None = None
    """For the report."""
    licence: str = ""
    """For the report, and for the refusal to fetch what is not accepted."""
    citation: str = ""
    """For the report."""
    trained_on: str = ""
    """For the report."""
    published: Published | None = None
    """What is published of the release, which `scripts/verify_model.py` compares with."""


class Control(Settings):
    """A foundation model with something taken away."""

    control: Literal["untrained", "gene_permuted", "values_permuted"]
    """`untrained` draws the weights anew by the architecture's own initialisation; `gene_permuted` deals the
    trained gene embeddings out to the wrong genes; `values_permuted` leaves the model as it is and deals each
    cell's values out among the genes that the cell expresses: what a layer still tells, it has from which
    genes are expressed and not from how strongly."""
    of: Name
    """The foundation model."""
    seed: Seed
    """Of what is drawn."""
    title: str | None = None
    """For the report."""


class Baseline(Settings):
    """A representation that learns nothing from other cells."""

    family: Literal["hvg_pca", "rank_normal_pca", "hellinger_svd", "log_all_genes", "qc_only"]
    """Which."""
    title: str | None = None
    """For the report."""
    settings: Annotated[dict[str, Whole], keys_among("n_top_genes", "n_components")] = Field(
        default_factory=dict
    )
    """`n_top_genes` (2000) and `n_components` (50) of `hvg_pca`, `n_components` of `rank_normal_pca` (220)
    and `hellinger_svd` (50)."""


def _kind(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return "<control>" if isinstance(entry, Control) else "<baseline>"
    return "<control>" if "control" in entry else "<foundation>" if "weights" in entry else "<baseline>"


ModelEntry = Annotated[
    Annotated[FoundationModel, Tag("<foundation>")]
    | Annotated[Control, Tag("<control>")]
    | Annotated[Baseline, Tag("<baseline>")],
    Discriminator(_kind),
]
