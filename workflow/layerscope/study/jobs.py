"""What each job of a study is given: files, settings, options. Arguments are named as wildcards are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layerscope import layout
from layerscope.models.catalogue import FAMILIES
from layerscope.models.entries import Baseline, Control, PlantedModel
from layerscope.settings import Settings, stated
from layerscope.study.runs import Study
from layerscope.tasks.catalogue import TASKS

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

# --- what is fetched ----------------------------------------------------------------------------------------


def weights_source(study: Study, model: str, file: str) -> dict[str, Any]:
    """Where a file of weights is, and whether its licence has been accepted."""
    entry = study.foundation(model)
    licence = {"licence": entry.licence, "accepted": model in study.accepted_licences, "model": model}
    return entry.weights.source_of(file) | licence


def dataset_source(study: Study, dataset: str) -> dict[str, Any]:
    """Where a dataset's file is."""
    return stated(study.datasets[dataset].source)


def gene_names_source(study: Study, names: str) -> dict[str, Any]:
    """Where a table of gene names is."""
    return stated(study.gene_names[names])


def slice_settings(study: Study, dataset: str) -> dict[str, Any]:
    """Where a large file is, and which of its cells the conditions of the dataset ask for."""
    entry = study.datasets[dataset]
    conditions = (condition for condition in study.conditions.values() if condition.dataset == dataset)
    first = next((condition.selection for condition in conditions), None)
    reading = {"kind", "columns", "control", "genes", "genome", "labels", "matrix", "not_missing"}
    return entry.model_dump(mode="json", exclude_unset=True, include=reading) | {
        "url": entry.source.slice,
        "dataset": dataset,
        "selection": (stated(first) if first else {}) | {"seed": study.seeds.selection},
    }


# --- cells --------------------------------------------------------------------------------------------------


def simulation_settings(study: Study, draw: str) -> dict[str, Any]:
    """Sizes of a draw."""
    settings: Settings = getattr(study.simulation, draw)
    return settings.as_config()


def source_file(study: Study, condition: str) -> str | list[str]:
    """The file that the cells of a condition are read from, or the prepared cells of several."""
    name, source = study.dataset_name(condition), study.dataset(condition).source
    if source.conditions:
        return [layout.cells(study.cells_of(part)) for part in source.conditions]
    if source.simulate:
        return layout.simulated(source.simulate)
    return source.local or layout.fetched(name, "slice.h5ad" if source.slice else source.name)


def gene_names_file(study: Study, condition: str) -> list[str]:
    """The table of gene names that a condition's dataset asks for, or that models of the study need."""
    dataset = study.dataset(condition)
    table = dataset.gene_names if dataset.says_names else _needed_gene_names(study, condition)
    return _table_file(study, table) if table else []


def orthologs_file(study: Study, condition: str) -> list[str]:
    """The table of orthologs that a condition's dataset asks for, if it does."""
    orthologs = study.dataset(condition).orthologs
    return _table_file(study, orthologs.table) if orthologs else []


def _table_file(study: Study, table: str) -> list[str]:
    """The file of a table of gene names of the study; any other is a file itself."""
    source = study.gene_names.get(table)
    return [table if source is None else source.path or layout.gene_names(table, source.name)]


def _needed_gene_names(study: Study, condition: str) -> str:
    """The table without which a model of the study cannot take a file that is here; none for others.

    What is fetched can be looked at only later, when its jobs are planned. A model that is pretrained
    here knows genes by the names that its cells have.
    """
    dataset = study.dataset(condition)
    families = [
        FAMILIES[study.family(model)]
        for model in _models_on_cells(study, condition)
        if study.kind(model) == "network" and not study.foundation(model).weights.pretrain
    ]
    if not families or dataset.source.local is None or dataset.kind != "h5ad":
        return ""
    from layerscope.cells.needed_names import needed_gene_names  # h5py, pandas

    parts = {"matrix", "genes", "genome", "orthologs"}
    reading = dataset.model_dump_json(include=parts, exclude_unset=True)
    tables = needed_gene_names(dataset.source.local, reading, families)
    return next((table for table in tables if table in study.gene_names), "")


def _models_on_cells(study: Study, cells: str) -> list[str]:
    """Models run on the cells of a condition; all, where these are only a part of another condition's."""
    studied = [name for name in study.study.conditions if study.cells_of(name) == cells]
    models = dict.fromkeys(model for condition in studied for model in study.study.models_on(condition))
    return list(models if studied else study.study.all_models)


def cells_settings(study: Study, condition: str) -> dict[str, Any]:
    """What a reader needs to know to make a condition's cells, and nothing else."""
    entry, dataset = study.conditions[condition], study.dataset(condition)
    settings = stated(dataset, "title", "note", "citation", "licence", "source", "gene_names")
    for table in orthologs_file(study, condition):
        settings["orthologs"]["table"] = table
    own = {"task", "subset", "exclude", "dataset", "max_cells"}
    settings |= entry.model_dump(mode="json", exclude_unset=True, include=own)
    needed = study.needed_columns(condition)
    settings |= {"needed": list(needed)} if needed else {}
    settings["quality"] = stated(study.quality) | stated(entry.quality)
    if entry.selection is not None or entry.max_cells is not None:
        selection = stated(entry.selection) if entry.selection else {}
        settings["selection"] = selection | {"seed": study.seeds.selection}
    return settings


