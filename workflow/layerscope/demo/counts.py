"""From log-rates to counts: what a droplet experiment sees of a cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from layerscope.demo.program import Array, RegulatoryProgram
from layerscope.demo.settings import Simulation

EMPTY_COUNTS = 20.0
DAMAGED_DEPTH = 0.5
BLOCK = 1024


@dataclass(frozen=True)
class Observed:
    """Counts (CSR float32, cells x genes, whole numbers) and what each droplet was."""

    counts: sparse.csr_matrix
    quality: NDArray[np.str_]


def observe(
    log_rates: Array, program: RegulatoryProgram, settings: Simulation, rng: np.random.Generator
) -> Observed:
    """Draw counts from log-rates ``eta``, shape ``(n_cells, n_genes)``.

    ``rho_cg = exp(eta_cg) / sum_g exp(eta_cg)``, ``N_c ~ LogNormal(log median_counts, counts_spread)`` and
    ``y_cg ~ NegativeBinomial(mean N_c rho_cg, dispersion phi_g)``, drawn as a Poisson of a Gamma: zeros
    come from sampling alone. In a damaged cell a share of 0.25 to 0.6 of ``rho`` is mitochondrial and half
    the counts are lost; an empty droplet has about 20 counts of the mean cell.
    """
    n_cells = len(log_rates)
    shares = [1 - settings.damaged_share - settings.empty_share, settings.damaged_share, settings.empty_share]
    quality = rng.choice(np.array(["cell", "damaged", "empty"]), n_cells, p=shares)
    total = np.exp(rng.normal(np.log(settings.median_counts), settings.counts_spread, n_cells))
    mitochondrial_share = rng.uniform(0.25, 0.6, n_cells)
    total[quality == "damaged"] *= DAMAGED_DEPTH
    total[quality == "empty"] *= EMPTY_COUNTS / settings.median_counts

    rho = np.exp(log_rates - log_rates.max(axis=1, keepdims=True))
    rho /= rho.sum(axis=1, keepdims=True)
    ambient = rho.mean(axis=0)
    damaged, mito = quality == "damaged", program.is_mitochondrial
    for part, share in ((mito, mitochondrial_share[damaged]), (~mito, 1 - mitochondrial_share[damaged])):
        block = rho[np.ix_(damaged, part)]
        rho[np.ix_(damaged, part)] = block / block.sum(axis=1, keepdims=True) * share[:, None]
    rho[quality == "empty"] = ambient

    blocks = []
    for start in range(0, n_cells, BLOCK):
        mean = rho[start : start + BLOCK] * total[start : start + BLOCK, None]
        rate = rng.gamma(1.0 / program.dispersion, program.dispersion * mean)
        blocks.append(sparse.csr_matrix(rng.poisson(rate).astype(np.float32)))
    return Observed(sparse.vstack(blocks, format="csr"), quality)


def batch_effects(
    n_batches: int, spread: float, program: RegulatoryProgram, rng: np.random.Generator
) -> Array:
    """Effects of batches on genes' log-rates, shape ``(n_batches, n_genes)``, normal with this spread."""
    return rng.normal(0.0, spread, (n_batches, program.n_genes))
