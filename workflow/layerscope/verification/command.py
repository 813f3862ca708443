"""The command that verifies a release."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from layerscope import layout
from layerscope.doors.models import cache_folder
from layerscope.errors import ModelError
from layerscope.installation import repository
from layerscope.verification.checks import table, write_table
from layerscope.verification.job import Verification, verify

MODELS = repository() / "config" / "models.yaml"


def verify_model(
    model: str,
    /,
    weights: Path | None = None,
    cells: int = 20,
    device: Literal["cpu", "cuda", "auto"] = "auto",
    output: Path | None = None,
    models: Path = MODELS,
    downloads: Path | None = None,
    mirror: str | None = None,
) -> None:
    """Compare the weights of a model at hand with all that is published of them.

    Parameters
    ----------
    model
        Its name in the catalogue.
    weights
        Their folder; by default resources/weights/MODEL, or else the cache.
    cells
        How many of the published cells to run; 0 for none.
    device
        Where to run them.
    output
        A table with tabs to write besides.
    models
        The catalogue.
    downloads
        Folder of published cells and embeddings; by default resources/verification/MODEL.
    mirror
        Prefix to put before every address, or JSON text of prefixes and what replaces them.
    """
    cached = cache_folder() / "weights" / model
    job = Verification(
        model=model,
        weights=weights or (None if Path(layout.weights(model)).is_dir() or not cached.is_dir() else cached),
        n_cells=cells,
        device=device,
        models=models,
        downloads=downloads,
        mirror=mirror,
    )
    checks = list(verify(job))
    print(table(checks))
    if output is not None:
        write_table(checks, output)
    wrong = [check.check for check in checks if check.result == "differs"]
    if wrong:
        raise ModelError(f"{model}: {len(wrong)} of {len(checks)} checks differ: {', '.join(wrong)}")
