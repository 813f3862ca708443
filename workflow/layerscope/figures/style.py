"""One look for all figures: legible in greyscale and to the colour-blind, and the same bytes every time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.lines import Line2D

from layerscope.errors import ConfigError
from layerscope.files import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from layerscope.figures.models import Model

FORMATS = ("svg", "png", "pdf")
GREY = "#5a5a5a"
MAY_BE_BEST: dict[str, Any] = {"color": "#cfcfcf", "linestyle": "", "marker": "s", "markersize": 8}
"""The square behind what may be the best: the 95% confidence set."""


@dataclass(frozen=True)
class Style:
    """Colour, dashes and marker of a model, the same in every figure; without colour the others do."""

    colour: str
    dashes: Any
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """Options of a line with open signs."""
        return {
            "color": self.colour,
            "linestyle": self.dashes,
            "marker": self.marker,
            "markerfacecolor": "white",
            "markeredgewidth": 0.8,
        }


# told apart with any kind of colour blindness, neighbours also by their lightness
COLOURS = (
    *("#004488", "#c44e62", "#228833", "#b8860b", "#882299"),
    *("#33a5c4", "#7a3e1d", "#e07b39", "#333366"),
)
# their numbers have no common factor: no two of the first 252 models look the same
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1.2)))
BASELINE_GREYS = ("#3d3d3d", "#8a8a8a", "#666666")
BASELINE_MARKERS = ("d", "<", ">", "h", "p")  # all can be filled, and none is the cross of a missing score
CONTROL_DASHES: Mapping[str, Any] = {
    "untrained": (0, (7, 2)),
    "gene_permuted": (0, (2, 1.2)),
    "values_permuted": (0, (1, 1.6)),
    "thinned": (0, (4, 1.2, 1, 1.2)),
}
OTHER_DASHES = (0, (4, 1, 1, 1, 1, 1))


def styles(models: Mapping[str, Model]) -> dict[str, Style]:
    """Style of every model of a study, by its place in the study: a model added last changes no other's.

    Baselines are grey; controls are grey with the marker of the model that they control for.
    """
    looks = {}
    for place, name in enumerate(name for name, model in models.items() if model.kind == "foundation"):
        sign = MARKERS[place % len(MARKERS)], COLOURS[place % len(COLOURS)]
        looks[name] = Style(sign[1], DASHES[place % len(DASHES)], sign[0])
    for place, name in enumerate(name for name, model in models.items() if model.kind == "baseline"):
        grey = BASELINE_GREYS[place % len(BASELINE_GREYS)]
        looks[name] = Style(grey, "-", BASELINE_MARKERS[place % len(BASELINE_MARKERS)])
    for name, model in models.items():
        if model.kind == "control":
            looks[name] = Style(GREY, CONTROL_DASHES.get(model.control, OTHER_DASHES), looks[model.of].marker)
    return looks


def model_entry(label: str, style: Style) -> Line2D:
    """Legend entry of a model."""
    return Line2D([], [], markersize=4, label=label, **style.line)


LOOK: Any = {
    "backend": "agg",
    "axes.axisbelow": True,
    "axes.edgecolor": "#333333",
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 8,
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "hatch.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "layerscope",
    "xtick.labelsize": 7,
    "xtick.major.width": 0.7,
    "ytick.labelsize": 7,
    "ytick.major.width": 0.7,
}


@contextmanager
def look() -> Iterator[None]:
    """Draw with this look, whatever the user's matplotlib settings, and without a display."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(LOOK)
        yield


def save(
    figure: Figure, outputs: Sequence[str | Path], *, title: str, caption: str, table: str | Path
) -> None:
    """Write a figure to every output, in the format of its suffix, without dates or random identifiers.

    The files carry ``title``, ``caption`` and the path of the ``table`` that they show, as seen from their
    own folder; the report takes them from there.
    """
    for output in map(Path, outputs):
        kind = output.suffix.removeprefix(".").lower()
        if kind not in FORMATS:
            raise ConfigError(
                f"{output}: figures are written as {', '.join(FORMATS)}; found the suffix {kind!r}"
            )
        with whole(output) as scratch:
            beside = Path(os.path.relpath(table, output.parent)).as_posix()
            figure.savefig(scratch, format=kind, dpi=200, metadata=_metadata(kind, title, caption, beside))


def _metadata(kind: str, title: str, caption: str, table: str) -> dict[str, str | None]:
    if kind == "svg":
        return {"Title": title, "Description": caption, "Source": table, "Date": None, "Creator": None}
    if kind == "png":
        return {"Title": title, "Description": caption, "Source": table, "Software": None}
    return {"Title": title, "Subject": caption, "CreationDate": None, "Creator": None, "Producer": None}


def depth_axis(axes: Any) -> None:
    """Mark the quarters of the depth."""
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
