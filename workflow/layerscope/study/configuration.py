"""What a study's file may say: every key, its meaning, its default and its bounds.

Each room defines the settings that it reads. Here they are put together, and names that stand for nothing are
refused. ``configuration_docs.py`` writes the JSON schema and config/README.md's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationError, create_model

from layerscope.cells.entries import Dataset, OneCondition
from layerscope.cells.settings import STUDY_COLUMNS, Quality
from layerscope.demo.settings import Pretraining, Simulations
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.settings import ExtractionSettings
from layerscope.geometry.settings import GeometrySettings
from layerscope.models.catalogue import FAMILIES
from layerscope.models.entries import Control, FoundationModel, ModelEntry, PlantedModel, StoredModel
from layerscope.settings import STUDY, UNIQUE, Name, Seed, Settings, demand_known, explain
from layerscope.sources.settings import DatasetSource, OneFile, RemoteFile
from layerscope.statistics.settings import ChoiceSettings
from layerscope.tasks.base import Task
from layerscope.tasks.catalogue import TASKS

Names = Annotated[tuple[Name, ...], Field(min_length=1), *UNIQUE]


def _with_tasks(name: str, doc: str, base: type[Settings], field: Callable[[Task], Any]) -> Any:
    """A model with a field for each task."""
    fields = {task.name: field(task) for task in TASKS.values()}
    return create_model(name, __doc__=doc, __base__=base, **fields)


def _protocols_of(task: Task) -> Any:
    kind = tuple[Literal[task.protocols], ...]  # type: ignore[name-defined]
    listed = ", ".join(f"`{protocol}`" for protocol in task.protocols)
    described = Field(default=("strict",), min_length=1, description=f"One or more of {listed}.")
    return Annotated[kind, *UNIQUE], described


def _settings_of(task: Task) -> Any:
    return task.settings, Field(default=task.settings(), description="Settings of each protocol of the task.")


if TYPE_CHECKING:
    Protocols = Settings
else:
    Protocols = _with_tasks("Protocols", "The protocols to score with, by task.", Settings, _protocols_of)


class Studied(Settings):
    """What is studied."""

    title: str = Field(min_length=1)
    """Stands on the report."""
    conditions: Names
    """Names of the conditions to evaluate (defined under `conditions`)."""
    models: Names
    """Names of the models to run (defined under `models`)."""
    models_of: dict[Name, Names] = Field(default_factory=dict)
    """Condition: the models to run on it, where these are not `models`."""
    protocols: Protocols = Protocols()
    """Per task, the list of protocols to score with."""

    def models_on(self, condition: str) -> tuple[str, ...]:
        """Models that are run on a condition."""
        return self.models_of.get(condition, self.models)

    @property
    def all_models(self) -> tuple[str, ...]:
        """Models that are run on any condition, in the order in which the study names them."""
        run = {model for condition in self.conditions for model in self.models_on(condition)}
        named = [*self.models, *(model for models in self.models_of.values() for model in models)]
        return tuple(dict.fromkeys(model for model in named if model in run))

    def conditions_of(self, model: str) -> list[str]:
        """Conditions that a model is run on."""
        return [condition for condition in self.conditions if model in self.models_on(condition)]


class Seeds(Settings):
    """One whole number per kind of chance; changing one re-runs what depends on it and nothing else."""

    simulation: Seed = 1
    """The simulated cells."""
    selection: Seed = 1
    """Which cells are kept where a condition caps their number."""
    pretraining: Seed = 1
    """Initial weights and the order of cells when a small model is pretrained."""
    extraction: Seed = 1
    """Which genes an over-long cell keeps (drawn per cell)."""
    baselines: Seed = 1
    """Randomised linear algebra in the baselines."""
    resampling: Seed = 1
    """Bootstrap and permutations."""


class Resampling(Settings):
    """How often scores are resampled, for every protocol alike."""

    resamples: int = Field(default=1000, ge=100)
    """Bootstrap resamples."""
    splits: int = Field(default=100, ge=10)
    """Random halves on which a layer is chosen and scored."""


def _kind_of_mirror(mirror: Any) -> str:
    return "<table>" if isinstance(mirror, Mapping) else "<prefix>"


class _Configuration(Settings):
    """A study's file, but for the settings of its tasks."""

    study: Studied
    """What is studied."""
    seeds: Seeds = Seeds()
    """One seed per kind of chance."""
    quality: Quality = Quality()
    """Filters on cells and genes. A condition may override single keys under its own `quality`."""
    simulation: Simulations = Simulations()
    """The embedded study's cells, by draw."""
    pretraining: Pretraining = Pretraining()
    """Small models that are pretrained here."""
    extraction: ExtractionSettings = ExtractionSettings()
    """How models are run over cells."""
    resampling: Resampling = Resampling()
    """How often scores are resampled."""
    choice: ChoiceSettings = ChoiceSettings()
    """The choice of a layer."""
    geometry: GeometrySettings = GeometrySettings()
    """The shape of layers."""
    mirror: Annotated[
        Annotated[str, Tag("<prefix>")] | Annotated[dict[str, str], Tag("<table>")],
        Discriminator(_kind_of_mirror),
    ] = ""
    """A prefix put before every address that is fetched (`https://HOST/PATH` becomes `PREFIX/HOST/PATH`), or
    a mapping from the start of addresses to replacements."""
    accepted_licences: Annotated[tuple[Name, ...], *UNIQUE] = ()
    """Names of models whose licence you have read and accept; nothing of a model is fetched without."""
    models: dict[Name, ModelEntry]
    """Foundation models, controls, baselines, and embeddings of your own, by name."""
    datasets: dict[Name, Dataset]
    """Files of cells, by name."""
    gene_names: dict[Name, OneFile] = Field(default_factory=dict)
    """Tables that tell a gene's symbol from its Ensembl id and the other way round, by name, each with its
    source: in the layout of HGNC's complete set, or any table with a column of symbols and one of Ensembl
    ids. Names are compared as they are spelt; an earlier symbol (`prev_symbol`) counts if it was one gene's
    alone. And tables of human genes and their orthologs, for `orthologs` of a dataset."""
    conditions: dict[Name, OneCondition]
    """Sets of cells, by name."""

    @classmethod
    def read(cls, given: Mapping[str, Any], where: str = "") -> Self:
        """Check a configuration against its keys and against itself, and fill in the defaults.

        A ConfigError names the key, the value and what is allowed.
        """
        try:
            configuration = cls.model_validate(given, context=STUDY)
        except ValidationError as error:
            raise ConfigError(explain(error, where)) from None
        configuration._demand_shared_cells()
        for condition in configuration.study.conditions:
            configuration._demand_condition(condition)
        for model in configuration.study.models:
            configuration._demand_model(model, "study: models")
        for condition, models in configuration.study.models_of.items():
            where = "study: models_of"
            demand_known(condition, configuration.conditions, where, "condition")
            for model in models:
                configuration._demand_model(model, f"{where}: {condition}")
        for condition in configuration.geometry.conditions:
            demand_known(condition, configuration.conditions, "geometry: conditions", "condition")
        return configuration

    def _demand_shared_cells(self) -> None:
        """Refuse conditions that are scored on other cells and say something about cells of their own."""
        for name, entry in self.conditions.items():
            if entry.cells_of is None:
                continue
            where = f"conditions: {name}: cells_of"
            demand_known(entry.cells_of, self.conditions, where, "condition")
            owner = self.conditions[entry.cells_of]
            if owner.cells_of is not None:
                raise ConfigError(
                    f"{where}: {entry.cells_of!r} has no cells of its own; name {owner.cells_of!r}"
                )
            own = sorted(entry.model_fields_set - {"cells_of", "title", "task", "settings"})
            if own:
                whose = f"{entry.cells_of!r}, whose cells it is scored on"
                raise ConfigError(f"conditions: {name}: {own[0]!r} belongs to {whose}")
            if entry.task == "perturbation":
                raise ConfigError(
                    f"{where}: a condition of task perturbation chooses its own cells: name its 'dataset'"
                )

    def _demand_condition(self, name: str) -> None:
        demand_known(name, self.conditions, "study: conditions", "condition")
        if self.conditions[name].task is None:
            raise ConfigError(f"conditions: {name}: has no task, so it cannot be studied; name its 'task'")
        self._demand_source(name)
        self._demand_settings(name)

    def _demand_settings(self, name: str) -> None:
        """Refuse settings of a condition that none of its protocols has, and columns that its cells lack."""
        entry = self.conditions[name]
        protocols: tuple[str, ...] = getattr(self.study.protocols, str(entry.task))
        known = [key for protocol in protocols for key in self._of_study(name, protocol).as_config()]
        for key in entry.settings:
            demand_known(key, known, f"conditions: {name}: settings", "setting")
        dataset = self.conditions[entry.cells_of or name].dataset or ""
        for column in self.needed_columns(name):
            if column not in (*STUDY_COLUMNS, *self.datasets[dataset].labels):
                raise ConfigError(
                    f"conditions: {name}: settings: column {column!r} is not kept; name it under "
                    f"datasets: {dataset}: labels: [{column}]"
                )

    def _of_study(self, condition: str, protocol: str) -> Settings:
        settings: Settings = getattr(getattr(self, str(self.conditions[condition].task)), protocol)
        return settings

    def settings_for(self, condition: str, protocol: str) -> Settings:
        """Settings of a condition's protocol: those of the study, and over them its own."""
        of_study = self._of_study(condition, protocol)
        known = of_study.as_config()
        own = {key: value for key, value in self.conditions[condition].settings.items() if key in known}
        if not own:
            return of_study
        given = of_study.model_dump(mode="json", exclude_unset=True) | own
        return type(of_study).read(given, f"conditions: {condition}: settings")

    def needed_columns(self, condition: str) -> tuple[str, ...]:
        """Columns that the settings of a condition's task name, each once."""
        task = self.conditions[condition].task
        columns = [
            getattr(self.settings_for(condition, protocol), key, None)
            for protocol in (getattr(self.study.protocols, task) if task else ())
            for key in TASKS[str(task)].column_settings
        ]
        return tuple(dict.fromkeys(column for column in columns if column))

    def _demand_model(self, name: str, where: str) -> None:
        demand_known(name, self.models, where, "model")
        entry, trained = self.models[name], name
        if isinstance(entry, Control):
            trained = entry.of
            demand_known(trained, self.models, f"models: {name}: of", "model")
            entry = self.models[trained]
            if not isinstance(entry, FoundationModel):
                brought = "; bring its control as another stored model, with a 'source' of its own"
                remedy = brought if isinstance(entry, StoredModel) else ""
                raise ConfigError(f"models: {name}: of: {trained!r} is not a foundation model{remedy}")
        assert not isinstance(entry, Control)
        if isinstance(entry, StoredModel):
            self._demand_stored(name, entry)
            return
        if isinstance(entry, PlantedModel):
            return
        demand_known(entry.family, FAMILIES, f"models: {trained}: family", "family")
        if isinstance(entry, FoundationModel) and entry.weights.pretrain:
            cells, where = entry.weights.pretrain.cells, f"models: {trained}: weights: pretrain: cells"
            demand_known(cells, self.conditions, where, "condition")
            self._demand_source(cells)
            self.pretraining_of(trained, entry)

    def pretraining_of(self, name: str, entry: FoundationModel) -> Pretraining:
        """How a model is pretrained here: as the study says, and over that as its own entry does."""
        own = entry.weights.pretrain.settings if entry.weights.pretrain else {}
        where = f"models: {name}: weights: pretrain: settings"
        for key in own:
            demand_known(key, Pretraining.keys(), where, "setting")
        return Pretraining.read(self.pretraining.as_config() | own, where)

    def _demand_stored(self, name: str, entry: StoredModel) -> None:
        """Refuse embeddings that are not there, and conditions with different layers."""
        if entry.of is not None:
            demand_known(entry.of, self.study.all_models, f"models: {name}: of", "model of the study")
            other = self.models[entry.of]
            if not isinstance(other, FoundationModel | StoredModel) or getattr(other, "of", None):
                raise ConfigError(f"models: {name}: of: {entry.of!r} is a control or baseline, and has none")
        run_on = self.study.conditions_of(name)
        conditions = [self.conditions[condition].cells_of or condition for condition in run_on]
        layers = {condition: ", ".join(self.stored_layers(name, condition)) for condition in conditions}
        for condition, own in layers.items():
            if own != layers[conditions[0]]:
                raise ConfigError(
                    f"models: {name}: layers: of {conditions[0]} there are {layers[conditions[0]]}, of "
                    f"{condition} {own}; name layers that all files have"
                )

    def stored(self, model: str) -> StoredModel:
        """The entry of embeddings that the user brings."""
        entry = self.models[model]
        assert isinstance(entry, StoredModel)
        return entry

    def stored_layers(self, model: str, condition: str) -> dict[str, str]:
        """Its layers in order, and the array of each in a condition's file; a ConfigError without a file."""
        from layerscope.extraction.array_files import layer_places, open_arrays  # h5py, pandas

        entry, where = self.stored(model), f"models: {model}: source"
        source = self.stored_source(condition, model)
        for key in ("path", "cells"):
            if key in source and not Path(source[key]).exists():
                raise ConfigError(f"{where}: {key}: there is no file {source[key]!r}")
        try:
            file = open_arrays(source["path"], source.get("column"))
            return layer_places(file, entry.places)
        except (ConfigError, DataError) as error:
            raise ConfigError(f"{where}: {error}") from None

    def stored_source(self, condition: str, model: str) -> dict[str, Any]:
        """Where a user's embeddings of a condition's cells are."""
        return self.stored(model).source_of(condition)

    def _demand_source(self, condition: str) -> None:
        entry = self.conditions[condition]
        name = self.conditions[entry.cells_of or condition].dataset or ""
        demand_known(name, self.datasets, f"conditions: {condition}: dataset", "dataset")
        dataset = self.datasets[name]
        _demand_file(dataset.source, f"datasets: {name}: source")
        for part in dataset.source.conditions or ():
            where = f"datasets: {name}: source: conditions"
            demand_known(part, self.conditions, where, "condition")
            of_part = self.conditions[self.conditions[part].cells_of or part].dataset or ""
            if of_part in self.datasets and self.datasets[of_part].source.conditions:
                raise ConfigError(f"{where}: {part!r} is made of conditions itself; name those")
            self._demand_source(part)
        if dataset.gene_names is not None:
            demand_known(dataset.gene_names, self.gene_names, f"datasets: {name}: gene_names", "table")
            _demand_file(self.gene_names[dataset.gene_names], f"gene_names: {dataset.gene_names}")
        table = dataset.orthologs.table if dataset.orthologs else ""
        if table in self.gene_names:
            _demand_file(self.gene_names[table], f"gene_names: {table}")
        elif table and not Path(table).is_file():
            raise ConfigError(
                f"datasets: {name}: orthologs: table: {table!r} is neither a file nor a table under "
                f"gene_names: {', '.join(self.gene_names)}"
            )


if TYPE_CHECKING:
    Configuration = _Configuration
else:
    Configuration = _with_tasks("Configuration", "A study's file.", _Configuration, _settings_of)


def _demand_file(source: RemoteFile, where: str) -> None:
    if isinstance(source, DatasetSource) and source.package:
        try:
            _ = source.local
        except ConfigError as error:
            raise ConfigError(f"{where}: package: {error}") from None
    if source.path and not Path(source.path).exists():
        raise ConfigError(f"{where}: path: there is no file {source.path!r}")
    if source.address is not None and source.name in ("", ".", ".."):
        raise ConfigError(f"{where}: {source.address!r} does not end in the name of a file")
