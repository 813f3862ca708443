"""Tables of a study that was never run, shaped like real ones: for the tests of figures and report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from layerscope.statistics.published_scores import compare_published
from layerscope.tables import OFFICIAL, Score, depth, layer_names

BASELINES = ("hvg_pca", "rank_normal_pca", "hellinger_svd", "log_all_genes", "qc_only")
TASKS = {
    "simulated_differentiation": "trajectory",
    "D1_Rest": "perturbation",
    "D1_Stim8hr": "perturbation",
    "D1_Stim48hr": "perturbation",
}
FOUNDATION = {"scfoundation": 12, "tahoe_x1_1b": 24}


def settings(foundation: dict[str, int] | None = None, seeds: int = 5) -> dict[str, Any]:
    """Settings as the workflow gives them."""
    foundation = foundation or FOUNDATION
    models: dict[str, Any] = {}
    for name, n_layers in foundation.items():
        models[name] = {
            "kind": "foundation",
            "family": name.rsplit("_", 1)[0],
            "layers": n_layers,
            "title": name.replace("_", " ").title(),
            "trained_on": "about 50 million human cells, by its authors",
            "licence": "Apache-2.0",
        }
    for name, n_layers in foundation.items():
        for seed in range(1, seeds + 1):
            models[f"{name}_untrained_{seed}"] = {
                "kind": "control",
                "control": "untrained",
                "of": name,
                "seed": seed,
                "layers": n_layers,
            }
    models |= {name: {"kind": "baseline", "family": name} for name in BASELINES}
    return {
        "title": "An example study: a table of numbers that were never measured",
        "models": models,
        "conditions": {
            name: {
                "title": name.replace("_", " "),
                "task": task,
                "dataset": "simulated_cells" if name.startswith("simulated") else "cd4_perturbseq",
                "dataset_title": "Simulated cells"
                if name.startswith("simulated")
                else "CD4+ T cells, CRISPRi screen",
                "citation": "" if name.startswith("simulated") else "Zhu et al. 2025",
                "licence": "MIT" if name.startswith("simulated") else "as the owners state for the bucket",
            }
            for name, task in TASKS.items()
        },
        "simulated": {name: name.startswith("simulated") for name in TASKS},
    }


def scores(
    foundation: dict[str, int] | None = None, seeds: int = 5, tasks: dict[str, str] | None = None
) -> list[Score]:
    """Score rows of every model, layer and condition; two layers and one baseline have none."""
    foundation = foundation or FOUNDATION
    rows: list[Score] = []
    for c, (condition, task) in enumerate((tasks or TASKS).items()):
        for m, (model, n_layers) in enumerate(foundation.items()):
            peak = (0.65, 0.05, 0.35, 0.95)[c % 4] + 0.03 * m
            rows += _curve(
                condition, task, model, n_layers, peak, 0.42 + 0.3 * (c == 0) - 0.015 * m, c * 100 + m
            )
            for seed in range(1, seeds + 1):
                rows += _curve(
                    condition,
                    task,
                    f"{model}_untrained_{seed}",
                    n_layers,
                    0.0,
                    0.16 + 0.03 * m,
                    c * 100 + 10 * m + seed,
                )
        for b, baseline in enumerate(BASELINES):
            rows += _curve(
                condition, task, baseline, 0, 0.0, (0.44, 0.43, 0.35, 0.31, 0.04)[b] + 0.2 * (c == 0), c + b
            )
    return [_without(row) for row in rows]


def _curve(
    condition: str, task: str, model: str, n_layers: int, peak: float, top: float, seed: int
) -> list[Score]:
    rng = np.random.default_rng([7, seed])
    rows = []
    for layer in layer_names(n_layers):
        at = depth(layer, n_layers)
        where = {"00": -0.15, OFFICIAL: 1.0}.get(layer, at)
        estimate = top - 0.25 * (where - peak) ** 2 + rng.normal(0, 0.012) if n_layers else top
        half = 0.035 + 0.02 * rng.random()
        rows.append(
            Score(
                condition=condition,
                model=model,
                layer=layer,
                depth=at,
                task=task,
                protocol="paper",
                metric="spearman",
                estimate=estimate,
                ci_low=estimate - half,
                ci_high=estimate + half,
                n_cells=24885 if task == "trajectory" else 61234,
                n_items=24885 if task == "trajectory" else 100,
                seed=1,
                reason="reference computed on hvg_pca" if task == "trajectory" else "",
            )
        )
    return rows


def _without(row: Score) -> Score:
    gone = (row.condition, row.model) == ("D1_Rest", "scfoundation") and row.layer in ("05", "06")
    if gone or (row.condition, row.model) == ("D1_Stim8hr", "log_all_genes"):
        reason = "the layer is constant: no correlation exists" if gone else "needs raw counts"
        fields = ("estimate", "ci_low", "ci_high")
        blank = {name: float("nan") for name in fields}
        return Score(
            **{**row.__dict__, **blank, "status": "undefined" if gone else "not_available", "reason": reason}
        )
    return row


def layers(rows: list[Score] | None = None, foundation: dict[str, int] | None = None) -> pd.DataFrame:
    """The choice of a layer, with the columns of ``layers.tsv``: the numbers are those of the score rows."""
    table = pd.DataFrame([row.__dict__ for row in rows or scores(foundation)])
    table = table[table["status"] == "ok"]
    found = []
    for condition, task in TASKS.items():
        here = table[table["condition"] == condition]
        if here.empty:
            continue
        for model, n_layers in (foundation or FOUNDATION).items():
            own = here[here["model"] == model].set_index("layer")
            blocks = own.drop(index=["00", OFFICIAL])
            best, final = blocks["estimate"].idxmax(), f"{n_layers:02d}"
            baseline = here[here["model"].isin(BASELINES)].nlargest(1, "estimate").iloc[0]
            control = here[here["model"].str.startswith(f"{model}_untrained")].nlargest(1, "estimate").iloc[0]
            gain = own.loc[best, "estimate"] - own.loc[final, "estimate"]
            like = blocks.index[blocks["estimate"] > own.loc[best, "estimate"] - 0.03]
            row = {
                "condition": condition,
                "task": task,
                "protocol": "paper",
                "metric": "spearman",
                "model": model,
            }
            row |= {"n_layers": n_layers, "status": "ok", "reason": "", "best_layer": best}
            row |= {"best_depth": own.loc[best, "depth"], **_three("best", own.loc[best])}
            row |= {"final_layer": final, **_three("final", own.loc[final]), **_three("first", own.loc["01"])}
            row |= {**_three("embedding_layer", own.loc["00"]), **_three("official", own.loc[OFFICIAL])}
            row |= {"gain": gain, "gain_ci_low": gain - 0.03, "gain_ci_high": gain + 0.03}
            p = 0.01 if gain > 0.05 else 0.4
            row |= {"gain_p": p, "gain_p_family": p, "surest_layer": best, "surest_p_family": p}
            row |= {"best_depth_ci_low": 0.0, "best_depth_ci_high": 1.0, "confidence_set": ",".join(like)}
            row |= {"heldout_gain": gain - 0.01, "optimism": 0.02}
            row |= {"best_baseline": baseline["model"], **_three("best_baseline", baseline)}
            row |= {"best_untrained": control["model"], "best_untrained_layer": control["layer"]}
            row |= _three("best_untrained", control)
            row["recommendation"] = (
                f"For {condition}, use layer {best} of {n_layers} ({row['best_depth']:.0%} depth) of {model}"
                f": it scores {row['best_estimate']:.2f}, {gain:+.2f} against the final layer. "
                f"The baseline {row['best_baseline']} does as well ({row['best_baseline_estimate']:.2f}). "
                f"Untrained weights reach {control['estimate']:.2f} at layer {control['layer']}."
            )
            found.append(row)
    return pd.DataFrame(found)


def _three(name: str, row: pd.Series) -> dict[str, float]:
    return {
        f"{name}_estimate": row["estimate"],
        f"{name}_ci_low": row["ci_low"],
        f"{name}_ci_high": row["ci_high"],
    }


def published(rows: list[Score] | None = None) -> pd.DataFrame:
    """The paper's scores beside those of the example."""
    return compare_published(pd.DataFrame([row.__dict__ for row in rows or scores()]))


def summary(groups: int = 3) -> pd.DataFrame:
    """Cells before and after each filter, as preparing cells writes it."""
    rows = []
    cells = 26012
    for step, name, threshold, lost in (
        ("quality", "min_genes_per_cell", 200, 611),
        ("quality", "max_mitochondrial_percent", 20, 402),
        ("selection", "cells_per_perturbation", 600, 0),
    ):
        for group in ["all", *(f"batch={k}" for k in range(1, groups + 1))]:
            share = 1 if group == "all" else groups
            row = {"step": step, "filter": name, "threshold": threshold, "group": group}
            row |= {"cells_before": cells // share, "cells_after": (cells - lost) // share}
            rows.append(row | {"genes_before": 18129, "genes_after": 18129, "remark": ""})
        cells -= lost
    return pd.DataFrame(rows)
