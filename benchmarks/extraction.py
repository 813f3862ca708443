"""Speed of extraction at real size with random weights, beside the owners' way and the machine's own limit.

Three things take turns in every round, so that a busy machine slows all of them alike: our engine's forward
pass (every layer pooled); a plain loop over single cells through ``torch.nn.TransformerEncoderLayer`` in
inference mode with PyTorch's fast path on, as scFoundation's owners run it; and plain matrix products of the
shapes that the model has: those of its linear layers, and these with the products inside attention. Printed
are CPU-seconds per cell, floating-point operations per cell (those of the blocks' matrix products and
attention), GFLOP/s of CPU time, their ratios, and peak memory.

    python benchmarks/extraction.py --family scfoundation --cells 4 --rounds 3 --threads 1
    python benchmarks/extraction.py --family tahoe_x1 --size 70m --cells 4 --rounds 3 --threads 1
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from layerscope.extraction.batches import first_within
from layerscope.models import scfoundation_network, tahoe_x1_network
from layerscope.models.base import Sentences, TokenBatch, pack
from layerscope.models.transformer import FEWEST, STEP, gathered

T = TypeVar("T")
Encoder = scfoundation_network.ScFoundationEncoder | tahoe_x1_network.TahoeX1Encoder
SHORTEST, LONGEST = 1200, 2400
TAHOE_SIZES = {"70m": (512, 12, 8, "relu"), "1b": (2048, 24, 16, "relu"), "3b": (2560, 32, 20, "gelu")}
SCFOUNDATION_GENES, TAHOE_VOCABULARY = 19264, 62720


@dataclass
class Shape:
    """What decides the number of operations."""

    hidden: int
    layers: int
    heads: int

    def operations(self, tokens: int) -> float:
        """Floating-point operations of the blocks for a cell."""
        return self.layers * (24.0 * tokens * self.hidden**2 + 4.0 * tokens**2 * self.hidden)


def build(family: str, size: str) -> tuple[Encoder, Shape]:
    """A model of real size with random weights."""
    if family == "scfoundation":
        config = scfoundation_network.ScFoundationConfig(
            n_genes=SCFOUNDATION_GENES, hidden_size=768, n_layers=12, heads=12, feed_forward=3072
        )
        return scfoundation_network.fresh(config, 0).eval(), Shape(768, 12, 12)
    hidden, layers, heads, activation = TAHOE_SIZES[size]
    tahoe = tahoe_x1_network.TahoeX1Config(
        vocabulary_size=TAHOE_VOCABULARY,
        hidden_size=hidden,
        n_layers=layers,
        heads=heads,
        feed_forward=4 * hidden,
        activation=activation,
        value_activation=activation,
    )
    return tahoe_x1_network.fresh(tahoe, 0).eval(), Shape(hidden, layers, heads)


def sentences(n_cells: int, family: str, seed: int = 0) -> Sentences:
    """Cells of 1,200 to 2,400 tokens, longest first."""
    draw = np.random.default_rng(seed)
    lengths = np.sort(draw.integers(SHORTEST, LONGEST + 1, n_cells))[::-1]
    n_genes = SCFOUNDATION_GENES if family == "scfoundation" else TAHOE_VOCABULARY
    ids = [np.sort(draw.choice(n_genes, length, replace=False)) for length in lengths]
    return Sentences(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        tokens={
            "ids": np.concatenate(ids),
            "values": draw.uniform(0.5, 6, lengths.sum()).astype(np.float32),
        },
        cells={},
        refused=[""] * n_cells,
        shortened=np.zeros(n_cells, dtype=bool),
    )


def ours(model: Encoder, cells: Sentences, budget: int) -> list[Tensor]:
    """One vector per cell and layer, batch by batch."""
    out: list[Tensor] = []
    order = np.arange(len(cells.offsets) - 1)
    with torch.inference_mode():
        while len(order):
            chosen = order[: first_within(cells.lengths[order], budget)]
            order = order[len(chosen) :]
            batch = pack(cells, chosen, multiple=STEP, at_least=FEWEST)
            out.append(torch.stack([last_token(hidden, batch) for _, hidden in model.layers(batch)]))
    return out


def last_token(hidden: Tensor, batch: TokenBatch) -> Tensor:
    """The last token of each cell."""
    return gathered(hidden, batch, torch.as_tensor(np.diff(batch.offsets) - 1))


def torch_layers(model: scfoundation_network.ScFoundationEncoder) -> nn.ModuleList:
    """The same blocks as PyTorch's own layers, with the same weights."""
    config = model.config
    made = nn.ModuleList()
    for block in model.encoder.blocks:
        layer = nn.TransformerEncoderLayer(
            config.hidden_size, config.heads, config.feed_forward, batch_first=True, activation="relu"
        )
        layer.load_state_dict(block.state_dict())
        made.append(layer)
    return made.eval()


def plain_loop(
    model: scfoundation_network.ScFoundationEncoder, layers: nn.ModuleList, cells: Sentences
) -> list[Tensor]:
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


def products(shape: Shape, tokens: int, attention: bool) -> Callable[[], float]:
    """Plain matrix products of one block's shapes; calling gives their number of operations.

    Those of its linear layers alone, or those of attention (without its softmax) as well, head by head.
    """
    hidden, head = shape.hidden, shape.hidden // shape.heads
    shapes = [(tokens, a * hidden, b * hidden) for a, b in ((1, 3), (1, 1), (1, 4), (4, 1))]
    if attention:
        shapes += [(tokens, head, tokens), (tokens, tokens, head)] * shape.heads
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
    p.add_argument("--family", choices=("scfoundation", "tahoe_x1"), default="scfoundation")
    p.add_argument("--size", choices=tuple(TAHOE_SIZES), default="70m", help="of Tahoe-X1")
    p.add_argument("--cells", type=int, default=4, help="cells per round")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--token-budget", type=int, default=8192)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    model, shape = build(args.family, args.size)
    cells = sentences(args.cells, args.family)
    operations = sum(shape.operations(int(tokens)) for tokens in cells.lengths)
    typical = int(np.mean(cells.lengths))
    linear, every = products(shape, typical, attention=False), products(shape, typical, attention=True)
    compare = isinstance(model, scfoundation_network.ScFoundationEncoder)
    layers = torch_layers(model) if compare else nn.ModuleList()
    rounds: list[dict[str, float]] = []
    with torch.inference_mode():
        linear()
        every()
        ours(model, sentences(1, args.family, seed=1), args.token_budget)
    for _ in range(args.rounds):
        spent: dict[str, float] = {}
        spent["engine"], result = cpu_seconds(lambda: ours(model, cells, args.token_budget))
        spent["linear"] = seconds_per_operation(linear, operations / 10) * operations
        spent["every"] = seconds_per_operation(every, operations / 10) * operations
        if compare:
            spent["loop"], theirs = cpu_seconds(lambda: plain_loop(model, layers, cells))
            apart = (torch.cat(result, dim=1) - torch.cat(theirs, dim=1)).abs().max()
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
        print(f"{what:32}{seconds / args.cells:8.2f} CPU-s/cell {operations / seconds / 1e9:8.1f} GFLOP/s")

    name = args.family if args.family == "scfoundation" else f"{args.family} {args.size}"
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
