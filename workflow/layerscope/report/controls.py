"""Objections that controls answer: scale and offset, training, the harder task, the ablation of the input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from layerscope.report.formats import number, percent, signed
from layerscope.report.outputs import KEY, Answer, Outputs
from layerscope.statistics.evidence import Measured, comparisons, stacked
from layerscope.statistics.evidence import Model as Scored
from layerscope.statistics.intervals import percentile_interval

SEEDS = 5
"""Untrained networks that make a band."""
FIRST = "01"
BOTH = "study: protocols: perturbation: [paper, strict]"
VARIATIONS = {"_centred": "centring", "_unit_norm": "cells of unit length"}
UNSEEN = "do not see"
"""What the reason of a varied score says that equals the score by construction."""


def feature_scale(study: Outputs) -> Answer | str:
    """Do scores hang on the scale or the offset of a layer?"""
    varied = _varied(study)
    tested = varied[~varied["reason"].str.contains(UNSEEN)]
    if tested.empty:
        return "a foundation model; every protocol scores cells of unit length"
    largest = tested.loc[tested["change"].abs().idxmax()]
    by_construction = varied[varied["reason"].str.contains(UNSEEN)]
    left_out = by_construction[["task", "protocol", "variation"]].drop_duplicates()
    words = [
        f"largest change: {largest['variation']}, {largest['condition']}, {largest['protocol']}, "
        f"{largest['model']} layer {largest['layer']}, from {_plain(largest['estimate_plain'])} to "
        f"{_plain(largest['estimate'])}",
        _hanging(tested),
    ]
    words += [
        f"median change of a layer's score with {name}: {_changes(rows)}"
        for name, rows in tested.groupby("variation", sort=True)
    ]
    if len(left_out):
        names = [" ".join(row) for row in left_out.itertuples(index=False)]
        words.append(f"equal by construction and left out: {', '.join(names)}")
    lacking = _lacking(study, varied)
    if lacking:
        words.append(f"without such a score: {', '.join(lacking)}")
    return Answer(
        says="; ".join(words),
        number=float(abs(largest["change"])),
        file=study.paths["scores"],
        column="estimate of the metrics ..._unit_norm, ..._centred",
    )


def _varied(study: Outputs) -> pd.DataFrame:
    """Varied scores of trained layers beside the scores that they vary."""
    rows = study.of_layers("foundation")
    found = []
    for ending, name in VARIATIONS.items():
        varied = rows[rows["metric"].str.endswith(ending)]
        varied = varied.assign(metric=varied["metric"].str.removesuffix(ending), variation=name)
        found.append(varied.merge(rows, on=[*KEY, "metric"], suffixes=("", "_plain")))
    both = pd.concat(found, ignore_index=True)
    return both.assign(change=both["estimate"] - both["estimate_plain"])


def _lacking(study: Outputs, varied: pd.DataFrame) -> list[str]:
    """Protocols in which a variation is not scored: those that centre by the control always, say."""
    runs = study.of_layers("foundation")[["task", "protocol"]].drop_duplicates().itertuples(index=False)
    there = set(varied[["task", "protocol", "variation"]].itertuples(index=False, name=None))
    return [
        f"{task} {protocol} {name}"
        for task, protocol in sorted(runs)
        for name in VARIATIONS.values()
        if (task, protocol, name) not in there
    ]


def _changes(rows: pd.DataFrame) -> str:
    """Median change in each condition, by task and protocol."""
    medians = rows.assign(change=rows["change"].abs()).groupby(["task", "protocol", "condition"])["change"]
    return ", ".join(
        f"{task} {protocol} {' '.join(f'{name[2]} {_plain(value)}' for name, value in group.items())}"
        for (task, protocol), group in medians.median().groupby(level=[0, 1])
    )


def _hanging(rows: pd.DataFrame) -> str:
    """Where most layers' varied score lies outside the interval of the score."""
    outside = (rows["estimate"] < rows["ci_low_plain"]) | (rows["estimate"] > rows["ci_high_plain"])
    share = outside.groupby([rows["variation"], rows["condition"], rows["protocol"]]).mean()
    names = [" ".join(map(str, name)) for name in share.index[share > 0.5]]
    where = ", ".join(names) if names else "nowhere"
    return f"the score hangs on it (most layers leave the 95% interval of their score): {where}"


