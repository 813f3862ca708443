"""What a study may set for running models over cells."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from layerscope.settings import Settings


class ExtractionSettings(Settings):
    """How models are run over cells."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU if there is one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the computation; pooling is in float32."""
    store: Literal["float32", "float16"] = "float32"
    """Of the layers in `results/embeddings`: `float16` halves the files, with three significant digits."""
    token_budget: int | None = Field(default=None, ge=1)
    """Tokens per batch; null: what suits the device. Bounds memory, does not change results."""
    keep: Literal["cells", "sums"] = "cells"
    """`cells`: every layer of every cell, in `results/embeddings`. `sums`: for screens too large to store; of
    every layer the sums over groups of cells that the perturbation scores need, in `results/sums`, and no
    cell. The scores are the same; layers cannot be exported, and their geometry is not described. Conditions
    of other tasks and baselines keep cells whatever stands here."""
    shards: int = Field(default=1, ge=1)
    """Jobs that share the extraction of a condition by a model, each a stretch of its cells (several GPUs at
    once)."""
