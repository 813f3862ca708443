"""One look for all figures: legible in greyscale and to the colour-blind, and the same bytes every time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from layerscope.errors import ConfigError
from layerscope.files import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")
GREY = "#5a5a5a"


@dataclass(frozen=True)
class CurveStyle:
    """Colour, dashes, marker and hatch of a model: any one of them tells the models apart."""

    colour: str
    dashes: Any
    marker: str
    hatch: str


# dark blue, rose, green, black: told apart with any kind of colour blindness; marker and dashes for greyscale
CURVES = (
    CurveStyle("#004488", "-", "o", "////"),
    CurveStyle("#c44e62", (0, (5, 1.5)), "s", "\\\\\\\\"),
    CurveStyle("#228833", (0, (5, 1.5, 1, 1.5)), "^", "||||"),
    CurveStyle("#000000", (0, (1, 1.2)), "D", "----"),
)
CONTROL_DASHES: Mapping[str, Any] = {
    "untrained": (0, (7, 2)),
    "gene_permuted": (0, (2, 1.2)),
    "values_permuted": (0, (1, 1.6)),
    "thinned": (0, (4, 1.2, 1, 1.2)),
}
OTHER_DASHES = (0, (4, 1, 1, 1, 1, 1))

LOOK: Any = {
    "backend": "agg",
    "axes.axisbelow": True,
    "axes.edgecolor": "#333333",
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "hatch.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "layerscope",
    "xtick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.labelsize": 7.5,
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


def spread(values: npt.ArrayLike, gap: float) -> npt.NDArray[np.float64]:
    """Move labels apart by at least ``gap``, in their order and as little as possible (least squares)."""
    wanted = np.asarray(values, dtype=np.float64)
    order = np.argsort(wanted, kind="stable")
    shifts = gap * np.arange(len(wanted))
    # least squares under y[i+1] - y[i] >= gap is isotonic regression of y[i] - i * gap
    pools: list[tuple[float, int]] = []
    for value in wanted[order] - shifts:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (left, n_left), (right, n_right) = pools[-2:]
            pools[-2:] = [((left * n_left + right * n_right) / (n_left + n_right), n_left + n_right)]
    placed = np.empty_like(wanted)
    placed[order] = np.repeat([p for p, _ in pools], [n for _, n in pools]) + shifts
    return placed
