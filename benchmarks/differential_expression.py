"""Time the vectorised DESeq2 fit beside PyDESeq2's own, and count where the two differ.

Both fit the same simulated pseudobulks jointly (one BLAS thread): 100 perturbations x 2 guides, and controls,
by 10,000 genes unless asked otherwise. Neither makes contrasts: fold changes come from the fit.

    python benchmarks/differential_expression.py --threads 4
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from pydeseq2.dds import DeseqDataSet  # noqa: E402
from pydeseq2.default_inference import DefaultInference  # noqa: E402

from layerscope.tasks.perturbation.differential_expression import fit  # noqa: E402
from layerscope.tasks.perturbation.inference import one_way_design  # noqa: E402


def simulate(n_perturbations: int, n_guides: int, n_controls: int, n_genes: int, seed: int) -> tuple:
    """Negative-binomial pseudobulks of heavy-tailed depth; a tenth of the genes respond to a perturbation."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_perturbations + 1), [n_controls, *[n_guides] * n_perturbations])
    base = np.exp(random.normal(3.0, 2.0, n_genes))
    dispersion = 0.03 + np.exp(random.normal(0, 0.5, n_genes)) / base
    changed = random.random((n_perturbations + 1, n_genes)) < 0.1
    change = random.normal(0, 0.8, changed.shape) * changed
    change[0] = 0
    size = np.exp(random.normal(0, 0.5, len(group)))
    mean = size[:, None] * base * np.exp(change)[group]
    counts = random.poisson(mean * random.gamma(1 / dispersion, dispersion, size=mean.shape))
    return counts[:, counts.sum(axis=0) >= 10], group


def fit_by_default(counts: np.ndarray, group: np.ndarray, threads: int) -> DeseqDataSet:
    """PyDESeq2's joint fit."""
    design = pd.DataFrame(one_way_design(group)).rename(index=str, columns=str)
    fitted = DeseqDataSet(
        counts=pd.DataFrame(counts).rename(index=str, columns=str),
        metadata=pd.DataFrame({"group": group.astype(str)}, index=design.index),
        design=design,
        inference=DefaultInference(n_cpus=threads),
        quiet=True,
    )
    fitted.deseq2()
    return fitted


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--perturbations", type=int, default=100)
    arguments.add_argument("--guides", type=int, default=2)
    arguments.add_argument("--controls", type=int, default=10, help="control samples")
    arguments.add_argument("--genes", type=int, default=10_000)
    arguments.add_argument("--threads", type=int, default=4, help="threads here, processes there")
    arguments.add_argument("--seed", type=int, default=0)
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Fit both ways and print what each took and where they differ."""
    warnings.simplefilter("ignore")
    args = parser().parse_args(argv)
    counts, group = simulate(args.perturbations, args.guides, args.controls, args.genes, args.seed)
    print(f"{counts.shape[0]} samples x {counts.shape[1]} genes, {args.threads} threads")
    fit(counts[:, :300], group, "ratio", args.threads)  # imports and caches are no part of the timing

    start = time.perf_counter()
    ours = fit(counts, group, "ratio", args.threads)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    theirs = fit_by_default(counts, group, args.threads)
    joint = time.perf_counter() - start
    print(f"vectorised {seconds:8.1f} s")
    print(f"PyDESeq2   {joint:8.1f} s   {joint / seconds:6.1f} x")

    converged = (theirs.var["_genewise_converged"] & theirs.var["_MAP_converged"]).to_numpy(bool)
    converged &= theirs.var["_LFC_converged"].to_numpy(bool)
    print(f"genes on which PyDESeq2 converged: {converged.sum()} of {len(converged)}")
    ratio = ours.dispersion / theirs.var["dispersions"].to_numpy() - 1
    change = np.abs(ours.log2_fold_change - theirs.varm["LFC"].to_numpy().T[1:] / np.log(2)).max(axis=0)
    for label, off, limit in (("dispersions", np.abs(ratio), 0.01), ("log2 fold changes", change, 1e-3)):
        beyond = int((off[converged] > limit).sum())
        print(f"{label}: largest difference {off[converged].max():.2g}; beyond {limit:g}: {beyond} genes")


if __name__ == "__main__":
    main()
