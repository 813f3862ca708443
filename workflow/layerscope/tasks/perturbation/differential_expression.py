"""Log fold changes of every perturbation against the control: one joint DESeq2 fit of ``~ perturbation``.

Love, Huber and Anders 2014, through PyDESeq2. Perturbations share the size factors and, gene by gene, the
dispersion. That is what makes two guides enough: a fit of one pair has two or three residual degrees of
freedom, the joint fit has samples minus groups.
"""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pydeseq2
from numpy.typing import NDArray
from pydeseq2.dds import DeseqDataSet
from threadpoolctl import threadpool_limits

from layerscope import __version__
from layerscope.arrays import Floats
from layerscope.cells.h5ad_file import open_h5ad
from layerscope.errors import DataError, NotAvailableError
from layerscope.files import whole
from layerscope.tasks.perturbation.inference import OneWayInference, one_way_design
from layerscope.tasks.perturbation.settings import PaperSettings
from layerscope.tasks.screens.labels import group_cells

log = logging.getLogger(__name__)

# the median of ratios is taken over the genes counted in every sample; fewer than this make it a lottery
MIN_RATIO_GENES = 50
# DESeq2 takes a dispersion below so many times the smallest allowed for none
FAR_ABOVE_LEAST = 100


@dataclass(frozen=True)
class FoldChanges:
    """Log2 fold changes of perturbations against the control, and what they were fitted with."""

    log2_fold_change: Floats  # (n_perturbations, n_genes)
    base_mean: Floats  # of normalised counts, (n_genes,)
    dispersion: Floats  # (n_genes,)
    size_factors: Floats  # (n_samples,)
    notes: dict[str, Any]  # number of genes replaced, handed over, warnings


def differential_expression(
    pseudobulk: str | Path, output: str | Path, settings: PaperSettings, threads: int = 1
) -> None:
    """Fit what ``sum_pseudobulk`` wrote, and write the fold changes of its perturbations as an h5ad file.

    It has perturbations x genes, ``X`` being log2 fold changes; ``obs`` has ``n_cells`` and ``n_samples``,
    ``var`` has ``base_mean`` and ``dispersion``. A DataError if there is no gene with counts enough, or no
    sample to spare for estimating dispersions.
    """
    open_h5ad(pseudobulk).close()
    samples = anndata.read_h5ad(pseudobulk)
    missing = [name for name in ("perturbation", "is_control", "n_cells") if name not in samples.obs]
    if missing:
        raise DataError(f"{pseudobulk}: not pseudobulks (no column {missing[0]!r}); make them of these cells")
    tested = np.asarray(samples.X.sum(axis=0) >= max(settings.min_counts_per_gene, 1))
    if not tested.any():
        raise NotAvailableError(
            f"{pseudobulk}: no gene has {settings.min_counts_per_gene} counts over the {samples.n_obs} "
            "samples; lower min_counts_per_gene"
        )
    is_control = samples.obs["is_control"].to_numpy(dtype=bool)
    names = sorted(set(samples.obs["perturbation"].astype(str)[~is_control]))
    group = group_cells(samples.obs, names)
    if samples.n_obs <= len(names) + 1:
        raise NotAvailableError(
            f"{pseudobulk}: {samples.n_obs} samples for {len(names)} perturbations and the control leave "
            "none to estimate dispersions from; form samples by more columns (pseudobulk_by)"
        )
    fitted = fit(np.asarray(samples.X[:, tested]), group, settings.size_factors, threads)
    cells_of = pd.Series(samples.obs["n_cells"].to_numpy()).groupby(group)
    made_from = {
        **json.loads(str(samples.uns["layerscope"])),
        "step": "differential expression",
        "method": "PyDESeq2 joint fit of ~ perturbation",
        "pydeseq2_version": pydeseq2.__version__,
        "layerscope_version": __version__,
        "n_control_samples": int(is_control.sum()),
        "n_control_cells": int(samples.obs.loc[is_control, "n_cells"].sum()),
        "n_genes_tested": int(tested.sum()),
        "min_counts_per_gene": settings.min_counts_per_gene,
        **fitted.notes,
    }
    written = anndata.AnnData(
        X=fitted.log2_fold_change,
        obs=pd.DataFrame(
            {"n_cells": cells_of.sum().to_numpy()[1:], "n_samples": cells_of.size().to_numpy()[1:]},
            index=pd.Index(names, dtype=object),
        ),
        var=samples.var[tested].assign(base_mean=fitted.base_mean, dispersion=fitted.dispersion),
        uns={"layerscope": json.dumps(made_from, sort_keys=True, ensure_ascii=False)},
    )
    with whole(output) as scratch:
        written.write_h5ad(scratch)


