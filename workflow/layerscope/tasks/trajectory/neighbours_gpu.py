"""Candidates for nearest neighbours from a GPU, where there is one and the search is large enough for it.

The same as faiss finds on the CPU, up to the rounding of float32 products, which the caller allows for.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt

WORTHWHILE = 1e12
"""Multiplications below which starting a GPU takes longer than the search on the CPU."""
BLOCK_BYTES = 1 << 30


def worthwhile(n_points: int, width: int) -> bool:
    """Whether a GPU is there, torch can use it, and the search is large; looks before importing torch."""
    if float(n_points) ** 2 * width < WORTHWHILE or not Path("/dev/nvidiactl").exists():
        return False
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def candidates(
    points: npt.NDArray[np.float32], n: int, device: str = "cuda"
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The ``n`` nearest of all points to each, by squared Euclidean distance, itself among them.

    Parameters
    ----------
    points
        Points x features.
    n
        Candidates for each.
    device
        Where torch computes.

    Returns
    -------
    Squared distances, rising, and indices, each of shape ``(n_points, n)``.
    """
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.inference_mode():
            there = torch.from_numpy(points).to(device)
            norms = (there * there).sum(dim=1)
            rows = max(1, BLOCK_BYTES // (4 * len(points)))
            squared, indices = [], []
            for start in range(0, len(points), rows):
                here = there[start : start + rows]
                apart = torch.addmm(norms[None, :], here, there.T, alpha=-2)
                nearest = torch.topk(apart, n, largest=False)
                squared.append((nearest.values + norms[start : start + rows, None]).cpu())
                indices.append(nearest.indices.cpu())
            return torch.cat(squared).numpy(), torch.cat(indices).numpy()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
