"""The score of one layer by how it mixes batches and keeps types; there is no reference but the labels."""

from __future__ import annotations

from layerscope.tasks.integration.design import design_of
from layerscope.tasks.integration.scores import METRICS, score_layer
from layerscope.tasks.jobs import ScoringJob
from layerscope.tasks.scored import NoScoreError, Scored, unscored


def score(job: ScoringJob) -> Scored:
    """Score one layer; where no score exists, the rows say why."""
    layer = job.vectors
    subject = job.subject("integration", layer.provenance)
    try:
        design = design_of(job.obs, job.settings, job.seed)
        return score_layer(layer.matrix, design, job.settings, subject)
    except NoScoreError as none:
        return unscored(subject, METRICS, none.status, str(none))
