"""Sums of counts over the cells of a sample: one guide (in one replicate) of one perturbation."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope import __version__
from layerscope.arrays import Bools
from layerscope.cells.canonical import read_var
from layerscope.cells.h5ad_file import open_h5ad
from layerscope.cells.matrix import stored_shape
from layerscope.cells.obs import read_obs, read_provenance
from layerscope.errors import DataError, NotAvailableError
from layerscope.files import whole
from layerscope.tasks.perturbation.settings import SAMPLE_COLUMNS, PaperSettings, ReleasedSettings
from layerscope.tasks.screens.blocks import csr_blocks
from layerscope.tasks.screens.labels import demand_labels, group_cells, largest, perturbation_sizes
from layerscope.tasks.screens.sums import add_by_group

log = logging.getLogger(__name__)

MIN_CONTROL_SAMPLES = 2
OF_SAMPLES = {"pseudobulk_by", "min_cells_per_pseudobulk", "min_cells_per_perturbation", "max_perturbations"}


def sum_pseudobulk(cells: str | Path, output: str | Path, settings: PaperSettings) -> None:
    """Sum the counts of canonical cells by sample and write them as an h5ad file, samples x genes.

    ``obs`` has ``perturbation``, ``guide``, ``replicate``, ``batch`` (those that formed the sample; "" where
    a sample is not divided by it), ``is_control`` and ``n_cells``. Control samples come first, then
    perturbations by name. A DataError if the cells hold no counts, no control, no perturbation large enough,
    or nothing that divides the control into samples.
    """
    from anndata import AnnData

    provenance = read_provenance(cells)
    if provenance.get("values") != "counts":
        raise NotAvailableError(
            f"{cells}: pseudobulks are sums of raw counts, but these cells hold {provenance.get('values')} "
            "values; differential expression by DESeq2 needs a dataset with raw counts"
        )
    table, sample, remarks = assign_samples(read_obs(cells), settings, str(cells))
    counts = sum_rows(cells, sample, len(table))
    made_from = {
        "step": "pseudobulk",
        "condition": provenance.get("condition"),
        "dataset": provenance.get("dataset"),
        "settings": settings.model_dump(mode="json", include=OF_SAMPLES),
        "remarks": remarks,
        "layerscope_version": __version__,
    }
    samples = AnnData(
        X=counts,
        obs=table,
        var=read_var(cells),
        uns={"layerscope": json.dumps(made_from, sort_keys=True, ensure_ascii=False)},
    )
    with whole(output) as scratch:
        samples.write_h5ad(scratch)


def assign_samples(
    obs: pd.DataFrame, settings: PaperSettings, where: str = "cells"
) -> tuple[pd.DataFrame, NDArray[np.int64], list[str]]:
    """The samples' table, the sample of each cell (-1: none), and remarks on what was left out."""
    demand_labels(obs, where)
    control = obs["is_control"].to_numpy(dtype=bool)
    if not control.any():
        raise DataError(
            f"{where}: no control cells (is_control is False everywhere); check the control's label"
        )
    names, remarks = select_perturbations(obs, settings, where)
    columns = _sample_columns(obs, settings.pseudobulk_by, where)
    if list(settings.pseudobulk_by) != columns:
        remarks.append(f"samples by {' x '.join(columns)}: the cells have no other column of pseudobulk_by")
    keys = pd.DataFrame({name: obs[name].astype(str).to_numpy(dtype=object) for name in columns})
    keys.insert(0, "perturbation", obs["perturbation"].astype(str).to_numpy(dtype=object))
    keys.insert(0, "is_target", ~control)
    divided = _divide_controls(keys, obs, control, settings.min_cells_per_pseudobulk, where)
    if divided.columns.tolist() != keys.columns.tolist():
        remarks.append(f"control cells share one {columns[0]}: their samples are by {divided.columns[-1]}")
    member = group_cells(obs, names) >= 0
    return (*_number(divided, member, settings.min_cells_per_pseudobulk, remarks, where), remarks)


