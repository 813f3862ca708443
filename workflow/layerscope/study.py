"""A study: what follows from its configuration. Methods answer rules, arguments are wildcards' names."""

from __future__ import annotations

from typing import Any

from layerscope import layout
from layerscope.cells.entries import Dataset
from layerscope.configuration import Configuration
from layerscope.models.catalogue import COUNTS, FAMILIES, THINNED
from layerscope.models.entries import Baseline, Control, FoundationModel, PlantedModel, StoredModel
from layerscope.settings import Settings
from layerscope.tasks.catalogue import TASKS

PUBLISHED_MODELS = {"scfoundation", "tahoe_x1_1b"}  # models whose scores stand in the paper's tables
PRETRAINED_FILES = {
    "scfoundation": ("models.ckpt", "OS_scRNA_gene_index.19264.tsv", "provenance.json"),
    "tahoe_x1": (
        "model.safetensors",
        "model_config.yml",
        "collator_config.yml",
        "vocab.json",
        "provenance.json",
    ),
}
"""Files that each architecture's pretraining writes: those of its release."""


def stated(settings: Settings, *leave_out: str) -> dict[str, Any]:
    """What a user has set, and no default."""
    return settings.model_dump(mode="json", exclude_unset=True, exclude=set(leave_out))


def unique(values: list[Any]) -> list[Any]:
    """Each value once, in the order of first appearance."""
    return list(dict.fromkeys(values))


