"""The table of queries: each objection to the paper, and the numbers of a study that answer it."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.statistics.choice import SIGNIFICANT


@dataclass(frozen=True)
class Query:
    """Numbers of an answer: ``value`` of some ``rows`` of a ``table``, group by group."""

    says: str
    table: str  # one of views.views
    value: str  # a column or an expression of columns; its interval is in VALUE_low and VALUE_high
    summary: str  # one of referee.SUMMARIES
    by: tuple[str, ...] = ()
    rows: str = ""  # what DataFrame.query reads; empty for all


@dataclass(frozen=True)
class Need:
    """Rows without which an answer is one in part, and what to configure to have them."""

    table: str
    rows: str
    configure: str


@dataclass(frozen=True, kw_only=True)
class Objection:
    """An objection and what answers it."""

    title: str
    file: str  # a table of the study, or ``report``
    column: str
    number: str  # how the values of the first query become one: a name that Series.agg knows
    queries: tuple[Query, ...]
    remark: str
    configure: str  # what to set where the first query finds no row
    needs: tuple[Need, ...] = ()
    still_open: str = ""  # whatever is run


TASK, CONDITION = ("task",), ("condition",)
RUN = ("task", "protocol")
CEILING = ("metric", "condition")
SCREEN = ("condition", "protocol")
CURVE = ("condition", "protocol", "model")
VARIED = ("variation", "task", "protocol", "condition")

PEAK = "task == 'trajectory' and gain_p_family.notna()"
HOLDS_60 = "best_depth_ci_low <= 0.6 and best_depth_ci_high >= 0.6"
SOME_GAIN = f"surest_p_family < {SIGNIFICANT} and surest_gain > 0"
SHARE = "resting and share.notna()"
BOTH = "study: protocols: perturbation: [paper, strict]"
SEEDS = "models: MODEL_untrained_1 to MODEL_untrained_5"
FIRST_AHEAD = "resting cells and a model with a first-layer advantage by protocol paper"
RESTING = Need("facts", "resting", "a condition of resting cells, its name ending in Rest")

OBJECTIONS = (
    Objection(
        title="Scores have no error bars",
        file="scores",
        column="ci_low, ci_high",
        number="mean",
        queries=(Query("with a 95% interval, of all scores", "scores", "has_interval", "share", RUN),),
        remark="diagnostics and variants of a metric have none by design; curves.tsv has intervals for all "
        "layers of a curve at once (simultaneous_low, simultaneous_high)",
        configure="a foundation model, and resampling: resamples",
    ),
    Objection(
        title="The significance of the peak at 60% depth is not stated",
        file="layers",
        column="gain_p_family, surest_p_family, best_depth, best_depth_ci_low, best_depth_ci_high",
        number="min",
        queries=(
            Query("p of the gain over the final layer", "layers", "gain_p_family", "range", CURVE, PEAK),
            Query(f"with a layer above it (p < {SIGNIFICANT})", "layers", SOME_GAIN, "share", (), PEAK),
            Query("depth of the best layer", "layers", "best_depth", "percentage", CURVE, PEAK),
            Query("whose interval holds 60%", "layers", HOLDS_60, "share", (), PEAK),
        ),
        remark="p is corrected for layers (max-T), and for models and conditions (Holm)",
        configure="a condition with task: trajectory, and a foundation model",
    ),
    Objection(
        title="No control for the scale of features",
        file="scores",
        column="estimate of the metrics ..._unit_norm, ..._centred",
        number="max",
        queries=(
            Query("change of a layer's score (median)", "varied", "change", "median", VARIED),
            Query("layers that leave their score's interval", "varied", "outside", "share", VARIED),
            Query("equal by construction, left out", "unvaried", "change", "count", VARIED),
        ),
        remark="what is not named here is not varied",
        configure="a foundation model; every protocol scores cells of unit length",
    ),
    Objection(
        title="No control for noise",
        file="ceilings",
        column="estimate, ci_low, ci_high (metric ceiling_by_...)",
        number="min",
        queries=(
            Query("the reference with itself in other cells", "split", "estimate", "interval", CONDITION),
            Query("in other guides or lanes", "ceilings", "estimate", "interval", CEILING),
            Query("with shuffled labels a score is, on average", "shuffled", "estimate", "mean"),
        ),
        remark="a score is divided by the first where its interval is above 0 (share_of_ceiling)",
        configure=BOTH,
    ),
    Objection(
        title="No control for the pretraining objective",
        file="layers",
        column="layers_above_untrained",
        number="mean",
        queries=(
            Query("curves with a layer above untrained weights", "controlled", "above", "share", TASK),
            Query("untrained networks of a model, at least", "facts", "fewest_untrained", "range"),
            Query("change with wrong gene identities (median)", "permuted", "change", "median", TASK),
        ),
        remark="each layer is compared with the mean of the untrained networks at it (max-T); these "
        "control for training, not for its objective, which nothing here varies alone",
        configure=SEEDS,
        needs=(
            Need("facts", "fewest_untrained >= 5", SEEDS),
            Need("permuted", "change.notna()", "models: MODEL_gene_permuted"),
        ),
        still_open="models of the same architecture and cells, pretrained with another objective",
    ),
    Objection(
        title="The first layer's advantage in resting cells is not tested against a harder task",
        file="curves",
        column="over_final, over_final_low, over_final_high (layer 01)",
        number="max",
        queries=(
            Query("layer 01 minus the final one", "strict_first", "over_final", "difference", CURVE),
            Query("by protocol paper", "paper_first", "over_final", "difference", CURVE),
            Query("an advantage by paper", "paper_first", "advantage", "share"),
            Query("which strict keeps", "strict_first", "over_final_low > 0", "share", (), "advantage"),
        ),
        remark="by protocol strict, layer and reference share no cell; intervals hold for all layers of a "
        "curve; the conditions are those whose name ends in Rest, or all",
        configure=f"a foundation model; {BOTH}",
        needs=(
            Need("paper_first", "over_final.notna()", BOTH),
            Need("paper_first", "advantage", FIRST_AHEAD),
            RESTING,
        ),
    ),
    Objection(
        title="The first layer's advantage in resting cells is not tested against an ablation of the input",
        file="scores",
        column="estimate of MODEL and MODEL_values_permuted (layer 01, task perturbation)",
        number="median",
        queries=(
            Query("what layer 01 loses", "ablated", "lost", "difference", CURVE, "resting"),
            Query("as a share of its score", "ablated", "share", "percentage", CURVE, SHARE),
            Query("shown to lose", "ablated", "lost_low > 0", "share", (), "resting"),
            Query("in other conditions", "ablated", "lost_low > 0", "share", (), "not resting"),
        ),
        remark="each cell's values are permuted among the genes that it expresses: a curve that loses needs "
        "how strongly genes are expressed, not only which; intervals are paired; shares are given where the "
        "score is above 0; the conditions are those whose name ends in Rest, or all",
        configure="a condition with task: perturbation; models: MODEL_values_permuted",
        needs=(Need("ablated", SHARE, "cells in which layer 01 scores above 0"), RESTING),
    ),
    Objection(
        title="Data splits are not given",
        file="layers",
        column="optimism, heldout_estimate",
        number="median",
        queries=(Query("optimism (median)", "layers", "optimism", "median", TASK, "optimism.notna()"),),
        remark="what the highest score of one half of the data loses on the other; halves are random, drawn "
        "by the seed of resampling; the report's choice is made from all data, this one from HALF",
        configure="resampling: splits",
    ),
    Objection(
        title="Cell numbers per state are not given",
        file="scores",
        column="n_cells",
        number="min",
        queries=(
            Query("cells scored, controls of a screen not counted", "primary", "n_cells", "range", SCREEN),
            Query("perturbations", "screens", "n_items", "range", SCREEN),
            Query("cells prepared, controls counted", "prepared", "cells", "range", CONDITION),
        ),
        remark="after each filter, by time, batch or perturbation: results/cells/CONDITION/summary.tsv; "
        "cells of each cell type: obs column cell_type of cells.h5ad beside it, in no table",
        configure="a condition, and a foundation model",
    ),
    Objection(
        title="Hyper-parameters are not given",
        file="report",
        column="How it was run: Configuration of the study",
        number="count",
        queries=(Query("settings printed, defaults included", "settings", "setting", "count"),),
        remark="those of baselines without settings are in config/README.md; seeds and versions beside them",
        configure="nothing: the report prints the configuration that it is given",
    ),
    Objection(
        title="Figures have no intervals",
        file="scores",
        column="ci_low, ci_high",
        number="mean",
        queries=(Query("drawn with one in TASK_PROTOCOL.svg", "primary", "has_interval", "share", RUN),),
        remark="layer_choice.svg marks the confidence set of layers; geometry.svg and alignment.svg show no "
        "intervals, nor do their tables",
        configure="a foundation model",
    ),
)
