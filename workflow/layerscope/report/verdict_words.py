"""The words of the first screen: a label for each verdict, and the questions that follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from layerscope.figures.wording import VERDICTS
from layerscope.statistics.verdict import NEGLIGIBLE_GAIN, Verdict


@dataclass(frozen=True)
class Tag:
    """A verdict on the page: its shape, its name for the colour, and what it means."""

    word: Verdict
    shape: str
    meaning: str

    @property
    def label(self) -> str:
        """What is printed beside the shape."""
        return VERDICTS[self.word]


_TAGS = (
    Tag(
        "use_layer",
        "▲",
        "One layer scores higher than the final layer of its model (without layers: one representation than "
        "every other), and chance is an unlikely reason: p is below 0.05 after all corrections. Whether it "
        "is better than a simple method is told below it.",
    ),
    Tag(
        "final_will_do",
        "■",
        f"Either the final layer scores highest, or no other can gain more than {NEGLIGIBLE_GAIN:g} on it.",
    ),
    Tag(
        "no_difference_shown",
        "?",
        "The scores are too uncertain to name a best one. That does not say that they are equal.",
    ),
    Tag(
        "trade_off",
        "⇄",
        "Two scores count, and what is higher in one is lower in the other.",
    ),
    Tag(
        "prefer_official",
        "★",
        "The embedding that the model's owners publish scores higher than every layer.",
    ),
    Tag(
        "prefer_baseline",
        "▼",
        "A simple method without a foundation model scores higher than every layer.",
    ),
    Tag(
        "no_signal",
        "✕",
        "Even the highest score is one that chance can give, so nothing follows for the choice.",
    ),
    Tag("not_scored", "-", "No score could be computed. The reason stands beside it."),
)
TAGS: Mapping[str, Tag] = {tag.word: tag for tag in _TAGS}
"""By verdict; shapes differ, so that colour is not needed to tell them apart."""

UNNAMED: Mapping[str, str] = {
    "trade_off": "your choice",
    "no_signal": "none of them",
    "not_scored": "unknown",
}
"""What to use where the verdict names nothing."""

QUESTIONS: Mapping[str, str] = {
    "beats_pca": "Better than a PCA",
    "beats_baseline": "Better than the best baseline",
    "training_helped": "Training helped",
    "next": "Next",
}
"""What a reader asks, by the column of ``layers.tsv`` that answers."""
OF_MODELS = ("training_helped", "next")
"""Questions that make no sense where no model made the layers."""
PLANTED = "planted: made from the simulation's truth"
"""What a reader must know of layers that were made for the study."""
