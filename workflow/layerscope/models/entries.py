"""The entries of a study's catalogue of models: foundation models, controls, baselines, and stored ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from layerscope.layout import layer_names
from layerscope.models.catalogue import FAMILIES
from layerscope.models.network_size import NetworkSize
from layerscope.models.published import Published
from layerscope.settings import Name, Seed, Settings, exactly_one, keys_among
from layerscope.sources.settings import OneFile, Text

Whole = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
ControlName = Literal["untrained", "gene_permuted", "values_permuted", "thinned"]
PATTERN = "*"
"""In `layers` of stored embeddings: the part of an array's name that is the layer's."""


def _option(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ValueError(f"found {value!r}; expected text, a number, true or false")
    return value


Option = Annotated[Any, AfterValidator(_option)]


class PretrainedHere(Settings):
    """Weights that the workflow makes."""

    cells: Name
    """The condition on whose cells the model is pretrained."""
    settings: dict[str, Option] = Field(default_factory=dict)
    """Settings of `pretraining` for this model, over those of the study: `{steps: 200}`."""


class Weights(Settings):
    """Where the weights of a foundation model come from: exactly one of the two."""

    pretrain: PretrainedHere | None = None
    """`{cells: CONDITION, settings: {steps: 200}}`: pretrained here on that condition's cells."""
    fetch: dict[Name, OneFile] | None = Field(default=None, min_length=1)
    """`{FILE: SOURCE, ...}`: the files of a release, each with its source."""

    def source_of(self, file: str) -> dict[str, Any]:
        """Where a file of the release is, and which others come out of the same archive."""
        files = self.fetch or {}
        archive = files[file].archive
        together = [name for name, source in files.items() if archive and source.archive == archive]
        stated = files[file].model_dump(mode="json", exclude_unset=True)
        return stated | ({"together": together} if len(together) > 1 else {})


def _layer_number(value: Any) -> Any:
    """`"08"` is layer 8 (YAML takes 08, which is no octal number, for text)."""
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,3}", value) else value


class FoundationModel(Settings):
    """A model with layers and weights."""

    family: Name
    """The architecture; [docs/models.md](../docs/models.md) says what each reads."""
    layers: int = Field(ge=1, le=999)
    """Number of blocks; a checkpoint with another number is refused."""
    up_to: Annotated[int | None, BeforeValidator(_layer_number)] = Field(default=None, ge=1)
    """The last block to run, which saves what comes after it: layers 00 to this one, and the official one
    only if it is made of these. Rows of the others say so, and nothing is compared with the final layer.
    null: all."""
    weights: Annotated[Weights, BeforeValidator(exactly_one("pretrain", "fetch"))]
    """`pretrain` or `fetch`."""
    set: dict[str, Option] = Field(default_factory=dict)
    """Options of the family, such as `submodel: cell` of scFoundation; all are in
    [docs/models.md](../docs/models.md)."""
    pooling: str | None = None
    """How a numbered layer's tokens become one vector per cell; null: what the paper's released code uses."""
    species: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("human",)
    """Whose genes it knows, such as `[human, mouse]`; cells of others need `orthologs` of their dataset."""
    network: NetworkSize | None = None
    """Sizes of the network, by which `layerscope` estimates its cost."""
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

    @property
    def last_layer(self) -> int:
        """The last block that is run."""
        return self.up_to or self.layers

    @property
    def layer_names(self) -> list[str]:
        """Names of the layers that are extracted, in order."""
        after = FAMILIES[self.family].blocks_after_official if self.family in FAMILIES else 0
        has_official = int(self.set.get("official_layer", self.layers - after)) <= self.last_layer
        numbered, official = layer_names(self.last_layer)[:-1], layer_names(0)
        return [*numbered, *(official if has_official else [])]

    @property
    def layers_left_out(self) -> list[str]:
        """Names of those that are not."""
        return [layer for layer in layer_names(self.layers) if layer not in self.layer_names]

    @property
    def why_left_out(self) -> str:
        """What rows say of them."""
        return f"extraction stops after layer {self.last_layer:02d} of {self.layers} (the model's `up_to`)"

    @model_validator(mode="after")
    def _demand_block(self) -> Self:
        if self.last_layer > self.layers:
            raise ValueError(f"'up_to' is {self.up_to}; expected 1 to {self.layers}, the model's 'layers'")
        return self


