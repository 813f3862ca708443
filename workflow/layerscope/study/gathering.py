"""Which files of a study its final tables, figures and report are made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from layerscope import layout
from layerscope.models.catalogue import THINNED
from layerscope.models.entries import Control
from layerscope.study.runs import Study
from layerscope.tasks.catalogue import TASKS

BASELINE_OF_MAPS = "hvg_pca"  # the baseline beside which maps of layers are drawn
RULE_OF_KIND = {
    "baseline": "compute_baseline",
    "stored": "import_embeddings",
    "planted": "plant_layers",
}
"""What makes the layers of a model that is no network."""
PUBLISHED_MODELS = {"scfoundation", "tahoe_x1_1b"}  # models whose scores stand in the paper's tables


def unique(values: Iterable[Any]) -> list[Any]:
    """Each value once, in the order of first appearance."""
    return list(dict.fromkeys(values))


def unavailable_scores(study: Study) -> list[dict[str, str]]:
    """What is not scored, each with the reason: models that cannot be run, and layers not extracted."""
    left_out = [
        {"condition": condition, "model": model, "task": study.task(condition), "layer": layer}
        | {"reason": study.foundation(model).why_left_out}
        for condition, model in study.runs()
        if study.kind(model) == "network"
        for layer in study.foundation(model).layers_left_out
    ]
    rows = [*study.unavailable(), *left_out]
    return [row | {"protocol": protocol} for row in rows for protocol in study.protocols(row["task"])]


def first_layer_resamples(study: Study) -> list[str]:
    """Bootstrap values of the first layers whose loss to an ablation of the input is stated."""
    entries = [(name, study.models[name]) for name in study.study.all_models]
    controls = [(name, entry) for name, entry in entries if isinstance(entry, Control)]
    ablations = {name: entry.of for name, entry in controls if entry.control == "values_permuted"}
    return [
        layout.score("perturbation", condition, protocol, model, "01", "npz")
        for condition, model in study.runs()
        if study.task(condition) == "perturbation" and model in {*ablations, *ablations.values()}
        for protocol in study.protocols("perturbation")
    ]


def summaries(study: Study) -> list[str]:
    """What preparing the cells of each condition removed."""
    return unique([layout.summary(study.cells_of(condition)) for condition in study.study.conditions])


def described_runs(study: Study) -> list[tuple[str, str]]:
    """Pairs of condition and model whose layers have a shape to describe; one seed of a control is enough.

    Planted layers have the shape that they were given.
    """
    named = study.geometry.conditions or study.study.conditions
    runs = [run for run in study.runs() if study.geometry.run and run[0] in named]
    return unique(
        [
            (study.cells_of(condition), model)
            for condition, model in runs
            if study.n_layers(model)
            and not study.keeps_sums(condition, model)
            and not study.is_repetition(condition, model)
            and study.kind(model) != "planted"
        ]
    )


def geometry_files(study: Study, kind: str) -> list[str]:
    """One table per condition and model of the study."""
    return [layout.geometry(condition, model, kind) for condition, model in described_runs(study)]


def mapped_runs(study: Study) -> list[tuple[str, str]]:
    """Pairs of condition and trained model whose layers a picture may show: those that are kept."""
    layered = [model for model in study.study.all_models if study.n_layers(model)]
    trained = [model for model in layered if not getattr(study.models[model], "control", None)]
    return [run for run in study.runs() if run[1] in trained and not study.keeps_sums(*run)]


def mapped_embeddings(study: Study) -> list[str]:
    """Layers of which a picture may show two."""
    return unique([study.embeddings_file(*run) for run in mapped_runs(study)])


def mapped_cells(study: Study) -> list[str]:
    """Tables of the cells that such a picture may show."""
    return unique([layout.obs(study.cells_of(condition)) for condition, _ in mapped_runs(study)])


def label_free_embeddings(study: Study) -> list[str]:
    """Layers of the models of which there are two thinned views, these views, and the expression baseline."""
    views: dict[str, list[str]] = {}
    for name in study.study.all_models:
        entry = study.models[name]
        if isinstance(entry, Control) and entry.control == THINNED:
            views.setdefault(entry.of, []).append(name)
    runs = study.runs()
    files = [
        study.embeddings_file(condition, name)
        for condition, model in runs
        if len(views.get(model, [])) > 1 and not study.keeps_sums(condition, model)
        if all((condition, view) in runs for view in views[model][:2])
        for name in (model, *views[model][:2], BASELINE_OF_MAPS)
    ]
    return unique(files)


def described_embeddings(study: Study) -> list[str]:
    """The layers that have a shape to describe, in the order of their tables."""
    return [layout.embeddings(condition, model) for condition, model in described_runs(study)]


def baselines_beside(study: Study) -> list[str]:
    """Embeddings without layers, baselines and others, of the cells of which layers have a shape."""
    conditions = {condition for condition, _ in described_runs(study)}
    files = [
        study.embeddings_file(condition, model)
        for condition, model in study.runs()
        if not study.n_layers(model) and study.cells_of(condition) in conditions
    ]
    return unique(files)


def ceiling_folders(study: Study) -> list[str]:
    """References that come with noise ceilings."""
    return [
        layout.reference(condition, protocol)
        for condition in study.study.conditions
        for task in [study.task(condition)]
        for protocol in study.protocols(task)
        if protocol in TASKS[task].ceiling_protocols
    ]


def ceiling_tables(study: Study) -> list[str]:
    """The table of noise ceilings, if there are any."""
    return [layout.table("ceilings")] if ceiling_folders(study) else []


def geometry_tables(study: Study, *names: str) -> list[str]:
    """These tables of the shape of layers, if any is described."""
    return [layout.table(name) for name in names or ("geometry", "alignment") if described_runs(study)]


def shown_tables(study: Study) -> list[str]:
    """Tables that the report shows as they are."""
    layered = any(map(study.n_layers, study.study.all_models))
    names = ("travel", "layer_ranks", "label_free") if layered else ()
    travelled = [layout.table(name) for name in names]
    shown = [layout.table("shifts"), *travelled, *ceiling_tables(study)]
    return [*shown, *geometry_tables(study, "geometry")]


def figures(study: Study, *suffixes: str) -> list[str]:
    """Every figure of the study, in these formats; the comparison with the paper where there is one."""
    names = [f"{task}_{protocol}" for task in study.tasks() for protocol in study.protocols(task)]
    names += ["layer_choice"] if any(map(study.n_layers, study.study.all_models)) else []
    names += ["layer_maps"] if mapped_runs(study) else []
    names += ["geometry", "alignment"] if described_runs(study) else []
    names += ["published"] if PUBLISHED_MODELS & set(study.study.all_models) else []
    return [layout.figure(name, suffix) for name in names for suffix in suffixes or ("svg", "png", "pdf")]


def logs_of_numbers(study: Study) -> list[str]:
    """Logs, in folder ``logs``, of the jobs that the study's numbers come from, in the order of the study."""
    conditions = study.study.conditions
    trained = {study.trained_model(model) for _, model in study.runs() if study.kind(model) == "network"}
    pretrained = sorted(model for model in trained if study.foundation(model).weights.pretrain)
    prepared = [study.pretraining_condition(model) for model in pretrained]
    prepared += [study.cells_of(condition) for condition in conditions]
    # references, and maps of layers, are computed from baselines, scored or not
    beside = {(condition, BASELINE_OF_MAPS) for condition, _ in described_runs(study)}
    tasks = [(study.cells_of(condition), TASKS[study.task(condition)]) for condition in conditions]
    beside |= {(cells, task.baseline) for cells, task in tasks if task.baseline}
    layers = [log for run in study.runs() for log in _extraction_logs(study, *run)]
    layers += [f"compute_baseline/{condition}/{baseline}" for condition, baseline in sorted(beside)]
    logs = [
        *[f"prepare_cells/{condition}" for condition in unique(prepared)],
        *[f"pretrain/{model}" for model in pretrained],
        *unique(layers),
        *[
            f"make_reference/{condition}/{protocol}"
            for condition in conditions
            if TASKS[study.task(condition)].has_reference
            for protocol in study.protocols(study.task(condition))
        ],
        *[f"score_layer/{score.removeprefix('results/scores/')[:-4]}" for score in study.score_files("log")],
        *[
            f"{step}/{condition}/{model}"
            for condition, model in described_runs(study)
            for step in ("describe_geometry", "compare_layers")
        ],
        *(["compare_with_baselines"] if described_runs(study) else []),
    ]
    return [f"{log}.log" for log in logs]


def _extraction_logs(study: Study, condition: str, model: str) -> list[str]:
    """Logs of the jobs that make a model's layers of a condition's cells, without the suffix."""
    run, kind = f"{study.cells_of(condition)}/{model}", study.kind(model)
    shards = study.extraction.shards
    if kind != "network":
        return [f"{RULE_OF_KIND[kind]}/{run}"]
    if study.keeps_sums(condition, model):
        return [f"sum_layers/{run}"]
    if shards == 1:
        return [f"extract_layers/{run}"]
    parts = [f"extract_shard/{run}/{number}-of-{shards}" for number in range(1, shards + 1)]
    return [*parts, f"merge_shards/{run}"]
