"""What a file of cells holds, in plain words, and which tasks and models can use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from layerscope.cells.describe import Description, describe
from layerscope.cells.fit import Needs, fit
from layerscope.cells.genes import is_mitochondrial, organism
from layerscope.cells.guard import words
from layerscope.cells.guesses import Column, first
from layerscope.cells.h5ad_file import damage_named
from layerscope.cells.levels import label_columns, label_lines
from layerscope.cells.which_matrix import matrix_key
from layerscope.tasks.response.settings import ResponseSettings
from layerscope.tasks.time.settings import MIN_TIMES, TimeSettings


def check(path: str | Path, models: Mapping[str, Needs]) -> str:
    """Describe a file or folder of cells in plain words; ``models`` are what each model needs, by name."""
    with damage_named(path):
        cells = describe(path)
    genes = cells.genes.var
    repeats = len(cells.cell_ids) - len(set(cells.cell_ids))
    repeated = [f"{repeats:,} cell ids repeat: every cell needs its own name"] if repeats else []
    columns = [*(column.line() for column in cells.columns), *cells.skipped]
    title = f"{cells.path.name}: {len(cells.cell_ids):,} cells x {len(genes):,} genes"
    sections = {
        title: [*repeated, *cells.remarks],
        "Values": _value_lines(cells),
        "Genes": _genes(cells),
        "Columns of the cells (what each may be is a guess by its name)": columns,
        "Tasks": _tasks(cells.columns),
        "Labels that layers could be asked to tell apart (`settings: {column: ...}`)": label_lines(
            cells.columns
        ),
        "Embeddings (obsm)": [each.line() for each in cells.embeddings] or ["none"],
        "Models": _models(cells, models),
        "A start for config/datasets.yaml": _entry(cells),
    }
    return "\n\n".join(
        "\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in sections.items()
    )


def _value_lines(cells: Description) -> list[str]:
    lines = [f"{name}: {words(seen)}; {seen.seen()}" for name, seen in cells.judged.items()]
    remark = cells.values_remark
    return [*(lines or ["there is no matrix"]), *([remark.strip()] if remark else [])]


def _genes(cells: Description) -> list[str]:
    genes = cells.genes.var
    kinds = {"symbol": "symbols", "ensembl_id": "Ensembl ids"}
    held = " and ".join(kinds[name] for name in genes.columns)
    lines = [f"{held}, such as {', '.join(genes.iloc[:3, 0])}; species by their names: {organism(genes)}"]
    lines += [*cells.genes.remarks, *cells.genes.doubts]
    named = genes.iloc[:, 0][~genes.iloc[:, 0].isin(["", "-"])]
    if len(named) < len(genes):
        lines.append(f"{len(genes) - len(named)} genes have no {kinds[genes.columns[0]].removesuffix('s')}")
    if repeats := int(named.duplicated().sum()):
        lines.append(f"{repeats} names repeat (models add their counts up)")
    mitochondrial = is_mitochondrial(genes)
    if mitochondrial is None:
        return [*lines, "no symbols: the mitochondrial filter cannot be applied"]
    return [*lines, f"{int(mitochondrial.sum())} mitochondrial genes (MT-)"]


def _tasks(columns: Sequence[Column]) -> list[str]:
    types, time = first(columns, "cell_type"), first(columns, "time")
    trajectory = "needs a column of time or of cell type to name the root"
    if start := time or types:
        trajectory = f"possible (root: say which label of {start.name} is the start)"
    if time:
        doubt = time.times.guess or time.times.conflict
        said = f", which is a guess: {doubt}; mend `time_order`" if doubt else ""
        trajectory += f"; times: {time.times}{said}"
    perturbation = "needs a column that names each cell's perturbation; none looks like one"
    if target := first(columns, "perturbation"):
        perturbation = (
            f"{target.name} may name perturbations, but no label looks like a control: set `control`"
        )
        if target.controls:
            perturbation = f"possible ({target.name}, control {', '.join(map(repr, target.controls))})"
    response = (
        f"needs {ResponseSettings.MIN_TARGETS} perturbations of {ResponseSettings.MIN_CELLS} cells each"
    )
    if target and target.controls:
        n_large = n_large_perturbations(target)
        able = n_large >= ResponseSettings.MIN_TARGETS
        response = f"possible ({n_large} perturbations)" if able else f"{response}; {n_large} have so many"
    label = "needs a column of labels; none looks like one"
    if labels := types or next(iter(label_columns(columns)), None):
        apart = first(columns, "donor") or first(columns, "batch")
        across = f"tested across {apart.name}" if apart else "no donor or batch to test across"
        label = f"possible ({labels.name}, {across})"
    return [
        f"trajectory: {trajectory}",
        f"perturbation: {perturbation}",
        f"response: {response}",
        f"label: {label}",
        f"integration: {_integration(types, first(columns, 'batch'))}",
        f"time: {_time(time, columns)}",
    ]


def _time(time: Column | None, columns: Sequence[Column]) -> str:
    """Whether there are samples enough to put into the order of their times."""
    if time is None:
        return "needs a column of times; none looks like one"
    units = first(columns, "donor") or first(columns, "batch")
    n_units, named = (len(units.sizes), units.name) if units else (0, "donors or batches")
    counted = f"{len(time.sizes)} times in {time.name}, {n_units} {named}"
    return f"{'possible' if times_suffice(time, units) else 'too few'} ({counted})"


def times_suffice(time: Column, units: Column | None) -> bool:
    """Whether task time has as many times and donors (or batches) as it needs."""
    least = TimeSettings.model_fields["least_units"].default
    return units is not None and len(time.sizes) >= MIN_TIMES and len(units.sizes) >= least


def _integration(types: Column | None, batches: Column | None) -> str:
    """Whether batches can be asked to mix, and types to be told across them."""
    if types is None or batches is None:
        return f"needs a column of {'cell types' if batches else 'batches'}; none looks like one"
    if len(batches.sizes) < 2:
        return f"{batches.name} may name batches, but has one label"
    return f"possible (batches {batches.name}, types {types.name})"


def n_large_perturbations(target: Column) -> int:
    """Perturbations with as many cells as task response needs of each, without the controls."""
    sizes = target.sizes.drop(list(target.controls), errors="ignore")
    return int((sizes >= ResponseSettings.MIN_CELLS).sum())


def _models(cells: Description, models: Mapping[str, Needs]) -> list[str]:
    genes, values = cells.genes.var, cells.values
    if values is None:
        return [f"none: {fit(next(iter(models.values())), None, genes).lacks}"]
    lines = [
        f"{name}: {fit(needs, values, genes, cells.values_remark).line()}" for name, needs in models.items()
    ]
    if organism(genes) == "mouse":
        lines.append(
            "these are mouse genes: checkpoints that know human ones alone, of any family, need `orthologs`"
        )
    return lines


def dataset_entry(cells: Description) -> tuple[dict[str, Any], list[str]]:
    """The dataset's entry that a study takes as it is, and comments on what in it is a guess."""
    columns = cells.columns
    standard = dict.fromkeys(column.guess for column in columns if column.guess)
    mapping = {name: column.name for name in standard if (column := first(columns, name))}
    entry: dict[str, Any] = {
        "kind": cells.kind,
        "source": {"path": str(cells.path)},
        "values": cells.values or "counts",
    }
    comments = [] if cells.values else [cells.values_remark or "no matrix holds values that can be used"]
    if cells.matrix not in ("X", "matrix"):
        entry["matrix"] = matrix_key(cells.matrix)
    if cells.recovery:
        entry["recover_counts"] = dict(cells.recovery)
    if cells.reading.genome:
        entry["genome"] = cells.reading.genome
        comments.append(f"genome: one of {', '.join(cells.genes.genomes)}")
    if mapping:
        entry["columns"] = mapping
    time, target = first(columns, "time"), first(columns, "perturbation")
    if target and target.controls:
        entry["control"] = list(target.controls)
    elif time:
        entry["root"] = {"time": time.times.labels[:1]}
    if time and (time.times.guess or time.times.conflict):
        entry["time_order"] = time.times.labels
        comments.append("time_order: a guess")
    return entry, comments


def _entry(cells: Description) -> list[str]:
    entry, comments = dataset_entry(cells)
    return [*(f"# {comment}" for comment in comments), *as_yaml({"my_cells": entry}).splitlines()]


def as_yaml(entry: Mapping[str, Any]) -> str:
    """An entry of a study as text, a line for each key."""
    options: dict[str, Any] = {"allow_unicode": True, "width": 10_000, "default_flow_style": None}
    return str(yaml.safe_dump(dict(entry), sort_keys=False, **options))
