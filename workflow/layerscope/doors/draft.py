"""A complete study for a file of cells, from what the file holds: what is a guess says so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from layerscope.cells.check import as_yaml, dataset_entry, n_large_perturbations, times_suffice
from layerscope.cells.describe import Description
from layerscope.cells.embeddings_inside import layers_by_pattern
from layerscope.cells.fit import Fit, fit
from layerscope.cells.guesses import Column
from layerscope.cells.labels import among
from layerscope.cells.levels import labels_of_groups
from layerscope.cells.settings import STUDY_COLUMNS
from layerscope.cells.time_labels import order_times
from layerscope.doors.models import entries, trained
from layerscope.errors import ConfigError, DataError
from layerscope.installation import repository
from layerscope.models.catalogue import FAMILIES
from layerscope.models.entries import Baseline, FoundationModel
from layerscope.settings import demand_known
from layerscope.study.file import read_study
from layerscope.tasks.base import Task
from layerscope.tasks.catalogue import TASKS
from layerscope.tasks.response.settings import ResponseSettings

Columns = Mapping[str, Column]  # columns of the file by standard name
OF_TIME = ("root", "time_order")
TWIN = "_untrained_1"
MIN_SCREEN = 4  # perturbations from which on a file is rather a screen than cells under a treatment
NO_NAME = re.compile(r"[^A-Za-z0-9_.+-]+")
FILTERS = """
# Filters of cells and genes; none is applied unless it is stated. config/README.md explains every key.
# quality:
#   min_genes_per_cell: 200
#   max_mitochondrial_percent: 20
#   min_cells_per_gene: 3
"""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user wants of the study; what is empty is chosen by what the file holds."""

    tasks: Sequence[str] = ()
    models: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)  # standard column to column of the file
    control: Sequence[str] = ()  # labels of ``perturbation`` that mean untreated
    root: Mapping[str, str] = field(default_factory=dict)  # standard column to a label of the first cells
    accept_licence: bool = False
    max_cells: int | None = None


@dataclass(frozen=True)
class Draft:
    """A study as a mapping and as text, and what a user should know of it."""

    study: dict[str, Any]
    text: str
    remarks: list[str]


def draft(cells: Description, wishes: Wishes) -> Draft:
    """Write a study of a file.

    If a wish cannot be met, or a task lacks something, the error names the one thing, and how to give it.
    """
    if cells.values is None:
        remark = cells.values_remark or "no matrix holds counts or normalised values"
        raise DataError(f"{cells.path}: {remark}; see `layerscope check`")
    name = _own_name(cells.path.name.split(".")[0])
    dataset, comments = dataset_entry(cells)
    columns = _columns(cells, dataset.get("columns", {}), wishes.columns)
    if columns:
        dataset["columns"] = {standard: column.name for standard, column in columns.items()}
    chosen = _tasks(cells, columns, wishes)
    if not any(TASKS[task].uses_time for task in chosen):
        dataset = {key: value for key, value in dataset.items() if key not in OF_TIME}
        comments = [comment for comment in comments if comment.partition(":")[0] not in OF_TIME]
    for task in map(TASKS.__getitem__, chosen):
        _demand_columns(cells, columns, task)
        if task.of_screens:
            dataset["control"] = _control(cells, columns["perturbation"], wishes.control)
        if task.uses_time and not task.columns:
            dataset |= _root(cells, columns, wishes.root)
    models, fits, remarks = _models(cells, wishes)
    if table := next((each.gene_names for each in fits.values() if each.gene_names), ""):
        dataset["gene_names"] = table
    if table := next((each.orthologs for each in fits.values() if each.orthologs), ""):
        dataset["orthologs"] = {"table": table}
    brought = _brought(cells)
    condition = {"dataset": name} | ({"max_cells": wishes.max_cells} if wishes.max_cells is not None else {})
    names = [name] if len(chosen) == 1 else [f"{name}_{task}" for task in chosen]
    conditions = {of: condition | {"task": task} for of, task in zip(names, chosen, strict=True)}
    study: dict[str, Any] = {
        "study": {
            "title": f"Layers for {cells.path.name}",
            "conditions": list(conditions),
            "models": [*models, *brought],
            "protocols": {task: _protocols(task, columns) for task in chosen},
        },
        "accepted_licences": _licences(models) if wishes.accept_licence else [],
        "datasets": {name: dataset},
        "conditions": conditions,
        "models": brought,
    }
    study = {key: value for key, value in study.items() if value}
    if (needed := _licences(models)) and not wishes.accept_licence:
        remarks.append(_licences_to_accept(needed))
    if "label" in chosen and (of_groups := labels_of_groups(cells.columns)):
        remarks.append(_further_labels(of_groups))
    others = [task for task in _possible(cells, columns) if task not in chosen]
    remarks += [f"Also possible: --task {' '.join([*chosen, *others])}"] if others else []
    guesses = {
        standard: column.name for standard, column in columns.items() if standard not in wishes.columns
    }
    if guessed := [f"{standard} is {name!r}" for standard, name in guesses.items()]:
        comments.append(f"guessed by names: {', '.join(guessed)}; say otherwise with --columns")
    return Draft(study, _text(study, comments, remarks), remarks)


