"""Muon, an optimiser whose steps are as large along weak patterns as along strong ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.9


class Muon:
    """Orthogonalised momentum (K. Jordan et al. 2024, "Muon: an optimizer for hidden layers").

    A plain gradient step follows the strongest patterns of the data for a long time before it sees the next
    ones. Here each matrix moves by ``U V^T`` of its momentum's singular value decomposition instead,
    approximated by a Newton-Schulz iteration.

    torch.optim.Muon orthogonalises in bfloat16, and stacked queries, keys and values as one matrix: its steps
    differ from these by 0.7% of their length, for such stacks by 30%.

    Parameters
    ----------
    parameters
        Matrices. One of three times as many rows as columns is taken for stacked queries, keys and values,
        each of which is orthogonalised by itself.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self._momentum = [torch.zeros_like(p) for p in self._parameters]

    @torch.no_grad()
    def step(self, learning_rate: float, pool: Executor) -> None:
        """Move every parameter; ``learning_rate`` is the spectral norm of a square one's step."""
        stacks: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter, momentum in zip(self._parameters, self._momentum, strict=True):
            gradient = parameter.grad
            assert gradient is not None
            momentum.mul_(MOMENTUM).add_(gradient)
            update = gradient + MOMENTUM * momentum
            rows, columns = update.shape
            parts = 3 if rows == 3 * columns else 1
            for piece, target in zip(update.chunk(parts), parameter.chunk(parts), strict=True):
                stacks[(rows // parts, columns)].append((piece, target))
        stacked = [torch.stack([piece for piece, _ in pairs]) for pairs in stacks.values()]
        directions_of_stacks = pool.map(orthogonalised, stacked)
        for ((rows, columns), pairs), directions in zip(stacks.items(), directions_of_stacks, strict=True):
            scale = learning_rate * max(1.0, rows / columns) ** 0.5
            for (_, target), direction in zip(pairs, directions, strict=True):
                target.sub_(direction, alpha=scale)


@torch.no_grad()
def orthogonalised(matrices: Tensor) -> Tensor:
    """About ``U V^T`` of each matrix ``U S V^T`` of a stack ``[n, rows, columns]``."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT.contiguous() if tall else matrices
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