def training(study: Outputs) -> Answer | str:
    """Does training explain the scores, or would any weights do?"""
    seeds: dict[str, int] = {}
    for model in study.models.values():
        if model.control == "untrained":
            seeds[model.of] = seeds.get(model.of, 0) + 1
    rows = study.layers[study.layers["untrained_same_layer_estimate"].notna()]
    if not seeds or rows.empty:
        return "models: MODEL_untrained_1 to MODEL_untrained_5"
    above = rows["layers_above_untrained"].fillna("") != ""
    by_task = above.groupby(rows["task"]).agg(["sum", "size"])
    fewest = min(seeds.values())
    permuted = study.lost_to("gene_permuted")
    missing = [] if fewest >= SEEDS else [f"models: MODEL_untrained_{fewest + 1} to MODEL_untrained_{SEEDS}"]
    missing += [] if len(permuted) else ["models: MODEL_gene_permuted"]
    missing.append("models of the same architecture and cells, pretrained with another objective")
    changes = (-permuted["lost"]).groupby(permuted["task"]).median()
    words = [
        f"curves with a layer above the mean of the untrained networks ({fewest} "
        f"seed{'s' if fewest > 1 else ''}) at the same layer, corrected for the number of layers: "
        + ", ".join(f"{task} {row['sum']} of {row['size']}" for task, row in by_task.iterrows())
    ]
    if len(changes):
        words.append(
            "genes given the wrong identity change the score of a layer (median) by "
            + ", ".join(f"{value:+.3f} ({task})" for task, value in changes.items())
        )
    words.append(
        "untrained weights control for training, not for its objective, which nothing here varies alone"
    )
    return Answer(
        says="; ".join(words),
        number=float(above.mean()),
        file=study.paths["layers"],
        column="layers_above_untrained",
        configure=", ".join(missing),
    )


def harder_task(study: Outputs) -> Answer | str:
    """Does the first layer keep its place where layer and reference share no cell?"""
    curves = study.curves
    if curves.empty:
        return f"a foundation model; {BOTH}"
    rows = curves[(curves["task"] == "perturbation") & (curves["layer"] == FIRST)]
    rows = rows[rows["over_final_low"].notna()]
    conditions = study.resting(rows.loc[rows["protocol"] == "strict", "condition"])
    if not conditions:
        return BOTH
    rows = rows[rows["condition"].isin(conditions)]
    strict, paper = rows[rows["protocol"] == "strict"], rows[rows["protocol"] == "paper"]
    ahead = paper[paper["over_final_low"] > 0]
    missing = []
    if paper.empty:
        missing.append(BOTH)
        words = ["without protocol paper it is not known whether there is an advantage to test"]
    elif ahead.empty:
        missing.append("resting cells and a model whose layer 01 is above the final one by protocol paper")
        words = [f"by protocol paper no curve has a first-layer advantage to be tested: {_over_final(paper)}"]
    else:
        kept = ahead.merge(strict, on=["condition", "model"])["over_final_low_y"] > 0
        words = [
            f"{len(ahead)} of {len(paper)} curves have a first-layer advantage by protocol paper "
            f"({_over_final(paper)}), of which {kept.sum()} keep it by protocol strict"
        ]
    words.append(f"by protocol strict, where layer and reference share no cell: {_over_final(strict)}")
    if not study.is_resting(conditions[0]):
        words.append("no name of a condition ends in Rest: all are given")
        missing.append("a condition of resting cells, its name ending in Rest")
    return Answer(
        says="layer 01 minus the final one (intervals for all layers at once): " + "; ".join(words),
        number=float(strict["over_final"].max()),
        file=study.paths["curves"],
        column="over_final, over_final_low, over_final_high (layer 01)",
        configure=", ".join(missing),
    )


def _over_final(rows: pd.DataFrame) -> str:
    return ", ".join(
        f"{row['condition']} {row['model']} {signed(row['over_final'])} "
        f"({_plain(row['over_final_low'])} to {_plain(row['over_final_high'])})"
        for _, row in rows.iterrows()
    )