class Control(Settings):
    """A foundation model with something taken away."""

    control: ControlName
    """`untrained` draws the weights anew by the architecture's own initialisation; `gene_permuted` deals the
    trained gene embeddings out to the wrong genes; `values_permuted` leaves the model as it is and deals each
    cell's values out among the genes that the cell expresses: what a layer still tells, it has from which
    genes are expressed and not from how strongly; `thinned` keeps each molecule of a cell with a probability
    of a half: with two seeds or more, criteria that need no labels are tried out
    (`results/tables/label_free.tsv`)."""
    of: Name
    """The foundation model."""
    seed: Seed
    """Of what is drawn."""
    title: str | None = None
    """For the report."""


class Baseline(Settings):
    """A representation that learns nothing from other cells."""

    family: Literal[
        "hvg_pca",
        "rank_normal_pca",
        "hellinger_svd",
        "log_all_genes",
        "qc_only",
        "harmony_pca",
        "scvi",
        "sctop",
        "anova_pca",
        "composition",
    ]
    """Which. `harmony_pca` and `scvi` use batch labels, and need packages that you install (harmonypy,
    scvi-tools). `sctop` and `anova_pca` are methods that learn from labels, for the task label; `composition`
    needs `cell_type`, for labels of samples or donors."""
    title: str | None = None
    """For the report."""
    settings: Annotated[
        dict[str, Whole | Text], keys_among("n_top_genes", "n_components", "batch", "epochs")
    ] = Field(default_factory=dict)
    """`n_top_genes` (2000) and `n_components` (50) of `hvg_pca` and `harmony_pca`, `n_components` of
    `rank_normal_pca` (220), `hellinger_svd` (50) and `scvi` (10), of which also `n_top_genes` and `epochs`;
    of `harmony_pca` and `scvi` also `batch`, the column of the batches (`batch`)."""


class EmbeddingsFile(Settings):
    """A file of embeddings that you have, and where the names of its cells are."""

    path: Text
    """`.h5ad`, `.zarr`, `.npz`, `.npy`, `.parquet`, `.csv` or `.tsv`. `{condition}` in it stands for the name
    of the condition that the cells are of, where each has a file of its own."""
    cells: Text | None = None
    """Another file that names the cells, in the order of the rows: a table (`.csv`, `.tsv`, `.parquet`), an
    h5ad, or a `.txt` of one name a line without a heading. Needed for `.npy`."""
    column: Text | None = None
    """Where the names are in their file: a column of the table or of `obs`; of an `.npz`, an array. null: the
    index of `obs`; of a table its index, or else its first column."""


def _layer_name(key: Any) -> Any:
    """`1` and `"1"` are layer `"01"`."""
    number = str(key) if isinstance(key, int) and not isinstance(key, bool) else key
    return f"{int(number):02d}" if isinstance(number, str) and re.fullmatch("[0-9]{1,3}", number) else key


def _layer_names(layers: Any) -> Any:
    if not isinstance(layers, Mapping):
        return layers
    named = {_layer_name(key): place for key, place in layers.items()}
    if len(named) < len(layers):
        raise ValueError(f"a layer is named twice in {list(layers)}; name each once")
    return named


def _places(layers: str | dict[str, str]) -> dict[str, str]:
    """Layer names to arrays; one text alone is the embedding, or a pattern for all layers."""
    if isinstance(layers, str):
        layers = {PATTERN if PATTERN in layers else "official": layers}
    for name, place in layers.items():
        if not re.fullmatch(r"[0-9]{2,3}|official|\*", name):
            raise ValueError(
                f"{name!r} is no name of a layer; expected 'official', a number (00: what enters the first "
                "block), or '*' for a pattern"
            )
        if place.count(PATTERN) != (name == PATTERN):
            raise ValueError(
                f"{name}: {place}: write patterns as '*: obsm/layer_*', with one '*' for the layer's name, "
                "and other arrays without"
            )
    return layers


def _kind_of_layers(layers: Any) -> str:
    return "<table>" if isinstance(layers, Mapping) else "<text>"


