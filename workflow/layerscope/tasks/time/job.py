"""The score of one layer by the order of sampling times; there is no reference but the times."""

from __future__ import annotations

from layerscope.tasks.jobs import ScoringJob
from layerscope.tasks.scored import NoScoreError, Scored, unscored
from layerscope.tasks.time.design import design_of
from layerscope.tasks.time.scores import METRICS, score_layer


def score(job: ScoringJob) -> Scored:
    """Score one layer; where no score exists, the rows say why."""
    layer = job.vectors
    subject = job.subject("time", layer.provenance)
    try:
        return score_layer(layer.matrix, design_of(job.obs, job.settings, job.seed), job.settings, subject)
    except NoScoreError as none:
        return unscored(subject, METRICS, none.status, str(none))
