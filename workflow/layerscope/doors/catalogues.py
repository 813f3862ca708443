"""What there is to choose from: tables of models and of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from layerscope import layout
from layerscope.doors.cost import ModelRun
from layerscope.doors.keywords import needed_columns
from layerscope.doors.models import cache_folder, entries
from layerscope.models.catalogue import FAMILIES
from layerscope.models.entries import Baseline, Control, FoundationModel
from layerscope.tasks.catalogue import TASKS

GENES = {"symbol": "symbols", "ensembl": "Ensembl ids", "any": "any"}
MOST_SPECIES, TYPICAL_GENES = 2, 2000
"""Species that are named in the table; genes that a cell expresses, for its operations."""


def models_table() -> str:
    """All models of the catalogue, with what each needs and whether its weights are here."""
    known = entries()
    foundation = {name: entry for name, entry in known.items() if isinstance(entry, FoundationModel)}
    baselines = {name: entry for name, entry in known.items() if isinstance(entry, Baseline)}
    of = {name: entry.of for name, entry in known.items() if isinstance(entry, Control)}
    controls = {name: ", ".join(control for control in of if of[control] == name) for name in foundation}
    return "\n\n".join(
        [
            aligned(_model_row(name, entry) for name, entry in foundation.items()),
            aligned(
                {"BASELINE": name, "WHAT IT IS": entry.title or "", "VALUES": _values(entry.family)}
                for name, entry in baselines.items()
            ),
            aligned({"CONTROLS OF": name, "NAMES": names} for name, names in controls.items() if names),
            "HERE: in the cache, in resources/weights of this folder (study), or made by a study that\n"
            "pretrains them. GB: to download, where the catalogue states sizes. CONTEXT: tokens of a cell\n"
            f"at most. GFLOP: of a cell that expresses {TYPICAL_GENES:,} genes. Cells of other species than\n"
            "SPECIES need `orthologs` of their dataset.",
        ]
    )


def tasks_table() -> str:
    """All tasks, with the columns that they need and look at, and the metrics that a layer is chosen by."""
    tasks = (
        {
            "TASK": task.name,
            "WHAT IT ASKS": task.title,
            "NEEDS": ", ".join(needed) or "a root",
            "TAKES": ", ".join(name for name in task.strata if name not in needed),
            "PROTOCOLS": ", ".join(task.protocols),
        }
        for task in TASKS.values()
        for needed in [task.columns or needed_columns(task, {})]
    )
    metrics = (
        {"TASK": task.name, "METRIC": name, "WHAT IT IS": metric.label}
        for task in TASKS.values()
        for name, metric in task.metrics.items()
    )
    return f"{aligned(tasks)}\n\n{aligned(metrics)}"


def download_bytes(entry: FoundationModel) -> int | None:
    """Size of what is fetched for a model, an archive once; None where it is not stated."""
    files = entry.weights.fetch or {}
    sizes = {source.archive or file: source.bytes for file, source in files.items()}
    large = [file for file in files if not file.endswith((".json", ".yml", ".pkl"))]
    stated = all(files[file].bytes is not None for file in large)
    return sum(size or 0 for size in sizes.values()) if sizes and stated else None


def model_run(name: str, entry: FoundationModel, fetched: bool, store: str, **cells: Any) -> ModelRun:
    """A run of a model over ``cells`` (see :class:`ModelRun`), whose weights are fetched or not."""
    length = entry.set.get("max_length")
    return ModelRun(
        name=name,
        network=entry.network,
        layers=entry.last_layer,
        max_length=int(length) if length else None,
        bytes_per_number=2 if store == "float16" else 4,
        download=download_bytes(entry) if fetched and entry.weights.fetch else 0,
        **cells,
    )


def weights_here(name: str, entry: FoundationModel) -> str:
    """``cache`` or ``study``, where all weights of a model are in one of them; else nothing."""
    files = entry.weights.fetch or {}
    for place, folder in ("cache", cache_folder() / "weights" / name), ("study", Path(layout.weights(name))):
        if files and all((folder / file).is_file() for file in files):
            return place
    return ""


def aligned(rows: Iterable[Mapping[str, str]]) -> str:
    """A table as text, the keys of its rows as heading."""
    rows = list(rows)
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def _model_row(name: str, entry: FoundationModel) -> dict[str, str]:
    size, n_bytes = entry.network, download_bytes(entry)
    parameters = entry.published.parameters if entry.published else None
    length = int(entry.set["max_length"]) if "max_length" in entry.set else None
    more = len(entry.species) - MOST_SPECIES
    row = {"MODEL": name, "LAYERS": str(entry.layers), "WIDTH": "", "CONTEXT": ""}
    row |= {"PARAMETERS": f"{parameters / 1e6:,.0f} M" if parameters else "", "GFLOP": ""}
    if size:
        operations = size.operations(entry.layers, size.tokens_of(TYPICAL_GENES, length))
        context = size.tokens or min(size.max_tokens, length or size.max_tokens)
        row |= {"WIDTH": str(size.width), "CONTEXT": f"{context:,}", "GFLOP": f"{operations / 1e9:,.0f}"}
    return row | {
        "GB": f"{n_bytes / 1e9:.2f}" if n_bytes else "",
        "GENES": GENES[FAMILIES[entry.family].identifiers],
        "SPECIES": ", ".join(entry.species[:MOST_SPECIES]) + (f" and {more} more" if more > 0 else ""),
        "VALUES": _values(entry.family),
        "HERE": "made" if entry.weights.pretrain else weights_here(name, entry),
        "LICENCE": entry.licence or "not stated",
    }


def _values(family: str) -> str:
    return "counts" if FAMILIES[family].values == {"counts"} else "counts or log"
