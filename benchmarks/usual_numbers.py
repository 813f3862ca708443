"""What the usual numbers say of measured cells, with true labels and with labels that mean nothing.

Prints the table of ``docs/usual_numbers.md``: of every trap what is usual, with the true labels and with
shuffled (reversed, dealt) ones, and what layerscope says of the same cells and the same layer::

    python benchmarks/usual_numbers.py --data FOLDER [--traps cells order ...]

The folder holds the cells: ``norman_mcfaline_counts.h5ad``, ``worm_embryo_time.h5ad``,
``glioblastoma_panobinostat.h5ad``, ``pbmc_three_chemistries.h5ad`` and ``papalexi_lowmoi_counts.h5ad``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import layerscope as ls
from layerscope.tasks.integration.neighbours import nearest_neighbours
from layerscope.tasks.integration.silhouettes import all_distances, silhouette_batch
from layerscope.tasks.response.cell_level import cell_level_pearson
from layerscope.tasks.response.targets import folds_of, targets_of

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]
Row = tuple[str, str, str, str]
"""What is measured; with true labels; with labels that mean nothing; what layerscope says."""
N_COMPONENTS = 50
NEIGHBOURS = 15
LABEL = "label"


def log_expression(cells: anndata.AnnData) -> Floats:
    """Log counts per 10,000, of all genes where their totals are known."""
    counts = cells.X.toarray().astype(np.float64)
    totals = cells.obs.get("total_counts_all_genes")
    totals = counts.sum(axis=1) if totals is None else totals.to_numpy(dtype=np.float64)
    return np.asarray(np.log1p(1e4 * counts / totals[:, None]))


def components(expression: Floats, n: int = N_COMPONENTS) -> Floats:
    """Principal components of the cells, the layer of every trap."""
    left, lengths, _ = np.linalg.svd(expression - expression.mean(axis=0), full_matrices=False)
    return np.asarray((left * lengths)[:, :n])


def scores(cells: anndata.AnnData, layer: Floats, task: str, **how: Any) -> pd.DataFrame:
    """The rows of layerscope by metric."""
    return ls.score(cells, {"PCA": layer}, task=task, **how).table.set_index("metric")


def said(row: pd.Series) -> str:
    """A score with what it is for labels that mean nothing, or why there is none."""
    metric = row.get("metric", row.name)
    if row["status"] != "ok":
        return f"{row['status']}: {row['reason']}"
    if np.isnan(row["null_mean"]):
        complete = f" of {row['ceiling']:.0f}" if np.isfinite(row["ceiling"]) else ""
        return f"`{metric}` {row['estimate']:.2f}{complete}"
    p_value = "" if np.isnan(row["p_value"]) else f", p {row['p_value']:.2g}"
    return f"`{metric}` {row['estimate']:.2f} (null {row['null_mean']:.2f}{p_value})"


def k562(data: Path) -> tuple[anndata.AnnData, Floats]:
    """K562 cells of 33 perturbations and a control, as log expression, and their components."""
    measured = anndata.read_h5ad(data / "norman_mcfaline_counts.h5ad")
    measured = measured[measured.obs["cell_type"] == "k562"]
    expression = log_expression(measured)
    labels = measured.obs["perturbation"].astype(str).to_numpy()
    obs = pd.DataFrame({"perturbation": labels, "is_control": labels == "control"}, index=measured.obs_names)
    var = pd.DataFrame({"symbol": measured.var_names.to_numpy()}, index=measured.var_names)
    cells = anndata.AnnData(sparse.csr_matrix(expression.astype(np.float32)), obs, var)
    return cells, components(expression)


def decoded_from_themselves(cells: anndata.AnnData, layer: Floats, labels: Texts) -> float:
    """Pearson correlation over held-out cells and genes of each cell's change, decoded from the same cell."""
    names = ["control", *sorted(set(labels) - {"control"})]
    item = np.array([names.index(label) for label in labels])
    expression = cells.X.toarray().astype(np.float64)
    change = expression - expression[item == 0].mean(axis=0)
    folds = folds_of(targets_of(names[1:], set(cells.var["symbol"])), 5)
    return cell_level_pearson(layer, change, item, folds)


