"""Draws of simulated cells: one file each, readable like anybody's ``.h5ad`` of raw counts.

Equations and columns: ``docs/embedded_study.md``. The regulatory program depends on ``program_seed`` and the
genes alone, so draws with other seeds are other cells of the same biology.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerscope import __version__
from layerscope.demo.cohort import cohort_cells
from layerscope.demo.counts import observe
from layerscope.demo.processes import Cells, differentiating_cells, perturbed_cells
from layerscope.demo.program import ACTIVITIES, STATES, RegulatoryProgram, regulatory_program
from layerscope.demo.settings import DRAWS, Atlas, Cohort, Differentiation, Perturbation, Simulation
from layerscope.files import whole
from layerscope.settings import demand_known


def simulate(draw: str, given: Mapping[str, Any], seed: int) -> Any:
    """Simulate a draw, one of :data:`DRAWS`, each with its own stream of random numbers.

    ``obs`` has the columns of the process and the truth in ``true_...``, ``uns["simulation"]`` what was set.
    """
    import anndata

    demand_known(draw, DRAWS, "simulation", "draw")
    settings = DRAWS[draw].read(given, f"simulation: {draw}")
    rng = np.random.default_rng([seed, 1 + list(DRAWS).index(draw)])
    program = regulatory_program(settings.program_seed, settings.genes, settings.mitochondrial_genes)
    cells = _cells(program, settings, rng)
    observed = observe(cells.log_rates, program, settings, rng)
    activities = pd.DataFrame(cells.activity, columns=list(ACTIVITIES))
    obs = pd.concat([cells.obs, activities], axis=1).assign(true_quality=observed.quality)
    text = obs.select_dtypes("object").columns
    obs[text] = obs[text].astype("category")
    obs.index = pd.Index([f"{draw}-{i:06d}" for i in range(1, len(obs) + 1)])
    adata = anndata.AnnData(X=observed.counts, obs=obs, var=program.genes.copy())
    adata.uns["simulation"] = json.dumps(
        {"draw": draw, "seed": seed, "settings": settings.model_dump(), "layerscope_version": __version__},
        sort_keys=True,
    )
    return adata


def write_simulation(draw: str, settings: Mapping[str, Any], seed: int, output: str | Path) -> None:
    """Simulate a draw and write it to ``output`` (``.h5ad``)."""
    adata = simulate(draw, settings, seed)
    with whole(output) as scratch:
        adata.write_h5ad(scratch, compression="gzip", compression_opts=1)


def _cells(program: RegulatoryProgram, settings: Simulation, rng: np.random.Generator) -> Cells:
    if isinstance(settings, Atlas):
        return _atlas(program, settings, rng)
    if isinstance(settings, Perturbation):
        states = np.repeat(np.arange(len(STATES)), settings.cells_per_state)
        return perturbed_cells(program, settings, states, rng)
    if isinstance(settings, Cohort):
        return cohort_cells(program, settings, rng)
    assert isinstance(settings, Differentiation)
    return differentiating_cells(program, settings, rng)


def _atlas(program: RegulatoryProgram, settings: Atlas, rng: np.random.Generator) -> Cells:
    """Differentiating cells, and activated and perturbed ones, shuffled, with their batch and the truth."""
    shared = {key: getattr(settings, key) for key in Simulation.model_fields}
    activated = round(settings.activated_share * settings.cells)
    rest = Differentiation.model_construct(**shared, cells=settings.cells - activated)
    first = differentiating_cells(program, rest, rng)
    states = rng.integers(0, len(STATES), activated)
    second = perturbed_cells(program, settings, states, rng)
    truth = pd.concat([_truth(first.obs, "differentiation"), _truth(second.obs, "activation")])
    order = rng.permutation(settings.cells)
    activity, log_rates = (
        np.vstack([getattr(first, part), getattr(second, part)])[order] for part in ("activity", "log_rates")
    )
    return Cells(truth.iloc[order].reset_index(drop=True), activity, log_rates)


def _truth(obs: pd.DataFrame, process: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "batch": process + "_" + obs["batch"],
            "true_process": process,
            "true_pseudotime": obs.get("true_pseudotime", pd.Series(np.nan, index=obs.index)),
            "true_fate": obs.get("true_fate", pd.Series("", index=obs.index)),
            "true_state": obs.get("activation", pd.Series("", index=obs.index)).astype(str),
            "true_module": obs.get("true_module", pd.Series("", index=obs.index)),
        }
    )