def fit(
    counts: NDArray[np.int64], group: NDArray[np.int64], size_factors: str = "auto", threads: int = 1
) -> FoldChanges:
    """Fit all samples jointly; fold changes of every group against group 0, the control.

    ``counts`` are samples x genes, no gene all zero; blocks of genes are fitted in parallel threads.
    """
    inference = OneWayInference(threads)
    labels = [f"sample_{index}" for index in range(len(counts))]
    genes = [f"gene_{index}" for index in range(counts.shape[1])]
    # one BLAS thread: small matrices waste more (twice the CPU time, the same wall time)
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = DeseqDataSet(
            counts=pd.DataFrame(counts, index=labels, columns=genes),
            metadata=pd.DataFrame({"group": group.astype(str)}, index=labels),
            design=pd.DataFrame(one_way_design(group), index=labels).rename(columns=str),
            inference=inference,
            quiet=True,
        )
        used = _fit_size_factors(fitted, size_factors)
        # the steps of `deseq2()` after the size factors, without its filter of p-values
        fitted.fit_genewise_dispersions()
        genewise = fitted.var["genewise_dispersions"]
        if (genewise < FAR_ABOVE_LEAST * fitted.min_disp).all():
            # what R's DESeq2 advises where there is no trend of dispersions to fit
            warnings.warn("no gene varies more than sampling makes it: no trend of dispersions", stacklevel=2)
            fitted.var["dispersions"], fitted.var["replaced"] = genewise, False
            fitted.fit_LFC()
        else:
            fitted.fit_dispersion_trend()
            fitted.fit_dispersion_prior()
            fitted.fit_MAP_dispersions()
            fitted.fit_LFC()
            fitted.calculate_cooks()
            fitted.refit()
    for_users = [w.message for w in caught if issubclass(w.category, (UserWarning, RuntimeWarning))]
    complaints = sorted(set(map(str, for_users)))
    for complaint in complaints:
        log.warning("PyDESeq2: %s", complaint)
    return FoldChanges(
        log2_fold_change=fitted.varm["LFC"].to_numpy().T[1:] / np.log(2),
        base_mean=fitted.var["_normed_means"].to_numpy(dtype=np.float64),
        dispersion=fitted.var["dispersions"].to_numpy(dtype=np.float64),
        size_factors=fitted.obs["size_factors"].to_numpy(dtype=np.float64),
        notes={
            "size_factors": used,
            "n_genes_handed_over": inference.n_handed_over,
            "n_genes_with_replaced_outliers": int(fitted.var["replaced"].sum()),
            "n_genes_unconverged": int((~fitted.var["_LFC_converged"].astype(bool)).sum()),
            "warnings": complaints,
        },
    )


def _fit_size_factors(fitted: DeseqDataSet, wanted: str) -> str:
    """Set the size factors and say how they were obtained."""
    n_everywhere = int((fitted.X > 0).all(axis=0).sum())
    if wanted == "ratio" and n_everywhere == 0:
        raise NotAvailableError(
            "size_factors: the median of ratios needs genes that are counted in every sample, and there are "
            "none; use auto, poscounts or library"
        )
    if wanted == "auto":
        wanted = "ratio" if n_everywhere >= MIN_RATIO_GENES else "library"
    if wanted != "library":
        fitted.fit_size_factors(fit_type=wanted)
        return f"median of ratios over {n_everywhere} genes" if wanted == "ratio" else wanted
    total = fitted.X.sum(axis=1)
    fitted.obs["size_factors"] = factors = total / np.exp(np.log(total).mean())
    fitted.layers["normed_counts"] = fitted.X / factors[:, None]
    fitted.var["_normed_means"] = fitted.layers["normed_counts"].mean(axis=0)
    return f"total counts ({n_everywhere} genes are counted in every sample)"
