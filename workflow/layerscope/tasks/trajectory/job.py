"""The reference of a condition's trajectory, and the score of one layer against it."""

from __future__ import annotations

from layerscope.cells.obs import read_obs
from layerscope.errors import ConfigError
from layerscope.tasks.jobs import ReferenceJob, ScoringJob
from layerscope.tasks.scored import Scored
from layerscope.tasks.trajectory.paper import score_paper
from layerscope.tasks.trajectory.references import (
    NoRootError,
    Reference,
    make_reference,
    read_reference,
    write_reference,
)
from layerscope.tasks.trajectory.settings import ReleasedSettings, StrictSettings

PSEUDOTIME = "pseudotime.tsv"


def reference(job: ReferenceJob) -> None:
    """Write the reference pseudotime: the data's own, or computed once on the baseline."""
    write_reference(job.folder / PSEUDOTIME, _reference(job))


def _reference(job: ReferenceJob) -> Reference:
    if job.protocol == "released":
        from layerscope.tasks.trajectory.released import released_reference

        return released_reference(job.cells, job.settings)
    if job.baseline is None:
        raise ConfigError("task trajectory needs --baseline, the hvg_pca embeddings of the same cells")
    try:
        return make_reference(job.cells, job.baseline, job.settings)
    except NoRootError:
        if job.protocol == "strict":
            return Reference.missing(list(read_obs(job.cells).index), "the cells name no root")
        raise


def score(job: ScoringJob) -> Scored:
    """Score one layer by the job's protocol."""
    pseudotime = read_reference(job.reference_folder / PSEUDOTIME)
    job.demand_reference_of(pseudotime.cell_ids)
    layer = job.vectors
    subject = job.subject("trajectory", layer.provenance)
    if isinstance(job.settings, StrictSettings):
        from layerscope.tasks.trajectory.strict import score_strict

        return score_strict(layer.matrix, pseudotime, job.obs, subject, job.settings)
    if isinstance(job.settings, ReleasedSettings):
        from layerscope.tasks.trajectory.released import score_released

        return score_released(layer.matrix, pseudotime, subject, job.settings, job.obs)
    return score_paper(layer.matrix, pseudotime, subject, job.settings, job.obs)
