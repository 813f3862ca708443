"""Where everything that a run makes lies, below the folder in which it runs."""

from __future__ import annotations


def cells(condition: str) -> str:
    """Prepared cells of a condition."""
    return f"results/cells/{condition}/cells.h5ad"


def obs(condition: str) -> str:
    """Table of a condition's prepared cells."""
    return f"results/cells/{condition}/obs.parquet"


def summary(condition: str) -> str:
    """What each step of preparing a condition's cells removed."""
    return f"results/cells/{condition}/summary.tsv"


def simulated(draw: str) -> str:
    """Simulated cells."""
    return f"resources/simulated/{draw}.h5ad"


def fetched(dataset: str, name: str) -> str:
    """A dataset's file."""
    return f"resources/{dataset}/{name}"


def gene_names(table: str, name: str) -> str:
    """A fetched table of gene names."""
    return f"resources/gene_names/{table}/{name}"


def weights(model: str, name: str = "") -> str:
    """A file of a model's weights, or their folder."""
    return f"resources/weights/{model}/{name}".rstrip("/")


def embeddings(condition: str, model: str) -> str:
    """Every layer of a condition's cells."""
    return f"results/embeddings/{condition}/{model}.h5ad"


def sums(condition: str, model: str) -> str:
    """Sums of every layer over groups of a condition's cells."""
    return f"results/sums/{condition}/{model}.h5"


def reference(condition: str, protocol: str) -> str:
    """Folder of what layers are compared with."""
    return f"results/references/{condition}/{protocol}"


def score(task: str, condition: str, protocol: str, model: str, layer: str, suffix: str = "tsv") -> str:
    """Scores of a layer (``tsv``), or their resamples (``npz``)."""
    return f"results/scores/{task}/{condition}/{protocol}/{model}/layer_{layer}.{suffix}"


def geometry(condition: str, model: str, kind: str) -> str:
    """The shape of a model's layers: ``geometry`` or ``alignment``."""
    return f"results/geometry/{condition}/{model}/{kind}.tsv"


def table(name: str) -> str:
    """A table of the whole study."""
    return f"results/tables/{name}.tsv"


def figure(name: str, suffix: str) -> str:
    """A figure."""
    return f"results/figures/{name}.{suffix}"


def layer_names(n_layers: int) -> list[str]:
    """Names of a model's layers in order: ``00``, ``01`` ... and ``official`` (alone for a baseline)."""
    numbered = [f"{layer:02d}" for layer in range(n_layers + 1)] if n_layers else []
    return [*numbered, "official"]