class Study(Configuration):
    """A checked configuration that answers what rules ask."""

    # --- models ---------------------------------------------------------------------------------------------

    def trained_model(self, model: str) -> str:
        """The model whose weights (and tokens, and layers) a model uses: itself, but for a control."""
        entry = self.models[model]
        return entry.of if isinstance(entry, Control) else model

    def trained(self, model: str) -> FoundationModel | Baseline | StoredModel | PlantedModel:
        """The entry of that model."""
        entry = self.models[self.trained_model(model)]
        assert not isinstance(entry, Control)
        return entry

    def foundation(self, model: str) -> FoundationModel:
        """The entry of a foundation model, or of the one that a control is of."""
        entry = self.trained(model)
        assert isinstance(entry, FoundationModel)
        return entry

    def family(self, model: str) -> str:
        """The architecture of a model."""
        return self.trained(model).family

    def is_run(self, model: str) -> bool:
        """Whether a model is a network that is run over cells: a foundation model, or a control of one."""
        entry = self.models[model]
        return isinstance(self.models.get(entry.of) if isinstance(entry, Control) else entry, FoundationModel)

    def is_stored(self, model: str) -> bool:
        """Whether a model's embeddings are the user's."""
        return isinstance(self.models[model], StoredModel)

    def is_planted(self, model: str) -> bool:
        """Whether a model's layers are made from the truth of simulated cells."""
        return isinstance(self.models[model], PlantedModel)

    def has_layers(self, model: str) -> bool:
        """Whether a model has numbered layers: not a baseline, nor a single embedding of the user's."""
        return self.n_layers(model) > 0

    def is_repetition(self, condition: str, model: str) -> bool:
        """Whether a model is a control of which another, of a lower seed, is run on the condition too."""
        entry = self.models[model]
        controls = [self.models[name] for name in self.study.models_on(condition)]
        return isinstance(entry, Control) and any(
            isinstance(control, Control)
            and (control.control, control.of) == (entry.control, entry.of)
            and control.seed < entry.seed
            for control in controls
        )

    def layers(self, model: str) -> list[str]:
        """Names of a model's layers in order; a baseline has ``official`` only."""
        if self.is_stored(model):
            return list(self.stored_layers(model, self.cells_of(self.study.conditions_of(model)[0])))
        entry = self.trained(model)
        if isinstance(entry, FoundationModel | PlantedModel):
            return entry.layer_names
        return layout.layer_names(0)

    def n_layers(self, model: str) -> int:
        """The number of a model's last layer; 0 where none has a number."""
        if self.is_stored(model):
            return max((int(layer) for layer in self.layers(model) if layer.isdecimal()), default=0)
        entry = self.trained(model)
        return entry.layers if isinstance(entry, FoundationModel | PlantedModel) else 0

    def baselines(self) -> list[str]:
        """All baselines of the catalogue."""
        return [name for name, entry in self.models.items() if isinstance(entry, Baseline)]

    def run_models(self) -> list[str]:
        """All models of the catalogue that are networks to run: foundation models and their controls."""
        return [name for name in self.models if self.is_run(name)]

    def stored_models(self) -> list[str]:
        """All models of the catalogue whose embeddings are the user's."""
        return [name for name in self.models if self.is_stored(name)]

    def planted_models(self) -> list[str]:
        """All models of the catalogue whose layers are made from the truth of simulated cells."""
        return [name for name in self.models if self.is_planted(name)]

    def planting(self, model: str) -> list[str]:
        """How these layers are made: the words of a command line."""
        entry = self.models[model]
        assert isinstance(entry, PlantedModel)
        peak = ["--peak", str(entry.peak)] if entry.peak else []
        return ["--layers", str(entry.layers), *peak, "--seed", str(entry.seed)]

    def pretrained_models(self, *families: str) -> list[str]:
        """Models that the workflow pretrains itself, of these families if any is named."""
        return [
            name
            for name, entry in self.models.items()
            if isinstance(entry, FoundationModel) and entry.weights.pretrain
            if not families or entry.family in families
        ]

    def fetched_models(self) -> list[str]:
        """Models whose weights are fetched."""
        entries = self.models.items()
        return [name for name, entry in entries if isinstance(entry, FoundationModel) and entry.weights.fetch]

    def simulation_settings(self, draw: str) -> dict[str, Any]:
        """Sizes of a draw."""
        settings: Settings = getattr(self.simulation, draw)
        return settings.as_config()

    def pretraining_settings(self, model: str) -> dict[str, Any]:
        """How a small model is pretrained."""
        pretrained = self.pretraining_of(self.trained_model(model), self.foundation(model))
        return pretrained.as_config() | {"layers": self.foundation(model).layers}

    def pretraining_condition(self, model: str) -> str:
        """The condition on whose cells a small model is pretrained."""
        pretrain = self.foundation(model).weights.pretrain
        assert pretrain is not None
        return pretrain.cells

    def pretraining_cells(self, model: str) -> str:
        """Those cells."""
        return layout.cells(self.pretraining_condition(model))

    def baseline_settings(self, model: str) -> dict[str, int | str]:
        """Options of a baseline."""
        entry = self.models[model]
        return dict(entry.settings) if isinstance(entry, Baseline) else {}

    def weight_files(self, model: str) -> list[str]:
        """The files of the weights that a model runs with."""
        entry = self.foundation(model)
        names = entry.weights.fetch or PRETRAINED_FILES[entry.family]
        return [layout.weights(self.trained_model(model), name) for name in names]

    def extraction_threads(self, model: str) -> int:
        """Small models run fastest one thread each."""
        return 1 if self.foundation(model).weights.pretrain else 8

    def sums_options(self, model: str) -> list[str]:
        """How a model is run over cells: the words of a command line."""
        entry, control, extraction = self.foundation(model), self.models[model], self.extraction
        words = ["--family", entry.family, "--weights", layout.weights(self.trained_model(model))]
        words += ["--layers", str(entry.layers)]
        words += ["--up-to", str(entry.up_to)] if entry.up_to else []
        words += ["--pooling", entry.pooling] if entry.pooling else []
        for key, value in sorted(entry.set.items()):
            words += ["--set", f"{key}={value}"]
        for file, source in (entry.weights.fetch or {}).items():
            words += ["--sha256", f"{file}={source.known_sha256}"] if source.known_sha256 else []
        if isinstance(control, Control):
            words += ["--control", control.control, "--control-seed", str(control.seed)]
        words += ["--dtype", extraction.dtype, "--device", extraction.device]
        words += ["--token-budget", str(extraction.token_budget)] if extraction.token_budget else []
        return [*words, "--seed", str(self.seeds.extraction)]

    def extraction_options(self, model: str, shard: str = "", shards: str = "") -> list[str]:
        """The same where layers are stored, of all cells or of one stretch of them."""
        words = [*self.sums_options(model), "--stored-dtype", self.extraction.store]
        return [*words, "--shard", shard, shards] if shard else words

    def shard_files(self, condition: str, model: str) -> list[str]:
        """The parts of an embeddings file, first to last."""
        count = self.extraction.shards
        return [layout.shard(condition, model, number, count) for number in range(1, count + 1)]

    # --- sources and cells ----------------------------------------------------------------------------------

    def datasets_from(self, *places: str) -> list[str]:
        """Datasets whose cells come from one of these kinds of source."""
        sources = {name: entry.source for name, entry in self.datasets.items()}
        return [
            name for name in sources if any(getattr(sources[name], place) is not None for place in places)
        ]

    def weights_source(self, model: str, file: str) -> dict[str, Any]:
        """Where a file of weights is, and whether its licence has been accepted."""
        entry = self.foundation(model)
        licence = {"licence": entry.licence, "accepted": model in self.accepted_licences, "model": model}
        return entry.weights.source_of(file) | licence

    def dataset_source(self, dataset: str) -> dict[str, Any]:
        """Where a dataset's file is."""
        return stated(self.datasets[dataset].source)

    def gene_names_source(self, names: str) -> dict[str, Any]:
        """Where a table of gene names is."""
        return stated(self.gene_names[names])

    def slice_settings(self, dataset: str) -> dict[str, Any]:
        """Where a large file is, and which of its cells the conditions of the dataset ask for."""
        entry = self.datasets[dataset]
        conditions = (condition for condition in self.conditions.values() if condition.dataset == dataset)
        first = next((condition.selection for condition in conditions), None)
        reading = {"kind", "columns", "control", "genes", "genome", "labels", "matrix", "not_missing"}
        return entry.model_dump(mode="json", exclude_unset=True, include=reading) | {
            "url": entry.source.slice,
            "dataset": dataset,
            "selection": (stated(first) if first else {}) | {"seed": self.seeds.selection},
        }

    def task(self, condition: str) -> str:
        """The task of a condition."""
        return str(self.conditions[condition].task)

    def tasks(self) -> list[str]:
        """The tasks of the study."""
        return sorted({self.task(condition) for condition in self.study.conditions})

    def protocols(self, task: str) -> tuple[str, ...]:
        """The protocols that a task is scored with."""
        protocols: tuple[str, ...] = getattr(self.study.protocols, task)
        return protocols

    def cells_of(self, condition: str) -> str:
        """The condition whose cells, and whose models' layers, a condition is scored on: itself mostly."""
        return self.conditions[condition].cells_of or condition

    def dataset_name(self, condition: str) -> str:
        """The dataset behind a condition."""
        return self.conditions[self.cells_of(condition)].dataset or ""

    def dataset(self, condition: str) -> Dataset:
        """The dataset's entry behind a condition."""
        return self.datasets[self.dataset_name(condition)]

    def is_simulated(self, condition: str) -> bool:
        """Whether the cells of a condition are simulated."""
        return self.dataset(condition).source.simulate is not None

    def source_file(self, condition: str) -> str | list[str]:
        """The file that the cells of a condition are read from, or the prepared cells of several."""
        name, source = self.dataset_name(condition), self.dataset(condition).source
        if source.conditions:
            return [layout.cells(self.cells_of(part)) for part in source.conditions]
        if source.simulate:
            return layout.simulated(source.simulate)
        return source.local or layout.fetched(name, "slice.h5ad" if source.slice else source.name)

    def gene_names_file(self, condition: str) -> list[str]:
        """The table of gene names that a condition's dataset asks for, or that models of the study need."""
        dataset = self.dataset(condition)
        table = dataset.gene_names if dataset.says_names else self._needed_gene_names(condition)
        if not table:
            return []
        source = self.gene_names[table]
        return [source.path or layout.gene_names(table, source.name)]

    def _needed_gene_names(self, condition: str) -> str:
        """The table without which a model of the study cannot take a file that is here; none for others.

        What is fetched can be looked at only later, when its jobs are planned. A model that is pretrained
        here knows genes by the names that its cells have.
        """
        dataset = self.dataset(condition)
        families = [
            FAMILIES[self.family(model)]
            for model in self.models_on_cells(condition)
            if self.is_run(model) and not self.foundation(model).weights.pretrain
        ]
        if not families or dataset.source.local is None or dataset.kind != "h5ad":
            return ""
        from layerscope.cells.needed_names import needed_gene_names  # h5py, pandas

        parts = {"matrix", "genes", "genome", "orthologs"}
        reading = dataset.model_dump_json(include=parts, exclude_unset=True)
        tables = needed_gene_names(dataset.source.local, reading, families)
        return next((table for table in tables if table in self.gene_names), "")

    def orthologs_file(self, condition: str) -> list[str]:
        """The table of orthologs that a condition's dataset asks for, if it does."""
        orthologs = self.dataset(condition).orthologs
        if orthologs is None:
            return []
        source = self.gene_names.get(orthologs.table)
        if source is None:
            return [orthologs.table]
        return [source.path or layout.gene_names(orthologs.table, source.name)]

    def cells_settings(self, condition: str) -> dict[str, Any]:
        """What a reader needs to know to make a condition's cells, and nothing else."""
        entry = self.conditions[condition]
        settings = stated(
            self.dataset(condition), "title", "note", "citation", "licence", "source", "gene_names"
        )
        for table in self.orthologs_file(condition):
            settings["orthologs"]["table"] = table
        own = {"task", "subset", "exclude", "dataset"}
        settings |= entry.model_dump(mode="json", exclude_unset=True, include=own)
        needed = self.needed_columns(condition)
        settings |= {"needed": list(needed)} if needed else {}
        settings["quality"] = stated(self.quality) | stated(entry.quality)
        if entry.max_cells is not None:
            settings["max_cells"] = entry.max_cells
        if entry.selection is not None or entry.max_cells is not None:
            selection = stated(entry.selection) if entry.selection else {}
            settings["selection"] = selection | {"seed": self.seeds.selection}
        return settings

    def cells_file(self, condition: str) -> str:
        """The cells that a condition is scored on: its own, or those of the condition that it names."""
        return layout.cells(self.cells_of(condition))

    def obs_file(self, condition: str) -> str:
        """The table of these cells."""
        return layout.obs(self.cells_of(condition))

    def embeddings_file(self, condition: str, model: str) -> str:
        """A model's layers of the cells that a condition is scored on."""
        return layout.embeddings(self.cells_of(condition), model)

    def reference_baseline(self, condition: str) -> list[str]:
        """What a reference is computed from, where it has to be computed."""
        baseline = TASKS[self.task(condition)].baseline
        return [self.embeddings_file(condition, baseline)] if baseline else []

    def reference_seed(self, condition: str, protocol: str) -> int:
        """Seed of a reference; always the same one where nothing is drawn."""
        drawn = protocol in TASKS[self.task(condition)].drawn_references
        return self.seeds.resampling if drawn else 0

    def reference_folder(self, condition: str, protocol: str) -> list[str]:
        """What a condition's layers are compared with, where its task has such a thing."""
        return [layout.reference(condition, protocol)] if TASKS[self.task(condition)].has_reference else []

    # --- scores ---------------------------------------------------------------------------------------------

    def keeps_sums(self, condition: str, model: str) -> bool:
        """Whether of a model's layers only sums over groups of cells are kept for a condition."""
        wanted = self.extraction.keep == "sums"
        return wanted and self.task(condition) == "perturbation" and self.is_run(model)

    def layers_file(self, condition: str, model: str) -> str:
        """What holds a model's layers: its cells' embeddings, or sums over groups of them."""
        if self.keeps_sums(condition, model):
            return layout.sums(condition, model)
        return self.embeddings_file(condition, model)

    def reference_of_sums(self, condition: str) -> list[str]:
        """The reference whose design says what sums are taken of, if protocol strict is to be scored."""
        is_strict = "strict" in self.protocols("perturbation")
        return self.reference_folder(condition, "strict") if is_strict else []

    def design_of_sums(self, condition: str) -> list[str]:
        """That design."""
        return [f"{folder}/design.npz" for folder in self.reference_of_sums(condition)]

    def all_protocols(self, task: str) -> list[str]:
        """The protocols that a task has, scored or not."""
        settings: Settings = getattr(self, task)
        return settings.keys()

    def protocol_settings(self, task: str, protocol: str) -> Settings:
        """Settings of a task's protocol."""
        settings: Settings = getattr(getattr(self, task), protocol)
        return settings

    def reference_settings_of(self, condition: str, protocol: str) -> dict[str, Any]:
        """Settings of a protocol that a reference depends on: not how scores are resampled."""
        return self.settings_for(condition, protocol).as_config()

    def settings_of(self, condition: str, protocol: str) -> dict[str, Any]:
        """Settings of a protocol with which a condition's layers are scored."""
        return self.reference_settings_of(condition, protocol) | self.resampling.as_config()

    def _values_taken(self, model: str) -> tuple[str, frozenset[str]]:
        """What the values of cells may be for a model, and what of it says so."""
        entry = self.models[model]
        if isinstance(entry, Control) and entry.control == THINNED:
            return THINNED, COUNTS
        return self.family(model), FAMILIES[self.family(model)].values

    def unavailable(self) -> list[dict[str, str]]:
        """Pairs of condition and model that cannot be run, each with the reason."""
        return [
            {"condition": condition, "model": model, "task": self.task(condition), "reason": reason}
            for condition in self.study.conditions
            for model in self.study.models_on(condition)
            if (reason := self.lacking(condition, model))
        ]

    def models_on_cells(self, cells: str) -> list[str]:
        """Models run on the cells of a condition; all, where these are only a part of another condition's."""
        studied = [name for name in self.study.conditions if self.cells_of(name) == cells]
        models = [model for condition in studied for model in self.study.models_on(condition)]
        return unique(models) if studied else list(self.study.all_models)

    def lacking(self, condition: str, model: str) -> str:
        """Why a model cannot take a condition's cells, or cannot run here; empty where it can.

        A model that needs counts cannot take cells of which only normalised values exist, and no molecules
        can be drawn from them; some baselines run packages that are no requirement.
        """
        if self.is_stored(model):
            return ""
        if self.is_planted(model):
            unknown = "planted layers need the truth, which simulated cells alone have"
            return "" if self.is_simulated(condition) else unknown
        needing, taken = self._values_taken(model)
        values = "counts" if self.dataset(condition).values == "counts" else "log_normalised"
        if values not in taken:
            return f"{needing} needs counts; the dataset holds {values} values only"
        return FAMILIES[self.family(model)].lacking

    def runs(self) -> list[tuple[str, str]]:
        """Every pair of condition and model that is run, in the order of the study."""
        excluded = {(row["condition"], row["model"]) for row in self.unavailable()}
        return [
            (condition, model)
            for condition in self.study.conditions
            for model in self.study.models_on(condition)
            if (condition, model) not in excluded
        ]

    def score_files(self, suffix: str) -> list[str]:
        """One file per condition, protocol, model and layer of the study."""
        return [
            layout.score(self.task(condition), condition, protocol, model, layer, suffix)
            for condition, model in self.runs()
            for protocol in self.protocols(self.task(condition))
            for layer in self.layers(model)
        ]
