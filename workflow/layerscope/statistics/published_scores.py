"""The paper's tables (arXiv 2604.14838, CC BY 4.0) beside what a study reproduced.

The text places the trajectory optimum of Tahoe-X1 at "60% depth (layer 19)"; the table peaks at layer 16 of
24, which is 65% by the paper's own formula. The table is compared; the rows of both layers say so.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

import pandas as pd

from layerscope.tables import depth, read_table

LAYERS = {"scfoundation": 12, "tahoe_x1_1b": 24}
METRIC = "spearman"
NOT_RUN = "not run"
RUN = ["condition", "task", "model"]
DISCREPANCY = {
    ("cord_blood", "tahoe_x1_1b", "16"): "the table's peak: 65% depth; the paper's text says 60% (layer 19)",
    ("cord_blood", "tahoe_x1_1b", "19"): "the paper's text places the peak here (60%); its table at layer 16",
}
COLUMNS = (
    *("condition", "task", "model", "layer", "depth", "protocol", "published", "reproduced"),
    *("ci_low", "ci_high", "difference", "status", "reason"),
)


def published_scores() -> pd.DataFrame:
    """Scores of the paper: ``condition``, ``task``, ``model``, ``layer``, ``depth``, ``published``."""
    tables = []
    for task in ("trajectory", "perturbation"):
        with as_file(files("layerscope.statistics") / "published" / f"{task}.tsv") as path:
            table = read_table(path, text=("model", "condition", "layer"))
        tables.append(table.rename(columns={"rho": "published"}).assign(task=task))
    together = pd.concat(tables, ignore_index=True)
    together["layer"] = together["layer"].str.zfill(2)
    together["depth"] = [
        depth(layer, LAYERS[model]) for layer, model in zip(together["layer"], together["model"], strict=True)
    ]
    return together


def compare_published(scores: pd.DataFrame) -> pd.DataFrame:
    """Set the paper's scores beside a study's: one row per published score and protocol that was run for it.

    ``status`` is ``reproduced``, ``undefined`` or ``not_available`` (as the study says), or ``not run``, then
    without a protocol; ``difference`` is reproduced - published.
    """
    by_score = dict(iter(scores[scores["metric"] == METRIC].groupby([*RUN, "layer"], sort=False)))
    whole_runs = scores[(scores["metric"] == "") & (scores["status"] == "not_available")]
    reasons = whole_runs.groupby(RUN)["reason"].agg(lambda texts: "; ".join(dict.fromkeys(texts))).to_dict()
    rows = []
    for published in published_scores().to_dict("records"):
        run = tuple(published[name] for name in RUN)
        scored = by_score.get((*run, published["layer"]))
        if scored is None:
            reason = _reason(published, reasons.get(run, ""))
            rows.append({**published, "protocol": "", "status": NOT_RUN, "reason": reason})
        else:
            rows += _beside(published, scored)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _beside(published: dict[str, Any], ran: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            **published,
            "protocol": score["protocol"],
            "reproduced": score["estimate"],
            "ci_low": score["ci_low"],
            "ci_high": score["ci_high"],
            "difference": score["estimate"] - published["published"],
            "status": "reproduced" if score["status"] == "ok" else score["status"],
            "reason": _reason(published, score["reason"]),
        }
        for score in ran.sort_values("protocol").to_dict("records")
    ]


def _reason(published: dict[str, Any], reason: str) -> str:
    note = DISCREPANCY.get((published["condition"], published["model"], published["layer"]), "")
    return "; ".join(part for part in (note, reason) if part)
