"""The model families, by name: the one place that grows when a model is added.

Light: nothing here imports torch, so that scripts can check a name or print the list at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from layerscope.errors import ConfigError

PLANTED = "planted"
"""What layers that are made from the truth of simulated cells have as their family."""
THINNED = "thinned"
CONTROLS = ("untrained", "gene_permuted", "values_permuted", THINNED)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models."""

    module: str  # that implements it
    foundation: bool  # whether it has weights and numbered layers; a baseline has neither
    values: frozenset[str]  # what the cells' matrix may hold: "counts" (raw), "log_normalised"
    blocks_after_official: int = 0  # of which the official embedding takes nothing
    identifiers: str  # how its genes are named: "symbol", "ensembl" or "any"
    usual: bool = True  # whether a drafted study has it; else it is for certain questions
    species: tuple[str, ...] = ("human",)  # whose genes it knows; none for what needs to know no gene
    imports: str = ""  # what it imports that is no requirement of this project
    package: str = ""  # that has it, as pip names it

    @property
    def lacking(self) -> str:
        """Why it cannot run here, with the remedy; empty where it can."""
        if not self.imports or find_spec(self.imports) is not None:
            return ""
        return f"{self.package} is not installed (pip install {self.package})"


def _baseline(values: frozenset[str], imports: str = "", package: str = "", usual: bool = True) -> Family:
    return Family(
        module="layerscope.models.baselines",
        foundation=False,
        values=values,
        identifiers="any",
        species=(),
        imports=imports,
        package=package,
        usual=usual,
    )


COUNTS = frozenset({"counts"})
EITHER = frozenset({"counts", "log_normalised"})
HUMAN_AND_MOUSE = ("human", "mouse")

FAMILIES: Mapping[str, Family] = {
    "scfoundation": Family(
        module="layerscope.models.scfoundation", foundation=True, values=EITHER, identifiers="symbol"
    ),
    "tahoe_x1": Family(
        module="layerscope.models.tahoe_x1", foundation=True, values=EITHER, identifiers="ensembl"
    ),
    "scgpt": Family(module="layerscope.models.scgpt", foundation=True, values=EITHER, identifiers="symbol"),
    "geneformer": Family(
        module="layerscope.models.geneformer",
        foundation=True,
        values=COUNTS,
        identifiers="ensembl",
        blocks_after_official=1,
    ),
    "transcriptformer": Family(
        module="layerscope.models.transcriptformer",
        foundation=True,
        values=COUNTS,
        identifiers="ensembl",
        species=HUMAN_AND_MOUSE,
    ),
    "uce": Family(
        module="layerscope.models.uce",
        foundation=True,
        values=COUNTS,
        identifiers="symbol",
        species=HUMAN_AND_MOUSE,
    ),
    "scconcept": Family(
        module="layerscope.models.scconcept",
        foundation=True,
        values=EITHER,
        identifiers="any",
        species=HUMAN_AND_MOUSE,
    ),
    # mouse cells by their human orthologs, as it was trained: of mouse genes it knows those that have none
    "nicheformer": Family(
        module="layerscope.models.nicheformer", foundation=True, values=COUNTS, identifiers="ensembl"
    ),
    "state_se": Family(
        module="layerscope.models.state_se", foundation=True, values=EITHER, identifiers="symbol"
    ),
    "hvg_pca": _baseline(EITHER),
    "rank_normal_pca": _baseline(EITHER),
    "hellinger_svd": _baseline(COUNTS),
    "log_all_genes": _baseline(EITHER),
    "qc_only": _baseline(COUNTS),
    "harmony_pca": _baseline(EITHER, "harmonypy", "harmonypy"),
    "scvi": _baseline(COUNTS, "scvi", "scvi-tools"),
    "sctop": _baseline(EITHER, usual=False),
    "anova_pca": _baseline(EITHER, usual=False),
    "composition": _baseline(EITHER, usual=False),
}


def family(name: str) -> Family:
    """Look a family up; ConfigError if there is none of that name."""
    if name not in FAMILIES:
        raise ConfigError(f"model family {name!r} is not known; choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def implementation(name: str) -> ModuleType:
    """Import the module of a foundation-model family; a ConfigError if there is none of that name.

    Its ``load(folder, settings, seed=0)`` reads a release folder and returns the
    :class:`layerscope.models.base.FoundationModel`, whose :meth:`tokenise` draws from the seed. It raises
    ModelError if a file is missing, damaged, unsafe or does not fit the others, and ConfigError for settings
    that mean nothing.
    """
    known = family(name)
    if not known.foundation:
        raise ConfigError(f"{name!r} is a baseline without layers: it is computed by compute_baseline.py")
    return import_module(known.module)
