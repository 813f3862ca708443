"""The score of one layer by how well it tells labels apart; there is no reference but the labels."""

from __future__ import annotations

from layerscope.tasks.catalogue import primary_metrics
from layerscope.tasks.jobs import ScoringJob
from layerscope.tasks.label.design import design_of
from layerscope.tasks.label.scores import METRICS, score_layer
from layerscope.tasks.label.transfer import TRANSFER_METRICS, score_transfer
from layerscope.tasks.scored import NoScoreError, Scored, unscored


def score(job: ScoringJob) -> Scored:
    """Score one layer; where no score exists, the rows say why."""
    layer = job.vectors
    subject = job.subject("label", layer.provenance)
    try:
        if job.settings.transfer:
            return score_transfer(layer.matrix, job.obs, job.settings, subject)
        design = design_of(job.obs, job.settings, job.seed)
        return score_layer(layer.matrix, design, job.settings, subject)
    except NoScoreError as none:
        *of_labels, _ = primary_metrics("label", job.protocol)
        usual = (of_labels[0], *TRANSFER_METRICS) if job.settings.transfer else (*of_labels, *METRICS)
        return unscored(subject, dict.fromkeys(usual), none.status, str(none))
