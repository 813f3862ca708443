"""The reference of a screen, and the score of one layer against it."""

from __future__ import annotations

import math

from layerscope.arrays import Integers
from layerscope.cells.obs import read_obs
from layerscope.extraction.embeddings_file import Layer
from layerscope.tables import OFFICIAL, Subject, write_scores
from layerscope.tasks.jobs import ReferenceJob, ScoringJob
from layerscope.tasks.perturbation.design import make_design
from layerscope.tasks.perturbation.scores import scores_of_all_cells
from layerscope.tasks.perturbation.similarity import read_similarity
from layerscope.tasks.perturbation.strict import strict_scores
from layerscope.tasks.perturbation.strict_reference import read_reference
from layerscope.tasks.perturbation.sums_file import is_sums, read_everyone, read_layer_sums
from layerscope.tasks.scored import Scored
from layerscope.tasks.screens.design import read_design, write_design
from layerscope.tasks.screens.labels import group_cells
from layerscope.tasks.screens.sums import LayerSums, sum_layer
from layerscope.tasks.unavailable import CEILINGS

PSEUDOBULK, PROFILES, SIMILARITY = "pseudobulk.h5ad", "profiles.h5ad", "similarity.npz"
DESIGN = "design.npz"


def reference(job: ReferenceJob) -> None:
    """Write how alike the effects of every two perturbations are, and what that was made from."""
    make = {"paper": _paper_reference, "released": _released_reference, "strict": _strict_reference}
    make[job.protocol](job)


def _paper_reference(job: ReferenceJob) -> None:
    from layerscope.tasks.perturbation.differential_expression import differential_expression
    from layerscope.tasks.perturbation.pseudobulk import sum_pseudobulk
    from layerscope.tasks.perturbation.similarity import profile_similarity

    sum_pseudobulk(job.cells, job.folder / PSEUDOBULK, job.settings)
    differential_expression(job.folder / PSEUDOBULK, job.folder / PROFILES, job.settings, job.threads)
    profile_similarity(job.folder / PROFILES, job.folder / SIMILARITY, job.threads)


def _released_reference(job: ReferenceJob) -> None:
    from layerscope.tasks.perturbation.released import released_reference

    released_reference(job.cells, job.folder / SIMILARITY, job.settings)


def _strict_reference(job: ReferenceJob) -> None:
    from layerscope.tasks.perturbation.ceilings import ceiling_rows
    from layerscope.tasks.perturbation.strict_reference import (
        make_reference,
        read_expression,
        write_reference,
    )

    obs = read_obs(job.cells)
    design = make_design(obs, job.settings, job.seed, str(job.cells))
    expression = read_expression(job.cells, design, job.settings.min_counts_per_gene)
    similarities = make_reference(expression, design, job.settings, job.seed)
    write_design(job.folder / DESIGN, design)
    write_reference(job.folder / SIMILARITY, similarities)
    subject = Subject(
        condition=job.condition,
        model="reference",
        layer=OFFICIAL,
        depth=math.nan,
        task="perturbation",
        protocol=job.protocol,
        seed=job.seed,
    )
    rows = ceiling_rows(expression, similarities, design, obs, subject, job.settings)
    write_scores(job.folder / CEILINGS, rows)


def score(job: ScoringJob) -> Scored:
    """Score one layer by the job's protocol, from its vectors of cells or from sums of these."""
    return (_strict if job.protocol == "strict" else _all_cells)(job)


def _all_cells(job: ScoringJob) -> Scored:
    similarity = read_similarity(job.reference_folder / SIMILARITY)
    if not isinstance(job.embeddings, Layer) and is_sums(job.embeddings):
        plain, unit, provenance = read_everyone(job.embeddings, job.layer, similarity.names)
    else:
        item = group_cells(job.obs, similarity.names)[None]
        plain, unit = _sums(job, item, item, len(similarity.names) + 1)
        provenance = job.vectors.provenance
    subject = job.subject("perturbation", provenance)
    return scores_of_all_cells(plain, unit, job.obs, similarity, subject, job.settings)


def _strict(job: ScoringJob) -> Scored:
    reference = job.reference_folder
    design, similarities = read_design(reference / DESIGN), read_reference(reference / SIMILARITY)
    job.demand_reference_of(design.cell_ids)
    if not isinstance(job.embeddings, Layer) and is_sums(job.embeddings):
        plain, unit, provenance = read_layer_sums(job.embeddings, job.layer, design)
    else:
        plain, unit = _sums(job, design.groups, design.groups[:1], design.n_groups)
        provenance = job.vectors.provenance
    subject = job.subject("perturbation", provenance)
    return strict_scores(plain, unit, similarities, design, subject, job.settings)


def _sums(job: ScoringJob, groups: Integers, of_unit: Integers, n_groups: int) -> tuple[LayerSums, LayerSums]:
    """Sums of the layer's cells by group, as they are and scaled to unit length."""
    matrix = job.vectors.matrix
    return sum_layer(matrix, groups, n_groups), sum_layer(matrix, of_unit, n_groups, unit_norm=True)
