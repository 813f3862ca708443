"""Where simulated cells say what is true: does the layer that scores highest hold the truth best?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from layerscope.figures.wording import condition_order
from layerscope.report.grid import Finding, Source, grid_of
from layerscope.statistics.trust import most_trusted
from layerscope.tasks.catalogue import TASKS

LABELS = {"best": "its agreement", "highest": "its agreement", "highest_layer": "layer of highest score"}
MEANINGS = {
    "protocol": "the most trusted one that compares with the truth",
    "best_layer": "the block that agrees best with the truth",
    "highest_layer": "the block with the highest score",
    "final": "agreement of the last block",
    "lost": "the best agreement minus that of the block with the highest score",
}


def truth(
    scores: pd.DataFrame, layers: pd.DataFrame, settings: Mapping[str, Any], source: Source
) -> Finding | None:
    """Compare the layer with the highest score with the one that is best by the truth; None without truth."""
    compared = list(_compared(scores, layers, settings))
    if not compared:
        return None
    # a row names the line of the block that is best by the truth
    table = pd.DataFrame([row for _, row in compared], index=[line for line, _ in compared])
    hit, lost = (table["lost"] == 0).sum(), table["lost"]
    words = (
        f"The block with the highest score is the one that agrees best with the truth in {hit} of "
        f"{len(table)} rows; what its choice loses in agreement is {lost.min():.3f} to {lost.max():.3f}."
    )
    grid = grid_of(
        table,
        key="truth-table",
        caption="Agreement of layers with the truth (95% intervals in small type)",
        source=source,
        labels=LABELS,
        meanings=MEANINGS,
    )
    return Finding(words, grid)


def _compared(
    scores: pd.DataFrame, layers: pd.DataFrame, settings: Mapping[str, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Agreement with the truth of a model's layers in a condition, with the line of the best."""
    measured = scores[scores["status"] == "ok"]
    chosen = layers[layers["best_layer"] != ""]
    for condition in condition_order(settings, chosen["condition"]):
        here = chosen[chosen["condition"] == condition]
        task = here["task"].iloc[0]
        for metric, label in (TASKS[task].truth if task in TASKS else {}).items():
            rows = measured[(measured["condition"] == condition) & (measured["metric"] == metric)]
            known = here[here["protocol"].isin(set(rows["protocol"]))]
            if known.empty:
                continue
            protocol = most_trusted(known["protocol"])
            for _, choice in known[known["protocol"] == protocol].iterrows():
                own = rows[(rows["protocol"] == protocol) & (rows["model"] == choice["model"])]
                blocks = own[own["layer"].str.fullmatch(r"\d+") & (own["layer"] != "00")]
                by_layer = {row["layer"]: row for _, row in blocks.iterrows()}
                if {choice["best_layer"], choice["final_layer"]} <= set(by_layer):
                    best = blocks.loc[blocks["estimate"].idxmax()]
                    highest = by_layer[choice["best_layer"]]
                    yield (
                        int(best.name),
                        {
                            "condition": condition,
                            "model": choice["model"],
                            "truth": label,
                            "protocol": protocol,
                            "best_layer": best["layer"],
                            **_agreement("best", best),
                            "highest_layer": highest["layer"],
                            **_agreement("highest", highest),
                            **_agreement("final", by_layer[choice["final_layer"]]),
                            "lost": best["estimate"] - highest["estimate"],
                        },
                    )


def _agreement(name: str, row: Mapping[str, Any]) -> dict[str, float]:
    return {name: row["estimate"], f"{name}_ci_low": row["ci_low"], f"{name}_ci_high": row["ci_high"]}