# --- models -------------------------------------------------------------------------------------------------


def words(**options: Any) -> list[str]:
    """Options with a value as words of a command line; one with a mapping comes once for each key."""
    listed: list[str] = []
    for name, value in options.items():
        values = [f"{key}={part}" for key, part in value.items()] if isinstance(value, Mapping) else [value]
        for each in values:
            if each not in (None, ""):
                listed += [f"--{name.replace('_', '-')}", str(each)]
    return listed


def planting(study: Study, model: str) -> list[str]:
    """How layers are planted."""
    entry = study.models[model]
    assert isinstance(entry, PlantedModel)
    return words(layers=entry.layers, peak=entry.peak, seed=entry.seed)


def stored_files(study: Study, condition: str, model: str) -> list[str]:
    """Where the user's embeddings of a condition's cells are."""
    source = study.stored_source(condition, model)
    return [source[key] for key in ("path", "cells") if key in source]


def stored_limits(study: Study, model: str) -> list[str]:
    """How many cells may be amiss, and what is said of the model."""
    entry = study.stored(model)
    return words(max_missing=entry.max_missing, max_surplus=entry.max_surplus, trained_on=entry.trained_on)


def pretraining_settings(study: Study, model: str) -> dict[str, Any]:
    """How a small model is pretrained."""
    entry = study.foundation(model)
    return study.pretraining_of(study.trained_model(model), entry).as_config() | {"layers": entry.layers}


def baseline_settings(study: Study, model: str) -> dict[str, int | str]:
    """Options of a baseline."""
    entry = study.models[model]
    assert isinstance(entry, Baseline)
    return entry.settings


def weight_files(study: Study, model: str) -> list[str]:
    """The files of the weights that a model runs with."""
    entry = study.foundation(model)
    names = entry.weights.fetch or PRETRAINED_FILES[entry.family]
    return [layout.weights(study.trained_model(model), name) for name in names]


def extraction_threads(study: Study, model: str) -> int:
    """Small models run fastest one thread each."""
    return 1 if study.foundation(model).weights.pretrain else 8


def sums_options(study: Study, model: str) -> list[str]:
    """How a model is run over cells."""
    entry, own, extraction = study.foundation(model), study.models[model], study.extraction
    files = (entry.weights.fetch or {}).items()
    control = own if isinstance(own, Control) else None
    return words(
        family=entry.family,
        weights=layout.weights(study.trained_model(model)),
        layers=entry.layers,
        up_to=entry.up_to,
        pooling=entry.pooling,
        set=dict(sorted(entry.set.items())),
        sha256={file: source.known_sha256 for file, source in files if source.known_sha256},
        control=control and control.control,
        control_seed=control and control.seed,
        dtype=extraction.dtype,
        device=extraction.device,
        token_budget=extraction.token_budget,
        seed=study.seeds.extraction,
    )


def extraction_options(study: Study, model: str, shard: str = "", shards: str = "") -> list[str]:
    """The same where layers are stored, of all cells or of one stretch of them."""
    options = [*sums_options(study, model), *words(stored_dtype=study.extraction.store)]
    return [*options, "--shard", shard, shards] if shard else options


# --- references and scores ----------------------------------------------------------------------------------


def layers_file(study: Study, condition: str, model: str) -> str:
    """What holds a model's layers: its cells' embeddings, or sums over groups of them."""
    is_sums = study.keeps_sums(condition, model)
    return layout.sums(condition, model) if is_sums else study.embeddings_file(condition, model)


def reference_baseline(study: Study, condition: str) -> list[str]:
    """What a reference is computed from, where it has to be computed."""
    baseline = TASKS[study.task(condition)].baseline
    return [study.embeddings_file(condition, baseline)] if baseline else []


def reference_seed(study: Study, condition: str, protocol: str) -> int:
    """Seed of a reference; always the same one where nothing is drawn."""
    drawn = protocol in TASKS[study.task(condition)].drawn_references
    return study.seeds.resampling if drawn else 0


def reference_folder(study: Study, condition: str, protocol: str) -> list[str]:
    """What a condition's layers are compared with, where its task has such a thing."""
    return [layout.reference(condition, protocol)] if TASKS[study.task(condition)].has_reference else []


def reference_settings(study: Study, condition: str, protocol: str) -> dict[str, Any]:
    """Settings of a protocol that a reference depends on: not how scores are resampled."""
    return study.settings_for(condition, protocol).as_config()


def score_settings(study: Study, condition: str, protocol: str) -> dict[str, Any]:
    """Settings of a protocol with which a condition's layers are scored."""
    return reference_settings(study, condition, protocol) | study.resampling.as_config()