def _further_labels(levels: Mapping[str, str]) -> str:
    """Columns of labels of whole samples or donors, and how a layer is asked for them."""
    named = ", ".join(f"{name} (of the {level})" for name, level in levels.items())
    example = next(iter(levels))
    return (
        f"Further labels: {named}: `labels: [{example}]` in the dataset, and "
        f"`settings: {{column: {example}}}` in the condition"
    )


def _text(study: Mapping[str, Any], comments: Sequence[str], remarks: Sequence[str]) -> str:
    opening = "Written by `layerscope init`. Paths are relative to the folder in which the study is run."
    lines = [*(f"# {remark}" for remark in (opening, *remarks)), ""]
    for key, value in study.items():
        about = [f"# {' '.join(comment.split())}" for comment in comments] if key == "datasets" else []
        lines += [*about, as_yaml({key: value})]
    return "\n".join(lines).rstrip() + "\n" + FILTERS


def _name(text: str, otherwise: str) -> str:
    """Text as a name that may stand in paths."""
    return NO_NAME.sub("_", text).strip("_.+-")[:60] or otherwise


def _own_name(text: str) -> str:
    """A name for dataset and conditions that the catalogue has not given away."""
    catalogue = read_study(repository() / "config" / "datasets.yaml")
    taken = {*catalogue["datasets"], *catalogue["conditions"]}
    name = _name(text, "my_cells")
    return f"my_{name}" if any(other == name or other.startswith(f"{name}_") for other in taken) else name


def _columns(cells: Description, guessed: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, Column]:
    by_name = {column.name: column for column in cells.columns}
    for standard, name in wanted.items():
        demand_known(standard, STUDY_COLUMNS, "--columns", "standard column")
        if name not in by_name:
            raise ConfigError(
                f"--columns {standard}={name}: {cells.path}: no such column; {among(name, by_name)}"
            )
    names = {**guessed, **wanted}
    return {standard: by_name[name] for standard, name in names.items()}


def _tasks(cells: Description, columns: Mapping[str, Column], wishes: Wishes) -> list[str]:
    for task in wishes.tasks:
        demand_known(task, TASKS, "--task", "task")
    if wishes.tasks:
        return list(dict.fromkeys(wishes.tasks))
    possible = _possible(cells, columns)
    if not possible:
        raise ConfigError(
            f"{cells.path}: no column looks like labels, times or perturbations; say which it is, such as "
            f"--columns cell_type=COLUMN; {among('', (column.name for column in cells.columns))}"
        )
    return possible[:1]


def _possible(cells: Description, columns: Mapping[str, Column]) -> list[str]:
    """Tasks that the file has all for, the likeliest first."""
    target, tasks = columns.get("perturbation"), []
    with_control = target is not None and bool(target.controls)
    many = target is not None and len(target.sizes) - len(target.controls) >= MIN_SCREEN
    is_screen = with_control and (many or "guide" in columns)
    if is_screen:
        tasks.append("perturbation")
    if "cell_type" in columns:
        tasks.append("label")
    if cells.has_root or "time" in columns:
        tasks.append("trajectory")
    if with_control and not is_screen:
        tasks.append("perturbation")
    if "cell_type" in columns and "batch" in columns and len(columns["batch"].sizes) > 1:
        tasks.append("integration")
    if target and with_control and n_large_perturbations(target) >= ResponseSettings.MIN_TARGETS:
        tasks.append("response")
    if "time" in columns and times_suffice(columns["time"], columns.get("donor") or columns.get("batch")):
        tasks.append("time")
    return tasks


def _demand_columns(cells: Description, columns: Columns, task: Task) -> None:
    usual = task.settings_of(_protocols(task.name, columns)[0], {})
    named = [getattr(usual, key) for key in task.column_settings]
    for standard in filter(None, [*task.columns, *named]):
        if standard not in columns:
            there = among("", (column.name for column in cells.columns))
            raise ConfigError(
                f"{cells.path}: task {task.name} needs a column for {standard!r}, and none looks like one: "
                f"name it, --columns {standard}=COLUMN; {there}"
            )


