"""The score of one layer by how well it tells cell types apart; there is no reference but the labels."""

from __future__ import annotations

from dataclasses import asdict

from layerscope.tasks.cell_type.design import NoScoreError, design_of
from layerscope.tasks.cell_type.scores import score_layer, unscored
from layerscope.tasks.jobs import Scored, ScoringJob


def score(job: ScoringJob) -> Scored:
    """Score one layer; where no score exists, the rows say why."""
    layer = job.vectors
    about = asdict(job.subject("cell_type", layer.provenance))
    seed = about.pop("seed")
    try:
        design = design_of(job.obs, job.settings, seed)
        return Scored(*score_layer(layer.matrix, design, job.settings, about, seed))
    except NoScoreError as none:
        return Scored(*unscored(about, none, seed))