def cells_from_themselves(data: Path) -> Iterator[Row]:
    """Effects decoded from the cells that show them: single cells, and their means."""
    cells, layer = k562(data)
    labels = cells.obs["perturbation"].to_numpy(dtype=object)
    shuffled = np.random.default_rng(0).permutation(labels)
    how = {"values": "log_normalised", "gene_scale": "none", "cells_per_perturbation": 80}
    rows = scores(cells, layer, "response", **how)
    same = rows.loc["decoding_r2_same_cells"]
    yield (
        "Pearson correlation of decoded with measured change, over single cells and genes",
        f"{decoded_from_themselves(cells, layer, labels):.2f}",
        f"{decoded_from_themselves(cells, layer, shuffled):.2f}",
        said(rows.loc["decoding_r2"]),
    )
    yield (
        "R2 of effects over the mean effect, layer and genes of the same cells",
        f"{same['estimate']:.2f}",
        f"{same['null_mean']:.2f}",
        said(rows.loc["decoding_r2"]),
    )


def mean_effect_pearson(expression: Floats, labels: Texts) -> float:
    """Pearson correlation over genes of each effect with the mean effect of all other perturbations."""
    names = [name for name in np.unique(labels) if name != "control"]
    control = expression[labels == "control"].mean(axis=0)
    effects = np.array([expression[labels == name].mean(axis=0) - control for name in names])
    others = (effects.sum(axis=0) - effects) / (len(effects) - 1)
    return float(np.mean([np.corrcoef(pair)[0, 1] for pair in zip(effects, others, strict=True)]))


def one_control_mean(data: Path) -> Iterator[Row]:
    """A prediction that knows no perturbation, correlated with effects that share one control mean."""
    cells, _ = k562(data)
    expression = cells.X.toarray().astype(np.float64)
    labels = cells.obs["perturbation"].to_numpy(dtype=object)
    random = np.random.default_rng(0)
    shuffled = [mean_effect_pearson(expression, random.permutation(labels)) for _ in range(10)]
    yield (
        "Pearson correlation with the change from control, of the other perturbations' mean effect",
        f"{mean_effect_pearson(expression, labels):.2f}",
        f"{np.mean(shuffled):.2f}",
        "R2 over the mean effect: 0 by definition",
    )


def sequential_ordering(layer: Floats, times: Floats) -> float:
    """1 - mean difference in time of neighbours / that of random cells, from 0 to 1."""
    near = nearest_neighbours(layer, NEIGHBOURS + 1).cells
    of_any = np.abs(times[:, None] - times).mean()
    return float(np.clip(1 - np.abs(times[:, None] - times[near]).mean() / of_any, 0, 1))


def worm(data: Path) -> tuple[anndata.AnnData, Floats]:
    """Cells of embryos at 300, 400 and 500 minutes, and their components."""
    cells = anndata.read_h5ad(data / "worm_embryo_time.h5ad")
    cells = cells[cells.obs["time_point"] != "mixed"].copy()
    cells.obs["minutes"] = cells.obs["time_point"].astype(str).str[:3].astype(float)
    return cells, components(log_expression(cells), 30)


def order_of_times(data: Path) -> Iterator[Row]:
    """The order of times, told by how alike the times of neighbours are."""
    cells, layer = worm(data)
    minutes = cells.obs["minutes"]
    true = f"{sequential_ordering(layer, minutes.to_numpy()):.3f}"
    ours = said(scores(cells, layer, "time", time="minutes", batch="batch").loc["tau"])
    for words, others in (("reversed", (500, 400, 300)), ("as 400, 300, 500", (400, 300, 500))):
        renamed = minutes.map(dict(zip((300, 400, 500), others, strict=True))).to_numpy(dtype=np.float64)
        measured = f"likeness of neighbours' times, worm at 300, 400, 500 minutes; {words}"
        yield measured, true, f"{sequential_ordering(layer, renamed):.3f}", ours


