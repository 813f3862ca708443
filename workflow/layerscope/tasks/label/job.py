"""The score of one layer by how well it tells labels apart; there is no reference but the labels."""

from __future__ import annotations

from layerscope.tasks.catalogue import primary_metrics
from layerscope.tasks.folds import NoScoreError
from layerscope.tasks.jobs import Scored, ScoringJob
from layerscope.tasks.label.design import design_of
from layerscope.tasks.label.scores import METRICS, score_layer


def score(job: ScoringJob) -> Scored:
    """Score one layer; where no score exists, the rows say why."""
    layer = job.vectors
    subject = job.subject("label", layer.provenance)
    try:
        design = design_of(job.obs, job.settings, job.seed)
        return score_layer(layer.matrix, design, job.settings, subject)
    except NoScoreError as none:
        metrics = dict.fromkeys((*primary_metrics("label", job.protocol), *METRICS))
        rows = [subject.row(metric, status=none.status, reason=str(none)) for metric in metrics]
        return Scored(rows)
