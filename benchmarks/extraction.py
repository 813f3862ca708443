"""Speed of extraction at real size with random weights, beside the owners' way and the machine's own limit.

Three things take turns in every round, so that a busy machine slows all of them alike: our engine's forward
pass (every layer pooled); a plain loop over single cells through ``torch.nn.TransformerEncoderLayer`` in
inference mode with PyTorch's fast path on, as scFoundation's owners run it; and plain matrix products of the
shapes that the model has: those of its linear layers, and these with the products inside attention. Printed
are CPU-seconds per cell, floating-point operations per cell (those of the blocks' matrix products and
attention), GFLOP/s and tokens/s of CPU time, their ratios, and peak memory. The models are those of
``extraction_models.py``.

    python benchmarks/extraction.py --family scfoundation --cells 4 --rounds 3 --threads 1
    python benchmarks/extraction.py --family tahoe_x1 --size 70m --cells 4 --rounds 3 --threads 1
    python benchmarks/extraction.py --family geneformer --size v2_104m --cells 4 --rounds 3 --threads 1
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from extraction_models import MODELS, RealSize, real_size
from torch import Tensor, nn

from layerscope.extraction.batches import first_within
from layerscope.models.base import Network, Sentences, TokenBatch, pack
from layerscope.models.scfoundation_network import ScFoundationEncoder
from layerscope.models.transformer import gathered

T = TypeVar("T")
SHORTEST, LONGEST = 1200, 2400


def sentences(n_cells: int, model: RealSize, seed: int = 0) -> Sentences:
    """Cells of 1,200 to 2,400 tokens, longest first; shorter where the model cuts them."""
    lengths = np.random.default_rng(seed).integers(SHORTEST, LONGEST + 1, n_cells)
    return sentences_of(np.sort(np.minimum(lengths, model.longest))[::-1], model, seed)


def sentences_of(lengths: np.ndarray, model: RealSize, seed: int = 0) -> Sentences:
    """Cells of so many tokens each, of genes drawn at random."""
    draw = np.random.default_rng(seed)
    ids = [np.sort(draw.choice(model.n_ids, length, replace=False)) for length in lengths]
    values = draw.uniform(0.5, 6, lengths.sum()).astype(np.float32)
    return Sentences(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        tokens={
            "ids": np.concatenate(ids),
            "values": values,
            "counts": values,
            "positions": np.concatenate([np.arange(length) for length in lengths]),
        },
        cells={},
        refused=[""] * len(lengths),
        shortened=np.zeros(len(lengths), dtype=bool),
    )


def ours(network: Network, cells: Sentences, budget: int) -> list[Tensor]:
    """One vector per cell and layer, batch by batch."""
    out: list[Tensor] = []
    order = np.arange(len(cells.offsets) - 1)
    with torch.inference_mode():
        while len(order):
            chosen = order[: first_within(cells.lengths[order], budget)]
            order = order[len(chosen) :]
            batch = pack(cells, chosen)
            out.append(torch.stack([last_token(hidden, batch) for _, hidden in network.layers(batch)]))
    return out


def last_token(hidden: Tensor, batch: TokenBatch) -> Tensor:
    """The last token of each cell."""
    return gathered(hidden, batch, torch.diff(batch.cumulative_lengths) - 1)


def torch_layers(model: ScFoundationEncoder) -> nn.ModuleList:
    """The same blocks as PyTorch's own layers, with the same weights."""
    config = model.config
    made = nn.ModuleList()
    for block in model.stack:
        layer = nn.TransformerEncoderLayer(
            config.hidden_size, config.heads, config.feed_forward, batch_first=True, activation="relu"
        )
        layer.load_state_dict(block.state_dict())
        made.append(layer)
    return made.eval()


def plain_loop(model: ScFoundationEncoder, layers: nn.ModuleList, cells: Sentences) -> list[Tensor]:
    """Cell by cell through PyTorch's layers, with a padding mask as the owners' code passes."""
    with torch.inference_mode():
        out = []
        for cell in range(len(cells.offsets) - 1):
            x = model.embed(pack(cells, np.array([cell])))[None]
            mask = torch.zeros(x.shape[:2], dtype=torch.bool)
            states = [x[:, -1]]
            for layer in layers:
                x = layer(x, src_key_padding_mask=mask)
                states.append(x[:, -1])
            out.append(torch.stack(states))
        return out


