"""What a study may set for the labels of its cells."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from layerscope.settings import UNIQUE, Metric, Resampled, Settings, keys_among

SIDES = ("column", "from", "to")
GroupColumn = Literal["donor", "study", "batch", "sample", "replicate", "clone"]


def _whole(sides: dict[str, str]) -> dict[str, str]:
    """Refuse a transfer that lacks a key, or goes nowhere."""
    for key in SIDES:
        if key not in sides:
            raise ValueError(f"the key {key!r} is missing; expected column, from and to")
    if sides["from"] == sides["to"]:
        raise ValueError(f"from and to are both {sides['to']!r}; name two labels of {sides['column']!r}")
    return sides


class LabelSettings(Resampled):
    """Settings of protocol ``strict``, the only one of this task: the paper scores no labels."""

    column: str = Field(default="cell_type", min_length=1)
    """Column of the labels: types, a disease, a stimulus. Whether they were given to cells, samples or
    donors is found from the cells, and every row says it."""
    positive: str | None = None
    """Of two labels, the one whose cells should score higher; without it the later one by the alphabet."""
    grouped_by: Annotated[tuple[GroupColumn, ...], *UNIQUE] = ("donor", "study", "batch", "sample")
    """Columns that keep cells together in training or test, in order of preference: the first that has two
    labels or more is taken. Without any, folds are stratified by label, and the rows say so. Labels that were
    given to samples or donors are always tested on donors that the probe has not seen."""
    folds: int = Field(default=5, ge=2)
    """Parts of the cross-validation, at most one per group."""
    least_groups: int = Field(default=10, ge=2)
    """Groups that there must be for the interval to draw groups; of fewer it draws cells. Of labels that were
    given to samples or donors it always draws donors."""
    cells_per_type: int = Field(default=10, ge=2)
    """Labels of fewer cells are left out."""
    most_cells: int = Field(default=5000, ge=20)
    """Cells scored; of more, so many are drawn by the seed."""
    penalty: float = Field(default=0.01, gt=0)
    """Ridge penalty of the linear probe per training cell (scikit-learn's `C` is 1 / (penalty x cells))."""
    neighbours: int = Field(default=15, ge=1)
    """Neighbours that vote."""
    metric: Metric = "cosine"
    """Distance of the vote and of the silhouette."""
    shuffles: int = Field(default=20, ge=0)
    """Shuffles of the labels of cells, each with everything re-run."""
    dealings: int = Field(default=1000, ge=0)
    """Ways of dealing the labels of samples or donors anew, each with everything re-run; all ways where there
    are no more."""
    refits: int = Field(default=20, ge=0)
    """Bootstrap resamples of the training cells, each with everything re-run, for the interval."""
    transfer: Annotated[dict[str, str], keys_among(*SIDES), AfterValidator(_whole)] | None = None
    """Fit to cells of one label of another column, test on those of another: `{column: stim, from: ctrl, to:
    stim}`. Both are cells of this condition. Rows of the transfer stand in place of the usual ones."""
    novel: bool = False
    """Leave each label out of training in turn, and score how well its cells are known to be of none of the
    others."""

    @property
    def transfer_column(self) -> str | None:
        """Column that tells the sides of a transfer apart."""
        return self.transfer["column"] if self.transfer else None


class LabelProtocols(Settings):
    """Settings of the task ``label``, by protocol."""

    strict: LabelSettings = LabelSettings()
    """A linear probe, tested on donors or batches that it has not seen."""