@dataclass(frozen=True)
class _Loss:
    """What layer 01 of a model loses to a control, with paired intervals; shares may be NaN."""

    name: str
    condition: str
    before: float
    lost: float
    interval: tuple[float, float]
    share: float
    share_interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = (_plain(bound) for bound in self.interval)
        words = f"{self.name} {signed(self.lost)} ({low} to {high}) of {_plain(self.before)}"
        if np.isnan(self.share):
            return words
        least, most = (percent(bound) for bound in self.share_interval)
        return f"{words}, {percent(self.share)} ({least} to {most})"


def ablation(study: Outputs) -> Answer | str:
    """What is left of the first layer's score where values are dealt out among the expressed genes?"""
    if not any(model.control == "values_permuted" for model in study.models.values()):
        return "models: MODEL_values_permuted"
    losses = list(_losses(study))
    conditions = study.resting(pd.Series([loss.condition for loss in losses], dtype=str))
    if not losses:
        return "a condition with task: perturbation; models: MODEL_values_permuted"
    here = [loss for loss in losses if loss.condition in conditions]
    elsewhere = [loss for loss in losses if loss.condition not in conditions]
    words = [f"{_verdict(here)}: {', '.join(map(str, here))}"]
    if elsewhere:
        words.append(f"in other conditions {_verdict(elsewhere)}")
    missing = []
    if all(np.isnan(loss.share) for loss in here):
        missing.append("cells in which layer 01 scores above 0: only there is something to lose")
    if not study.is_resting(conditions[0]):
        words.append("no name of a condition ends in Rest: all are given")
        missing.append("a condition of resting cells, its name ending in Rest")
    return Answer(
        says="with each cell's values dealt out among the genes that it expresses, layer 01 loses (paired "
        "95% intervals; its share where the score itself is above 0): " + "; ".join(words),
        number=float(np.median([loss.lost for loss in here])),
        file=study.paths["scores"],
        column="estimate of MODEL and MODEL_values_permuted (layer 01, task perturbation)",
        configure=", ".join(missing),
    )


def _verdict(losses: list[_Loss]) -> str:
    """In how many curves there is a score to lose, and a loss is shown."""
    scored = sum(not np.isnan(loss.share) for loss in losses)
    shown = sum(loss.interval[0] > 0 for loss in losses)
    words = f"of {len(losses)} curves {scored} score above 0 and {shown} are shown to lose"
    if not shown:
        return f"{words}, so none is shown to need how strongly genes are expressed"
    return f"{words}: these need how strongly genes are expressed, not only which"


def _losses(study: Outputs) -> Iterator[_Loss]:
    """Losses of layer 01 in the perturbation task, where bootstrap values of both are stored."""
    models = {
        name: Scored(name, model.kind, model.n_layers, model.control or None, model.of or None)
        for name, model in study.models.items()
        if model.kind == "foundation" or model.control == "values_permuted"
    }
    rows = study.scores[(study.scores["task"] == "perturbation") & (study.scores["layer"] == FIRST)]
    wanted = [path for path in study.resamples if _is_wanted(path, models)]
    for one in comparisons(rows, wanted, models):
        for control in models.values():
            trained = one.get(control.of, FIRST) if control.of else None
            permuted = one.get(control.name, FIRST)
            if trained is not None and permuted is not None:
                values = stacked([trained, permuted])
                if values is not None:
                    name = f"{one.condition} {one.protocol} {trained.model}"
                    yield _loss(name, one.condition, trained, permuted, values)


def _is_wanted(path: str, models: dict[str, Scored]) -> bool:
    task, _, _, model, name = Path(path).parts[-5:]
    return task == "perturbation" and model in models and name == f"layer_{FIRST}.npz"


def _loss(name: str, condition: str, trained: Measured, permuted: Measured, values: np.ndarray) -> _Loss:
    before, after = values.T
    share, shares = np.nan, (np.nan, np.nan)
    if trained.ci_low > 0:
        share, shares = 1 - permuted.estimate / trained.estimate, percentile_interval(1 - after / before)
    return _Loss(
        name=name,
        condition=condition,
        before=trained.estimate,
        lost=trained.estimate - permuted.estimate,
        interval=percentile_interval(before - after),
        share=share,
        share_interval=shares,
    )


def _plain(value: float) -> str:
    """A number with three decimals, never ``-0.000``."""
    return number(round(value, 3) + 0.0)