def glioblastoma(data: Path) -> tuple[anndata.AnnData, Floats]:
    """Cells of five donors, each with and without drug, and their components."""
    cells = anndata.read_h5ad(data / "glioblastoma_panobinostat.h5ad")
    return cells, components(log_expression(cells))


def probe_f1(layer: Floats, labels: npt.NDArray[Any], donors: npt.NDArray[Any] | None = None) -> float:
    """Macro F1 of logistic regression, by five random folds of cells or with each donor held out."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0) if donors is None else LeaveOneGroupOut()
    named = cross_val_predict(probe, layer, labels, groups=donors, cv=folds)
    return float(f1_score(labels, named, average="macro"))


def dealt_to_donors(donors: npt.NDArray[Any]) -> list[npt.NDArray[np.bool_]]:
    """All ways to tell two of the donors from the others, which mean nothing."""
    return [np.isin(donors, pair) for pair in combinations(np.unique(donors), 2)]


def labels_of_donors(data: Path) -> Iterator[Row]:
    """A label that means nothing but that donors have one, and one of samples."""
    cells, layer = glioblastoma(data)
    donors = cells.obs["donor"].astype(str).to_numpy()
    dealt = dealt_to_donors(donors)
    drug = (cells.obs["condition"] == "panobinostat").to_numpy()
    cells.obs["nonsense"] = np.where(dealt[0], "a", "b")
    ours = {column: said_of_label(cells, layer, column) for column in ("nonsense", "condition")}
    for folds, groups in (("random folds of cells", None), ("donors held out", donors)):
        nonsense = np.mean([probe_f1(layer, labels, groups) for labels in dealt])
        yield f"macro F1 of a label dealt to donors, {folds}", "none", f"{nonsense:.2f}", ours["nonsense"]
        true = f"{probe_f1(layer, drug, groups):.2f}"
        swapped = np.mean([probe_f1(layer, drug ^ labels, groups) for labels in dealt])
        yield (
            f"macro F1 of the drug, {folds}; swapped in two donors",
            true,
            f"{swapped:.2f}",
            ours["condition"],
        )


def said_of_label(cells: anndata.AnnData, layer: Floats, column: str) -> str:
    """The primary row of the labels of a column."""
    how: dict[str, Any] = {"label": column, "donor": "donor", "sample": "sample"}
    return said(ls.score(cells, {"PCA": layer}, task=LABEL, **how).primary.iloc[0])


def ages_of_donors(data: Path) -> Iterator[Row]:
    """Times that donors have: neighbours are of one donor whatever its time."""
    cells, layer = glioblastoma(data)
    donor = pd.factorize(cells.obs["donor"])[0]
    age = cells.obs.groupby(donor)["age"].first().to_numpy(dtype=np.float64)
    random = np.random.default_rng(0)
    dealt = [sequential_ordering(layer, random.permutation(age)[donor]) for _ in range(20)]
    yield (
        "likeness of neighbours' ages, five donors; ages dealt among donors",
        f"{sequential_ordering(layer, age[donor]):.3f}",
        f"{np.mean(dealt):.3f}",
        said(scores(cells, layer, "time", time="age", donor="donor").loc["tau"]),
    )


def unmixed_batches(data: Path) -> Iterator[Row]:
    """Three chemistries that nothing has mixed, and layers that hold nothing to be mixed."""
    cells = anndata.read_h5ad(data / "pbmc_three_chemistries.h5ad")
    layer = components(log_expression(cells), 20)
    how = {"batch": "technology", "cell_type": "cell_type"}
    rows = scores(cells, layer, "integration", **how)
    for metric, measured in (
        ("silhouette_batch", "silhouette of batches (1 is mixed)"),
        ("ilisi", "iLISI (1 is mixed)"),
        ("batch_probe_accuracy", "share of cells whose batch a probe names"),
    ):
        true, dealt = rows.loc[metric, "estimate"], rows.loc[metric, "null_mean"]
        yield f"{measured}; dealt within types", f"{true:.3f}", f"{dealt:.3f}", said_of_both(rows)
    noise = np.random.default_rng(0).normal(size=layer.shape)
    rows = scores(cells, noise, "integration", **how)
    row = rows.loc["silhouette_batch"]
    measured = "the same silhouette, of random numbers as the layer"
    yield measured, f"{row['estimate']:.3f}", f"{row['null_mean']:.3f}", said_of_both(rows)
    constant = np.ones_like(layer)
    batch = pd.factorize(cells.obs["technology"])[0]
    parts = list(cells.obs.groupby("cell_type", observed=True).indices.values())
    distances = [all_distances(constant[part], "euclidean") for part in parts]
    of_constant = f"{silhouette_batch(distances, [batch[part] for part in parts]):.3f}"
    ours = said(scores(cells, constant, "integration", **how).loc["mixing"])
    yield "the same silhouette, of a constant layer", of_constant, of_constant, ours


def said_of_both(rows: pd.DataFrame) -> str:
    """Mixing and biology, which are two questions."""
    return f"{said(rows.loc['mixing'])}; {said(rows.loc['biology'])}"


def shared_cells(data: Path) -> Iterator[Row]:
    """Similarities of perturbations in a layer and on genes, from the same cells."""
    screen = anndata.read_h5ad(data / "papalexi_lowmoi_counts.h5ad")
    how: dict[str, Any] = {"perturbation": "target", "guide": "guide_id", "control": ["non-targeting"]}
    layer = np.asarray(ls.embed(screen, "hellinger_svd", **how)["official"], dtype=np.float64)
    copies = [with_shuffled_labels(screen, ["target", "guide_id"], "replicate", seed) for seed in range(3)]
    rows = {
        protocol: [
            scores(cells, layer, "perturbation", protocol=protocol, **how) for cells in (screen, *copies)
        ]
        for protocol in ("paper", "strict")
    }
    values = {protocol: [of.loc["spearman", "estimate"] for of in every] for protocol, every in rows.items()}
    yield (
        "Spearman correlation of similarities from the same cells (protocol `paper`, `hellinger_svd`)",
        f"{values['paper'][0]:.2f}",
        listed(values["paper"][1:]),
        f"{said(rows['strict'][0].loc['spearman'])}; of the shuffled labels {listed(values['strict'][1:])}",
    )


def with_shuffled_labels(
    cells: anndata.AnnData, columns: list[str], within: str, seed: int
) -> anndata.AnnData:
    """A copy whose labels are shuffled, together, among the cells of each group."""
    random, order = np.random.default_rng(seed), np.arange(cells.n_obs)
    for members in cells.obs.groupby(within, observed=True).indices.values():
        order[members] = random.permutation(members)
    obs = cells.obs.copy()
    for column in columns:
        obs[column] = cells.obs[column].to_numpy()[order]
    return anndata.AnnData(cells.X, obs, cells.var)


def listed(values: Sequence[float]) -> str:
    """Numbers of two digits."""
    return ", ".join(f"{value:.2f}" for value in values)


TRAPS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "cells": cells_from_themselves,
    "control": one_control_mean,
    "order": order_of_times,
    "ages": ages_of_donors,
    "donors": labels_of_donors,
    "batches": unmixed_batches,
    "shared": shared_cells,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the measured cells")
    parser.add_argument("--traps", nargs="*", choices=TRAPS, default=list(TRAPS))
    args = parser.parse_args(argv)
    print("| trap | what is measured | true labels | labels that mean nothing | layerscope |")
    print("|---|---|---|---|---|")
    for trap in args.traps:
        for row in TRAPS[trap](args.data):
            print("|", " | ".join([trap, *row]), "|", flush=True)


if __name__ == "__main__":
    main()