Layers = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[dict[str, Text], Field(min_length=1), Tag("<table>")],
    Discriminator(_kind_of_layers),
    BeforeValidator(_layer_names),
    AfterValidator(_places),
]


class StoredModel(Settings):
    """Embeddings that you bring: of one model, one array or one for each layer."""

    family: Literal["stored"]
    """`stored`."""
    source: EmbeddingsFile
    """Where the arrays are."""
    layers: Layers | None = None
    """Layer: array, such as `{official: obsm/X_scVI}` or `{1: obsm/h1, 2: obsm/h2}`; or a pattern for all,
    `obsm/layer_*`, where `*` is a number or `official`. Arrays are `X`, `obsm/NAME` or `layers/NAME` of an
    h5ad or zarr, the names of an `.npz`, or columns of lists of a parquet. null: the only array of the file
    (`.npy`, or all columns of numbers of a table), as `official`."""
    max_missing: Share = 0.05
    """Share of the prepared cells that may have no embedding; they are left out of its scores. More are
    refused."""
    max_surplus: Share = 1.0
    """Share of the file's cells that may be none of the prepared ones; more are refused. Cells of other
    conditions, or that quality control removes, are such cells."""
    control: ControlName | None = None
    """What was taken away, where this is a control of another model: mostly `untrained`, the same network
    before training."""
    of: Name | None = None
    """That other model."""
    title: str | None = None
    """For the report."""
    licence: str = ""
    """For the report."""
    citation: str = ""
    """For the report."""
    trained_on: str = ""
    """For the report."""

    @property
    def places(self) -> dict[str, str]:
        """Layer names to arrays, patterns as they are; the empty array stands for the only one."""
        return self.layers if isinstance(self.layers, dict) else {"official": ""}

    def source_of(self, condition: str) -> dict[str, str]:
        """The file of a condition's cells, as the source's keys say it."""
        source: dict[str, str] = self.source.model_dump(exclude_none=True)
        files = {
            key: source[key].replace("{condition}", condition) for key in ("path", "cells") if key in source
        }
        return source | files

    @model_validator(mode="after")
    def _demand_both(self) -> Self:
        if (self.control is None) != (self.of is None):
            given, other = ("of", "control") if self.control is None else ("control", "of")
            raise ValueError(f"{given!r} needs {other!r} beside it: control: untrained, of: MODEL")
        return self


class PlantedModel(Settings):
    """No model, but layers made from the truth of simulated cells: which one is best is known."""

    family: Literal["planted"]
    """`planted`."""
    layers: int = Field(ge=1, le=999)
    """Number of the last layer."""
    peak: int | None = Field(default=None, ge=1)
    """The layer that has all of the truth; the others have less of it, the farther the less. null: all layers
    have all of it, each with noise of its own, so that none is better."""
    seed: Seed
    """Of the noise."""
    title: str | None = None
    """For the report."""
    trained_on: ClassVar[str] = "nothing: planted from the truth of the simulation"

    @property
    def layer_names(self) -> list[str]:
        """Names of the layers, in order: nothing enters a first block, and nothing is published."""
        return layer_names(self.layers)[1:-1]

    @model_validator(mode="after")
    def _demand_layer(self) -> Self:
        if (self.peak or 0) > self.layers:
            raise ValueError(f"'peak' is {self.peak}; expected 1 to {self.layers}, one of the 'layers'")
        return self


def _kind(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        kinds = {Control: "<control>", FoundationModel: "<foundation>", StoredModel: "<stored>"}
        kinds |= {PlantedModel: "<planted>"}
        return next((kind for of, kind in kinds.items() if isinstance(entry, of)), "<baseline>")
    if (family := entry.get("family")) in ("stored", "planted"):
        return f"<{family}>"
    return "<control>" if "control" in entry else "<foundation>" if "weights" in entry else "<baseline>"


ModelEntry = Annotated[
    Annotated[FoundationModel, Tag("<foundation>")]
    | Annotated[Control, Tag("<control>")]
    | Annotated[StoredModel, Tag("<stored>")]
    | Annotated[PlantedModel, Tag("<planted>")]
    | Annotated[Baseline, Tag("<baseline>")],
    Discriminator(_kind),
]
