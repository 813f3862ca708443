"""The score of one layer."""

from layerscope.tasks.jobs import ScoringJob
from layerscope.tasks.scored import Scored


def score(job: ScoringJob) -> Scored:
    """Score one layer."""
    subject = job.subject("evenness", job.vectors.provenance)
    mean = float((job.vectors.matrix**job.settings.power).mean())
    return Scored([subject.row("evenness", estimate=mean)])
