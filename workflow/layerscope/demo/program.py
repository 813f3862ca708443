"""The regulatory program that every simulated cell obeys: genes, programs, loadings, regulators.

A cell is a vector of program activities ``x`` (what transcription factors do in it). The log-rate of gene
``g`` in cell ``c`` is

    eta_cg = mu_g + sum_k W_gk x_ck + d_cg + beta_bg

with the gene's base level ``mu``, the loadings ``W`` of twelve overlapping programs, what a knock-down does
beside its pathway (``d``), and the batch effect ``beta``. Differentiation and activation differ in nothing
but ``x``: they share genes, base levels and loadings (``docs/embedded_study.md`` has all equations).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.errors import ConfigError

Array = NDArray[np.float64]

FATES = ("A", "B", "C")
STATES = ("Rest", "Stim8hr", "Stim48hr")


@dataclass(frozen=True)
class Program:
    """One latent program, named as in the truth columns."""

    name: str
    activation: tuple[float, float, float]  # activity in each of the STATES
    fates: str = ""  # on whose way differentiating cells use it
    rise: float | None = None  # pseudotime at which it is half on; None: on from the start
    fall: float | None = None  # pseudotime at which it is half off again; None: never
    height: float = 1.0  # full activity in differentiating cells
    pathway: bool = False  # whether knock-downs of the perturbation study hit it


PROGRAMS: tuple[Program, ...] = (
    Program("stemness", (0.0, 0.0, 0.0), "ABC", fall=0.20),
    Program("multipotency", (0.0, 0.0, 0.0), "ABC", rise=0.14, fall=0.50),
    Program("commitment_A", (0.0, 0.0, 0.0), "A", rise=0.45),
    Program("commitment_BC", (0.0, 0.0, 0.0), "BC", rise=0.45, fall=0.72),
    Program("commitment_B", (0.0, 0.0, 0.0), "B", rise=0.64),
    Program("commitment_C", (0.0, 0.0, 0.0), "C", rise=0.64),
    Program("survival", (0.50, 0.55, 0.90), "ABC", height=0.5, pathway=True),
    Program("growth", (0.15, 0.60, 1.00), "ABC", rise=0.30, height=0.7, pathway=True),
    Program("early_response", (0.05, 1.00, 0.90), "A", rise=0.62, height=0.8, pathway=True),
    Program("cytokine", (0.00, 0.60, 1.00), "A", rise=0.80, pathway=True),
    Program("adhesion", (0.05, 0.30, 1.00), "B", rise=0.82, pathway=True),
    Program("effector", (0.00, 0.15, 1.00), "C", rise=0.82, pathway=True),
)
ACTIVITIES = tuple(f"true_activity_{program.name}" for program in PROGRAMS)
"""Columns that tell the activity of each program in a simulated cell."""
SWITCH_WIDTH = 0.05
GENES_PER_PROGRAM = 0.12
PRIVATE_GENES = 12


@dataclass(frozen=True)
class Regulators:
    """The genes that can be knocked down, and what a complete knock-down of each does."""

    gene: NDArray[np.intp]  # index of the regulator's own gene, shape (n_regulators,)
    strength: Array  # share of each program's activity that is lost, shape (n_regulators, n_programs)
    private: Array  # change of each gene's log-rate beside the pathways, shape (n_regulators, n_genes)

    def modules(self, regulator: int) -> str:
        """Names of the programs that a regulator drives, joined by ``+``."""
        return "+".join(PROGRAMS[k].name for k in np.flatnonzero(self.strength[regulator]))


@dataclass(frozen=True)
class RegulatoryProgram:
    """Genes and how they answer to program activities; one entry or row per gene."""

    genes: pd.DataFrame  # columns symbol (also the index) and ensembl_id (invented, of the usual shape)
    is_mitochondrial: NDArray[np.bool_]
    base: Array  # log-rate mu
    loadings: Array  # W, shape (n_genes, n_programs)
    dispersion: Array  # phi of the negative binomial: variance = mean + phi mean^2

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.base)


def regulatory_program(seed: int, n_genes: int, n_mitochondrial: int) -> RegulatoryProgram:
    """Draw the program that all studies with this seed and these genes share, mitochondrial genes last."""
    rng = np.random.default_rng([seed, 0])
    n_nuclear = n_genes - n_mitochondrial
    symbols = [f"SIM{i:04d}" for i in range(1, n_nuclear + 1)]
    symbols += [f"MT-SIM{i:02d}" for i in range(1, n_mitochondrial + 1)]
    ids = [f"ENSG99{i:09d}" for i in range(1, n_genes + 1)]
    genes = pd.DataFrame({"symbol": symbols, "ensembl_id": ids}, index=pd.Index(symbols, name=None))

    base = rng.normal(0.0, 1.4, n_genes)
    loadings = np.zeros((n_genes, len(PROGRAMS)))
    size = round(GENES_PER_PROGRAM * n_nuclear)
    # one member from each stratum of base level, so that no program is louder than another
    strata = np.array_split(np.argsort(base[:n_nuclear]), size)
    for k in range(len(PROGRAMS)):
        members = np.array([rng.choice(stratum) for stratum in strata])
        sign = np.where(rng.random(size) < 0.85, 1.0, -1.0)
        loadings[members, k] = sign * rng.gamma(25.0, 1.8 / 25.0, size)
    # a gene that programs switch on starts low, so that being switched on is what makes it visible
    base -= 0.6 * loadings.max(axis=1)
    mitochondrial = np.arange(n_genes) >= n_nuclear
    share = np.exp(base[~mitochondrial]).sum() * 0.06 / n_mitochondrial
    base[mitochondrial] = np.log(share) + rng.normal(0.0, 0.4, n_mitochondrial)
    dispersion = rng.lognormal(np.log(0.12), 0.4, n_genes)
    return RegulatoryProgram(genes, mitochondrial, base, loadings, dispersion)


def regulators(program: RegulatoryProgram, seed: int, count: int) -> Regulators:
    """Choose the regulators: shared out over the pathways in turn, every fourth in a second pathway too."""
    rng = np.random.default_rng([seed, 1])
    pathways = [k for k, p in enumerate(PROGRAMS) if p.pathway]
    strength = np.zeros((count, len(PROGRAMS)))
    gene = np.full(count, -1, dtype=np.intp)
    for r in range(count):
        first = r % len(pathways)
        strength[r, pathways[first]] = rng.uniform(0.7, 1.0)
        if r % 4 == 3:
            second = (first + 1 + (r // 4) % (len(pathways) - 1)) % len(pathways)
            strength[r, pathways[second]] = rng.uniform(0.4, 0.6)
        free = np.setdiff1d(np.flatnonzero(program.loadings[:, pathways[first]] > 0), gene)
        if not free.size:
            raise ConfigError(
                f"simulation: {count} perturbations do not fit the pathways of {program.n_genes} genes; "
                "ask for fewer perturbations or more genes"
            )
        gene[r] = rng.choice(free)
    private = np.zeros((count, program.n_genes))
    nuclear = np.flatnonzero(~program.is_mitochondrial)
    for r in range(count):
        private[r, rng.choice(nuclear, PRIVATE_GENES, replace=False)] = rng.normal(0.0, 0.5, PRIVATE_GENES)
    return Regulators(gene, strength, private)


def differentiation_activity(pseudotime: Array, fate: NDArray[np.str_]) -> Array:
    """Program activities of differentiating cells, shape ``(n_cells, n_programs)``."""
    activity = np.zeros((len(pseudotime), len(PROGRAMS)))
    for k, program in enumerate(PROGRAMS):
        level = np.full(len(pseudotime), program.height)
        if program.rise is not None:
            level *= _switch(pseudotime - program.rise)
        if program.fall is not None:
            level *= _switch(program.fall - pseudotime)
        activity[:, k] = np.where(np.isin(fate, list(program.fates)), level, 0.0)
    return activity


def activation_activity(state: NDArray[np.intp]) -> Array:
    """Program activities of unperturbed cells in the :data:`STATES` of the given indices."""
    return np.array([p.activation for p in PROGRAMS], dtype=np.float64).T[state]


def _switch(u: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-u / SWITCH_WIDTH)))