def select_perturbations(
    obs: pd.DataFrame, settings: PaperSettings | ReleasedSettings, where: str
) -> tuple[list[str], list[str]]:
    """Perturbations that have cells enough (and, of these, the largest), and remarks on those left out."""
    sizes, min_cells = perturbation_sizes(obs), settings.min_cells_per_perturbation
    large = largest(sizes, min_cells, None)
    names, n_large = largest(sizes, min_cells, settings.max_perturbations), len(large)
    if not names:
        raise NotAvailableError(
            f"{where}: no perturbation has {min_cells} cells "
            f"(the largest has {max(sizes.values(), default=0)}); lower min_cells_per_perturbation"
        )
    remarks = []
    if n_large < len(sizes):
        remarks.append(
            f"{len(sizes) - n_large} of {len(sizes)} perturbations have fewer than {min_cells} cells and "
            "are left out"
        )
    if len(names) < n_large:
        remarks.append(f"the {len(names)} perturbations of most cells, of {n_large}")
    return names, remarks


def sum_rows(cells: str | Path, group: NDArray[np.int64], n_groups: int) -> NDArray[np.int64]:
    """Sums of the cells' counts by group (-1: none), groups x genes, in memory for them and one block."""
    with open_h5ad(cells) as file:
        total = np.zeros((n_groups, stored_shape(file["X"])[1]))
        for rows, block in csr_blocks(file["X"]):
            add_by_group(total, group[rows], block)
    return np.rint(total).astype(np.int64)


def _sample_columns(obs: pd.DataFrame, wanted: tuple[str, ...], where: str) -> list[str]:
    """The wanted columns that the cells have; failing that, any column that can form samples."""
    present = [name for name in SAMPLE_COLUMNS if name in obs.columns and (obs[name].astype(str) != "").any()]
    if not present:
        raise NotAvailableError(
            f"{where}: nothing divides the cells of a perturbation into samples, and without replicates "
            "there is no differential expression; name a column for one of "
            f"{', '.join(SAMPLE_COLUMNS)} under `columns:`"
        )
    return [name for name in wanted if name in present] or present[:1]


def _divide_controls(
    keys: pd.DataFrame, obs: pd.DataFrame, control: Bools, min_cells: int, where: str
) -> pd.DataFrame:
    """The keys, with one more column that divides the control cells where the others leave one sample."""
    finer = [name for name in SAMPLE_COLUMNS if name in obs.columns and name not in keys.columns]
    for extra in [None, *finer]:
        divided = keys
        if extra is not None:
            labels = obs[extra].astype(str).to_numpy(dtype=object)
            divided = keys.assign(**{extra: np.where(control, labels, "")})
        sizes = divided[control].value_counts()
        if (sizes >= min_cells).sum() >= MIN_CONTROL_SAMPLES:
            return divided
    used = [name for name in keys.columns if name not in ("is_target", "perturbation")]
    raise NotAvailableError(
        f"{where}: {int(control.sum())} control cells form {len(keys[control].value_counts())} sample(s) by "
        f"{' x '.join(used)}, fewer than {MIN_CONTROL_SAMPLES} of at least {min_cells} cells; give the "
        "controls' guides, or a column for `replicate` or `batch`"
    )


def _number(
    keys: pd.DataFrame, member: Bools, min_cells: int, remarks: list[str], where: str
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Number the samples that are large enough, control samples first."""
    columns = keys.columns.tolist()
    inside = keys[member]
    sizes = inside.groupby(columns, sort=True, observed=True).size().rename("n_cells").reset_index()
    large = sizes[sizes["n_cells"] >= min_cells].reset_index(drop=True)
    if len(large) < len(sizes):
        remarks.append(f"{len(sizes) - len(large)} of {len(sizes)} samples have fewer than {min_cells} cells")
    lost = sorted(set(sizes["perturbation"]) - set(large["perturbation"]))
    if lost:
        remarks.append(f"no sample is large enough for {', '.join(lost)}")
    if not large["is_target"].any():
        raise NotAvailableError(
            f"{where}: no sample of a perturbation has {min_cells} cells (the largest has "
            f"{sizes.loc[sizes['is_target'], 'n_cells'].max()}); lower min_cells_per_pseudobulk, or form "
            "samples by fewer columns (pseudobulk_by)"
        )
    for remark in remarks:
        log.info("%s: %s", where, remark)
    numbered = keys.merge(large.assign(sample=np.arange(len(large))), on=columns, how="left")["sample"]
    sample = np.where(member, numbered.fillna(-1).to_numpy(), -1).astype(np.int64)
    table = large.drop(columns="is_target").assign(is_control=~large["is_target"])
    divided_by = [name for name in SAMPLE_COLUMNS if name in columns]
    names = large[["perturbation", *divided_by]].agg("|".join, axis=1)
    for name in ("perturbation", *divided_by):
        table[name] = pd.Categorical(table[name])
    table.index = pd.Index(names.to_numpy(dtype=object), dtype=object)
    return table, sample