def _control(cells: Description, target: Column, wanted: Sequence[str]) -> list[str]:
    """Labels of perturbations that mean untreated."""
    labels = [str(label) for label in target.sizes.index]
    for label in wanted:
        if label not in labels:
            raise ConfigError(
                f"--control: no cell is labelled {label!r} in {target.name!r}; {among(label, labels)}"
            )
    control = list(wanted) or list(target.controls)
    if not control:
        raise ConfigError(
            f"{cells.path}: no label of {target.name!r} looks like a control: name it, --control LABEL; "
            f"{among('', labels)}"
        )
    return control


def _root(cells: Description, columns: Columns, wanted: Mapping[str, str]) -> dict[str, Any]:
    """Where development begins, in the keys of a dataset; nothing where the file says it."""
    for standard, label in wanted.items():
        if standard not in columns or label not in set(columns[standard].labels):
            there = map(str, columns[standard].sizes.index) if standard in columns else columns
            raise ConfigError(f"--root {standard}={label}: no such cells; {among(label, there)}")
    if wanted:
        return {"root": {standard: [label] for standard, label in wanted.items()}}
    if time := columns.get("time"):
        order = time.times if time.times.labels else order_times(map(str, time.sizes.index), [])
        guess = {"time_order": order.labels} if order.guess or order.conflict else {}
        return {"root": {"time": order.labels[:1]}} | guess
    if cells.has_root:
        return {}
    example = columns.get("cell_type")
    label = f"cell_type={example.sizes.index[0]}" if example else "cell_type=LABEL"
    raise ConfigError(f"{cells.path}: say where development begins, such as --root {label}")


def _protocols(task: str, columns: Mapping[str, Column]) -> list[str]:
    """``strict``, which of perturbations needs guides or replicates."""
    halves = {"guide", "replicate"} & set(columns)
    return ["paper"] if task == "perturbation" and not halves else ["strict"]


def _models(cells: Description, wishes: Wishes) -> tuple[list[str], dict[str, Fit], list[str]]:
    known, genes = entries(), cells.genes.var

    def how(model: str) -> Fit:
        entry = trained(model)[1]
        species = [] if isinstance(entry, Baseline) else [entry.species]
        return fit(FAMILIES[entry.family], cells.values, genes, cells.values_remark, *species)

    for model in wishes.models:
        demand_known(model, known, "--models", "model")
        if lacks := how(model).lacks:
            raise ConfigError(f"--models {model}: {cells.path}: {lacks}")
    wanted = list(dict.fromkeys(wishes.models))
    twins = [twin for model in wanted if (twin := f"{model}{TWIN}") in known and twin not in wanted]
    baselines = {name: entry.family for name, entry in known.items() if isinstance(entry, Baseline)}
    chosen = [*wanted, *twins]
    if not set(wanted) & set(baselines):
        chosen += [
            name
            for name, family in baselines.items()
            if FAMILIES[family].usual and not FAMILIES[family].imports and not how(name).lacks
        ]
    remarks = []
    if not any(isinstance(known[model], FoundationModel) for model in chosen):
        able = [name for name in _licences(list(known)) if not how(name).lacks]
        hint = f"choose with --models: {', '.join(able)}" if able else "none can take these cells"
        remarks.append(f"No foundation model is in it; {hint}")
    fits = {model: how(model) for model in chosen}
    if human := [model for model in wanted if fits[model].orthologs]:
        remarks.append(
            f"These are mouse genes, and {', '.join(human)} know human ones: the cells are taken over their "
            "human orthologs, for every model of the study"
        )
    return chosen, fits, remarks


def _licences(models: Sequence[str]) -> list[str]:
    """Models whose weights are fetched, those that controls are of included."""
    networks = dict(map(trained, models))
    return [
        name for name, entry in networks.items() if isinstance(entry, FoundationModel) and entry.weights.fetch
    ]


def _licences_to_accept(models: Sequence[str]) -> str:
    licences = "; ".join(
        f"{model}: {getattr(entries()[model], 'licence', '') or 'not stated'}" for model in models
    )
    return (
        f"One thing is needed before it runs: read the licences ({licences}) and, if you accept them, add "
        f"`accepted_licences: [{', '.join(models)}]`, or run init again with --accept-licence"
    )


def _brought(cells: Description) -> dict[str, Any]:
    """Embeddings of the file as models of the study."""
    brought = {}
    for pattern, group in layers_by_pattern(each for each in cells.embeddings if not each.unfit).items():
        name = _name(pattern.removesuffix("*"), "embedding")
        name = f"{name}_of_file" if name in entries() or name in brought else name
        several = pattern.endswith("*")
        layers: Any = f"obsm/{pattern}" if several else {"official": f"obsm/{group[0].name}"}
        brought[name] = {"family": "stored", "source": {"path": str(cells.path)}, "layers": layers}
    return brought