def products(model: RealSize, tokens: int, attention: bool) -> Callable[[], float]:
    """Plain matrix products of one block's shapes; calling gives their number of operations.

    Those of its linear layers alone, or those of attention (without its softmax) as well, head by head.
    """
    hidden, wide, heads = model.config.hidden_size, model.config.feed_forward, model.config.heads
    head = hidden // heads
    shapes = [
        (tokens, a, b) for a, b in ((hidden, 3 * hidden), (hidden, hidden), (hidden, wide), (wide, hidden))
    ]
    if attention:
        shapes += [(tokens, head, tokens), (tokens, tokens, head)] * heads
    pairs = [(torch.randn(rows, depth), torch.randn(depth, columns)) for rows, depth, columns in shapes]

    def run() -> float:
        for left, right in pairs:
            torch.mm(left, right)
        return sum(2.0 * left.shape[0] * left.shape[1] * right.shape[1] for left, right in pairs)

    return run


def cpu_seconds(run: Callable[[], T]) -> tuple[float, T]:
    """CPU-seconds of all threads, and the result."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--family", choices=tuple(MODELS), default="scfoundation")
    p.add_argument("--size", default="", help="of a family that has several: 70m, v2_104m, ...")
    p.add_argument("--cells", type=int, default=4, help="cells per round")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--token-budget", type=int, default=8192)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    model = real_size(args.family, args.size)
    network = model.drawn()
    cells = sentences(args.cells, model)
    operations = sum(model.operations(int(tokens)) for tokens in cells.lengths)
    typical = int(np.mean(cells.lengths))
    linear, every = products(model, typical, attention=False), products(model, typical, attention=True)
    theirs = network if isinstance(network, ScFoundationEncoder) else None
    layers = torch_layers(theirs) if theirs else nn.ModuleList()
    rounds: list[dict[str, float]] = []
    with torch.inference_mode():
        linear()
        every()
        ours(network, sentences(1, model, seed=1), args.token_budget)
    for _ in range(args.rounds):
        spent: dict[str, float] = {}
        spent["engine"], result = cpu_seconds(lambda: ours(network, cells, args.token_budget))
        spent["linear"] = seconds_per_operation(linear, operations / 10) * operations
        spent["every"] = seconds_per_operation(every, operations / 10) * operations
        if theirs:
            spent["loop"], states = cpu_seconds(lambda: plain_loop(theirs, layers, cells))
            apart = (torch.cat(result, dim=1) - torch.cat(states, dim=1)).abs().max()
            assert float(apart) < 1e-3, f"the loop gives other values ({float(apart)})"
        rounds.append(spent)
    report(args, cells, operations, rounds)


def seconds_per_operation(multiply: Callable[[], float], operations: float) -> float:
    """CPU-seconds of one operation of plain products, over about so many of them."""
    done, seconds = 0.0, 0.0
    while done < operations:
        spent, n = cpu_seconds(multiply)
        done, seconds = done + n, seconds + spent
    return seconds / done


def report(
    args: argparse.Namespace, cells: Sentences, operations: float, rounds: list[dict[str, float]]
) -> None:
    """Print medians over the rounds, of seconds and of the ratios within a round."""

    def median(of: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(of(spent) for spent in rounds)

    def line(what: str, which: str) -> None:
        seconds = median(lambda spent: spent[which])
        rates = f"{operations / seconds / 1e9:8.1f} GFLOP/s {cells.lengths.sum() / seconds:9.0f} tokens/s"
        print(f"{what:32}{seconds / args.cells:8.2f} CPU-s/cell {rates}")

    name = f"{args.family} {args.size}".strip()
    tokens = f"{cells.lengths.min()}-{cells.lengths.max()}"
    print(f"{name}: {args.cells} cells of {tokens} tokens, {args.threads} thread(s), float32, random weights")
    print(f"operations per cell: {operations / args.cells / 1e9:.1f} GFLOP; medians of {len(rounds)} rounds")
    line("engine, every layer", "engine")
    line("products of its linear layers", "linear")
    line("products of attention as well", "every")
    if "loop" in rounds[0]:
        line("plain loop of PyTorch's layers", "loop")
        less = median(lambda spent: spent["loop"] / spent["engine"])
        print(f"engine against plain loop    {less:5.2f} times less CPU time")
    for which, what in (("linear", "of linear layers"), ("every", "of all its shapes")):
        share = median(lambda spent, which=which: spent[which] / spent["engine"])
        print(f"engine against products      {share:5.0%} of their GFLOP/s, {what}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory                  {peak:5.2f} GiB")


if __name__ == "__main__":
    main()
