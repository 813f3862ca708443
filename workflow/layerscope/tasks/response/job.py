"""The reference of a screen, and the score of one layer against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layerscope.cells.obs import read_obs
from layerscope.errors import NotAvailableError
from layerscope.tables import arrays_of, write_arrays
from layerscope.tasks.jobs import ReferenceJob, ScoringJob
from layerscope.tasks.response.jackknife import Ratio
from layerscope.tasks.response.reference import (
    gene_names,
    make_reference,
    names_of,
    read_reference,
    why_undefined,
    write_reference,
)
from layerscope.tasks.response.scores import METRICS, Screen, score_layer
from layerscope.tasks.scored import Scored, unscored
from layerscope.tasks.screens.design import deal_design, read_design, write_design
from layerscope.tasks.screens.sums import sum_layer

DESIGN, EFFECTS, CEILING, UNDEFINED = "design.npz", "effects.npz", "ceiling.npz", "undefined.txt"


def reference(job: ReferenceJob) -> None:
    """Write the design of halves, the effects on genes in each, and the ceiling; or why there is no score."""
    from layerscope.cells.canonical import read_var
    from layerscope.tasks.response.expression import read_log_expression

    settings, obs, genes = job.settings, read_obs(job.cells), read_var(job.cells)
    if not {"perturbation", "is_control"} <= set(obs.columns):
        raise NotAvailableError("the cells have no column of perturbations, or no control among them")
    names = set().union(*gene_names(genes))
    reason = why_undefined(obs, names, settings)
    if reason:
        (job.folder / UNDEFINED).write_text(f"{reason}\n", encoding="utf-8")
        return
    design = deal_design(
        obs,
        names_of(obs, settings),
        cells_per_perturbation=settings.cells_per_perturbation,
        n_buckets=settings.buckets,
        n_shuffles=settings.shuffles,
        seed=job.seed,
    )
    control = obs["is_control"].to_numpy(dtype=bool)
    expression, chosen = read_log_expression(job.cells, control, settings.most_genes)
    effects = make_reference(expression, genes.iloc[chosen], obs, design, names, settings, job.seed)
    write_design(job.folder / DESIGN, design)
    write_reference(job.folder / EFFECTS, effects)
    write_ceiling(job.folder / CEILING, Screen(effects, settings).ceiling())


def score(job: ScoringJob) -> Scored:
    """Score one layer; where no score exists, the rows say why."""
    folder, layer = job.reference_folder, job.vectors
    subject = job.subject("response", layer.provenance)
    if (folder / UNDEFINED).is_file():
        reason = (folder / UNDEFINED).read_text(encoding="utf-8").strip()
        return unscored(subject, METRICS, "undefined", reason)
    design, effects = read_design(folder / DESIGN), read_reference(folder / EFFECTS)
    job.demand_reference_of(design.cell_ids)
    sums = sum_layer(layer.matrix, design.groups, design.n_groups)
    vectors, screen = layer.matrix[effects.cells.rows], Screen(effects, job.settings)
    return score_layer(sums, vectors, screen, read_ceiling(folder / CEILING), subject)


def write_ceiling(path: Path, ceiling: dict[str, Ratio]) -> None:
    """Write the scores of the genes' own effects, always the same bytes for the same content."""
    arrays = {
        f"{metric}:{part}": values
        for metric, ratio in ceiling.items()
        for part, values in vars(ratio).items()
    }
    write_arrays(path, **arrays)


def read_ceiling(path: Path) -> dict[str, Ratio]:
    """Read what :func:`write_ceiling` wrote; a DataError if the file is not such a ceiling."""
    parts: dict[str, dict[str, Any]] = {}
    with arrays_of(path, "a ceiling of task response") as arrays:
        for name in arrays.files:
            metric, part = name.split(":")
            parts.setdefault(metric, {})[part] = bool(arrays[name]) if part == "explained" else arrays[name]
        return {metric: Ratio(**of_metric) for metric, of_metric in parts.items()}
