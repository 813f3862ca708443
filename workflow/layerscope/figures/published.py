"""The paper's scores beside those that a study reproduced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from layerscope.errors import DataError
from layerscope.figures.models import read_models
from layerscope.figures.sheet import COLUMNS, Words, sheet, title_height, title_panel, wrap
from layerscope.figures.style import GREY, Style, depth_axis, look, model_entry, save, styles
from layerscope.figures.wording import DEPTH_LABEL, condition_order, condition_title
from layerscope.tables import read_table

TEXT = ("condition", "task", "model", "layer", "protocol", "status", "reason")
NUMBERS = ("depth", "published", "reproduced", "ci_low", "ci_high", "difference")
TITLE = "Published and reproduced scores"
CAPTION = (
    "Spearman correlation against depth. Open grey circles: the tables of the paper (arXiv 2604.14838); "
    "filled signs: this study, with its 95% interval; the paper gives no intervals."
)

PUBLISHED: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "marker": "o", "markersize": 4.5}
PUBLISHED["markerfacecolor"] = "white"


def draw_published(
    published: str | Path,
    output: Sequence[str | Path],
    *,
    settings: Mapping[str, Any],
    protocol: str = "paper",
) -> None:
    """Draw the paper's scores and those of one protocol of the study; one panel a condition and model.

    ``published`` is the table of published and reproduced scores; all titles of the settings are optional.
    """
    rows = read_published(published)
    conditions = condition_order(settings, rows["condition"])
    models = sorted(set(rows["model"]))
    described = read_models(settings)
    titles = {name: described[name].title if name in described else name for name in models}
    n_reproduced = int(((rows["protocol"] == protocol) & (rows["status"] == "reproduced")).sum())
    n_published = len(rows.drop_duplicates(["condition", "model", "layer"]))
    notes = [f"{n_reproduced} of {n_published} published scores were reproduced by protocol {protocol}."]
    looks = styles(described)
    legend = [
        Line2D([], [], label="published", **PUBLISHED),
        *(model_entry(f"{titles[name]}, reproduced", looks[name]) for name in models if name in looks),
    ]
    words = Words(title=TITLE, subtitle=str(settings.get("title") or ""), notes=notes, legend=legend)
    values = rows[["published", "reproduced", "ci_low", "ci_high"]].to_numpy(dtype=np.float64)
    limits = min(0.0, float(np.nanmin(values))) - 0.02, float(np.nanmax(values)) + 0.04
    panels = wrap([(model, condition) for model in models for condition in conditions])
    named = {
        panel: f"{titles[panel[0]]}: {condition_title(settings, panel[1])}" for row in panels for panel in row
    }
    header = title_height(named.values(), COLUMNS)
    with look():
        figure, grid = sheet([(len(row), header) for row in panels], 1.5, words)
        for row, line in zip(panels, grid, strict=True):
            for (model, condition), axes in zip(row, line, strict=True):
                own = rows[(rows["condition"] == condition) & (rows["model"] == model)]
                axes.set_ylim(*limits)
                _draw(axes, own, protocol, looks.get(model))
                title_panel(axes, named[model, condition])
                axes.tick_params(labelleft=axes is line[0])
            line[0].set_ylabel("Spearman correlation")
        grid[-1][0].set_xlabel(DEPTH_LABEL, x=0.0, ha="left")
        save(figure, output, title=TITLE, caption=f"{CAPTION} {notes[0]}", table=published)


def read_published(path: str | Path) -> pd.DataFrame:
    """Read published and reproduced scores; a DataError without a column, or without rows."""
    table = read_table(path, text=TEXT, columns=(*TEXT, *NUMBERS))
    if table.empty:
        raise DataError(f"{path}: there are no rows; expected the table that compare_published.py writes")
    return table.astype(dict.fromkeys(NUMBERS, np.float64))


def _draw(axes: Any, rows: pd.DataFrame, protocol: str, style: Style | None) -> None:
    published = rows.drop_duplicates("layer").sort_values("depth")
    axes.plot(published["depth"], published["published"], zorder=2, **PUBLISHED)
    if style:  # a model of the study
        own = rows[rows["protocol"] == protocol].sort_values("depth")
        own = own.assign(reproduced=own["reproduced"].where(own["status"] == "reproduced"))
        axes.fill_between(own["depth"], own["ci_low"], own["ci_high"], color=style.colour, alpha=0.18, lw=0)
        filled = {"markerfacecolor": style.colour, "markersize": 3, "zorder": 3}
        axes.plot(own["depth"], own["reproduced"], **style.line | filled)
    axes.set_xlim(-0.05, 1.05)
    depth_axis(axes)
