"""Differential expression of every perturbation against the control: one joint DESeq2 fit.

All samples, control and perturbed, enter one fit of ``~ perturbation`` (Love, Huber and Anders 2014, through
PyDESeq2). In a one-way design the fitted mean of a perturbation depends on its own samples alone; what the
perturbations share are the size factors and, gene by gene, the dispersion. Sharing it is what makes two
guides per perturbation enough: a fit of one pair has two or three residual degrees of freedom, the joint fit
has as many as samples minus groups. It assumes that a gene varies between samples of one perturbation as it
does within the others; where guides disagree about one gene, its z-scores become conservative for all
perturbations, while its log fold changes stay as they are.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pydeseq2
from numpy.typing import NDArray
from pydeseq2.dds import DeseqDataSet
from pydeseq2.preprocessing import deseq2_norm_fit, deseq2_norm_transform
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from layerscope import __version__
from layerscope.cells.h5ad_file import open_h5ad
from layerscope.errors import DataError
from layerscope.files import whole
from layerscope.tasks.perturbation import one_way
from layerscope.tasks.perturbation.inference import RIDGE, OneWayInference
from layerscope.tasks.perturbation.one_way import Array, OneWay
from layerscope.tasks.perturbation.settings import PaperSettings

log = logging.getLogger(__name__)

# the median of ratios is taken over the genes counted in every sample; fewer than this make it a lottery
MIN_RATIO_GENES = 50


@dataclass(frozen=True)
class Profiles:
    """Differential expression of perturbations against the control.

    Attributes
    ----------
    names
        The perturbations, ``n_perturbations`` of them.
    log2_fold_change, standard_error, z, p_value
        Shape ``(n_perturbations, n_genes)``; fold changes and their standard errors in log2; ``p_value`` is
        NaN for genes with an outlying count (Cook's distance), as in DESeq2.
    base_mean, dispersion
        Mean of the normalised counts and final dispersion, shape ``(n_genes,)``.
    size_factors
        Shape ``(n_samples,)``.
    notes
        What the fit met with: genes replaced, handed over, warnings.
    """

    names: list[str]
    log2_fold_change: Array
    standard_error: Array
    z: Array
    p_value: Array
    base_mean: Array
    dispersion: Array
    size_factors: Array
    notes: dict[str, Any]


def differential_expression(
    pseudobulk: str | Path, output: str | Path, settings: Mapping[str, Any], threads: int = 1
) -> None:
    """Fit the pseudobulks of a condition and write the profiles of its perturbations as an h5ad file.

    Parameters
    ----------
    pseudobulk
        What :func:`~layerscope.tasks.perturbation.pseudobulk.sum_pseudobulk` wrote.
    output
        The file to make: perturbations x genes; ``X`` log2 fold changes, layers ``lfc_se``, ``z``,
        ``p_value``; ``obs`` has ``n_cells`` and ``n_samples``; ``var`` has ``base_mean`` and ``dispersion``.
    settings
        See :class:`~layerscope.tasks.perturbation.settings.PaperSettings`.
    threads
        Blocks of genes fitted at the same time; the result does not depend on it.

    Raises
    ------
    DataError
        If there is no gene with counts enough, or no sample to spare for estimating dispersions.
    """
    chosen = PaperSettings.read(settings)
    open_h5ad(pseudobulk).close()
    samples = anndata.read_h5ad(pseudobulk)
    missing = [name for name in ("perturbation", "is_control", "n_cells") if name not in samples.obs]
    if missing:
        raise DataError(f"{pseudobulk}: not pseudobulks (no column {missing[0]!r}); make them of these cells")
    tested = np.asarray(samples.X.sum(axis=0) >= max(chosen.min_counts_per_gene, 1))
    if not tested.any():
        raise DataError(
            f"{pseudobulk}: no gene has {chosen.min_counts_per_gene} counts over the {samples.n_obs} "
            "samples; "
            "lower min_counts_per_gene"
        )
    is_control = samples.obs["is_control"].to_numpy(dtype=bool)
    perturbation = samples.obs["perturbation"].astype(str).to_numpy(dtype=object)
    group, names = groups_of(perturbation, is_control)
    if samples.n_obs <= len(names) + 1:
        raise DataError(
            f"{pseudobulk}: {samples.n_obs} samples for {len(names)} perturbations and the control leave "
            "none to "
            "estimate dispersions from; form samples by more columns (pseudobulk_by), or of fewer cells"
        )
    profiles = fit(np.asarray(samples.X[:, tested]), group, names, chosen.size_factors, threads)
    cells_of = pd.Series(samples.obs["n_cells"].to_numpy()).groupby(group)
    table = pd.DataFrame(
        {"n_cells": cells_of.sum().to_numpy()[1:], "n_samples": cells_of.size().to_numpy()[1:]},
        index=pd.Index(names, dtype=object),
    )
    made_from = {
        **json.loads(str(samples.uns["layerscope"])),
        "step": "differential expression",
        "method": "PyDESeq2 joint fit of ~ perturbation, Wald test of each perturbation against the control",
        "pydeseq2_version": pydeseq2.__version__,
        "layerscope_version": __version__,
        "n_control_samples": int(is_control.sum()),
        "n_control_cells": int(samples.obs.loc[is_control, "n_cells"].sum()),
        "n_genes_tested": int(tested.sum()),
        "min_counts_per_gene": chosen.min_counts_per_gene,
        **profiles.notes,
    }
    genes = samples.var[tested].assign(base_mean=profiles.base_mean, dispersion=profiles.dispersion)
    written = anndata.AnnData(
        X=profiles.log2_fold_change,
        obs=table,
        var=genes,
        layers={"lfc_se": profiles.standard_error, "z": profiles.z, "p_value": profiles.p_value},
        uns={"layerscope": json.dumps(made_from, sort_keys=True, ensure_ascii=False)},
    )
    with whole(output) as scratch:
        written.write_h5ad(scratch)


def groups_of(
    perturbation: NDArray[np.object_], is_control: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], list[str]]:
    """Number the groups of samples: 0 for the control, then the perturbations by name."""
    names = sorted(set(perturbation[~is_control]))
    number = {name: index + 1 for index, name in enumerate(names)}
    group = [0 if control else number[name] for name, control in zip(perturbation, is_control, strict=True)]
    return np.array(group, dtype=np.int64), names


def fit(
    counts: NDArray[np.int64],
    group: NDArray[np.int64],
    names: list[str],
    size_factors: str = "auto",
    threads: int = 1,
) -> Profiles:
    """Fit all samples jointly and test every group against group 0.

    Parameters
    ----------
    counts
        Whole numbers, shape ``(n_samples, n_genes)``, no gene all zero.
    group
        Group of each sample, shape ``(n_samples,)``; 0 is the control.
    names
        Names of the groups from 1 on.
    size_factors
        See :class:`~layerscope.tasks.perturbation.settings.PaperSettings`.
    threads
        Blocks of genes fitted at the same time.
    """
    layout = OneWay.of_groups(group)
    inference = OneWayInference(threads)
    labels = [f"sample_{index}" for index in range(len(counts))]
    genes = [f"gene_{index}" for index in range(counts.shape[1])]
    design = pd.DataFrame(layout.design(), index=labels, columns=["Intercept", *names])
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = DeseqDataSet(
            counts=pd.DataFrame(counts, index=labels, columns=genes),
            metadata=pd.DataFrame({"group": group.astype(str)}, index=labels),
            design=design,
            inference=inference,
            quiet=True,
        )
        used = _fit_size_factors(fitted, counts, size_factors)
        _fit_counts(fitted)
        profiles = _test(fitted, layout, names)
    complaints = sorted(
        {str(w.message) for w in caught if issubclass(w.category, (UserWarning, RuntimeWarning))}
    )
    for complaint in complaints:
        log.warning("PyDESeq2: %s", complaint)
    profiles.notes.update(
        size_factors=used,
        n_genes_handed_over=inference.n_handed_over,
        n_genes_with_replaced_outliers=int(fitted.var["replaced"].sum()),
        n_genes_unconverged=int((~fitted.var["_LFC_converged"].astype(bool)).sum()),
        warnings=complaints,
    )
    return profiles


def library_size_factors(counts: NDArray[np.int64]) -> Array:
    """Total counts of the samples over their geometric mean, shape ``(n_samples,)``."""
    total = counts.sum(axis=1).astype(np.float64)
    return np.asarray(total / np.exp(np.log(total).mean()))


def _fit_size_factors(fitted: DeseqDataSet, counts: NDArray[np.int64], wanted: str) -> str:
    """Set the size factors and say how they were had."""
    n_everywhere = int((counts > 0).all(axis=0).sum())
    if wanted == "ratio" and n_everywhere == 0:
        raise DataError(
            "size_factors: the median of ratios needs genes that are counted in every sample, and there are "
            "none; "
            "use auto, poscounts or library"
        )
    if wanted == "ratio" or (wanted == "auto" and n_everywhere >= MIN_RATIO_GENES):
        _, factors = deseq2_norm_transform(counts, *deseq2_norm_fit(counts))
        used = f"median of ratios over {n_everywhere} genes"
    elif wanted == "poscounts":
        fitted.fit_size_factors(fit_type="poscounts")
        factors, used = fitted.obs["size_factors"].to_numpy(), "poscounts"
    else:
        factors = library_size_factors(counts)
        used = f"total counts ({n_everywhere} genes are counted in every sample)"
    fitted.obs["size_factors"] = factors
    fitted.layers["normed_counts"] = counts / factors[:, None]
    fitted.var["_normed_means"] = fitted.layers["normed_counts"].mean(axis=0)
    return used


def _fit_counts(fitted: DeseqDataSet) -> None:
    """The steps of ``DeseqDataSet.deseq2`` after the size factors."""
    fitted.fit_genewise_dispersions()
    fitted.fit_dispersion_trend()
    fitted.fit_dispersion_prior()
    fitted.fit_MAP_dispersions()
    fitted.fit_LFC()
    fitted.calculate_cooks()
    fitted.refit()
    fitted.cooks_outlier()


def _test(fitted: DeseqDataSet, layout: OneWay, names: list[str]) -> Profiles:
    """Wald tests of all groups against the control at once (``DeseqStats`` does one contrast at a time)."""
    beta = fitted.varm["LFC"].to_numpy().T
    size = fitted.obs["size_factors"].to_numpy()[:, None]
    dispersion = fitted.var["dispersions"].to_numpy(dtype=np.float64)
    mu = size * np.exp(one_way.to_groups(beta))[layout.group]
    weights = layout.sums(mu / (1.0 + mu * dispersion))
    error = np.sqrt(one_way.treatment_variances(weights, RIDGE))
    z = beta[1:] / error
    p_value = 2.0 * norm.sf(np.abs(z))
    if fitted.var["replaced"].any():
        emptied = fitted.var_names.isin(fitted.new_all_zeroes_genes)
        error[:, emptied], z[:, emptied], p_value[:, emptied] = 0.0, 0.0, 1.0
    p_value[:, fitted.var["_pvalue_cooks_outlier"].to_numpy(dtype=bool)] = np.nan
    return Profiles(
        names=names,
        log2_fold_change=beta[1:] / np.log(2),
        standard_error=error / np.log(2),
        z=z,
        p_value=p_value,
        base_mean=fitted.var["_normed_means"].to_numpy(dtype=np.float64),
        dispersion=dispersion,
        size_factors=size[:, 0],
        notes={},
    )
