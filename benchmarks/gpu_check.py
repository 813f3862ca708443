"""Everything that must hold on a GPU and that no CPU can show, in one run of under eight minutes.

Golden states of all families (float32 without TF32, and the cosines of half precision); cells in other
batches and orders; a budget that is halved when memory runs out; cells a second at real size with random
weights, beside this GPU's own rate of matrix products; peak memory; two processes that share the GPU, each
with its stretch of the cells. Writes ``gpu_check.json``, and ``gpu_check.md``, a table for
docs/performance.md; ends with 1 if anything is not as it should be.

    make gpu-check
    python benchmarks/gpu_check.py --device cpu --small
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from extraction import sentences, sentences_of
from extraction_models import MODELS, RealSize
from golden_states import GoldenSet, golden_sets
from gpu_device import Check, at_least, at_most, clear_memory, on_gpu, peak, reset_peak, timed
from gpu_engine import ROOT, ROUNDING, halving, shards, study
from model_examples import TOLERANCE
from torch import Tensor

from layerscope.extraction.batches import first_within
from layerscope.extraction.engine import TOKEN_BUDGET
from layerscope.extraction.job import DTYPES
from layerscope.models.base import Network, Sentences, pack
from layerscope.models.encoder import Sizes
from layerscope.models.transformer import reduced

COSINES = {"bfloat16": 0.998, "float16": 0.9999}  # of a token's or cell's state and the golden one, at least
ROUNDING_OF_UCE = 1e-4
TARGETS = {"tahoe_x1 1b": 0.40}
TARGET = 0.25  # of the rate of matrix products
# of a cell; elsewhere 1,200 to 2,400, or what the model takes
TOKENS = {"tahoe_x1": 2048, "uce": 1070, "nicheformer": 1500, "state_se": 2049}
PRODUCT_SIDE, BATCHES, SECONDS = 8192, 3, 2.0
ROOM = 0.6  # of a GPU's memory that weights may take


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a network of real size is, in bfloat16."""

    model: str
    cells_per_second: float
    tokens_per_second: float
    tflops: float
    share: float  # of the rate of matrix products
    target: float
    peak_gib: float


def golden_parity(device: torch.device) -> Iterator[Check]:
    """States of all tokens at all layers, and the official embeddings, beside those of the owners' code."""
    for name, dtype in DTYPES.items():
        for golden in golden_sets():
            pairs = states_of(golden, device, dtype)
            if dtype == torch.float32:
                worst = max(share_of_tolerance(ours, theirs) for ours, theirs in pairs)
                yield at_most(f"golden states, {golden.name}, float32: share of the tolerance", worst, 1.0)
            else:
                worst = min(cosine(ours, theirs) for ours, theirs in pairs)
                yield at_least(f"golden states, {golden.name}, {name}: cosine", worst, COSINES[name])


def states_of(
    golden: GoldenSet, device: torch.device, dtype: torch.dtype
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Our states and the owners', layer by layer, and the official embeddings last."""
    model = golden.model
    model.set_precision(dtype)
    model.module.eval().to(device)
    with torch.inference_mode():
        batch = pack(golden.sentences, device=device)
        ours = []
        for layer, hidden in model.layers(batch):
            ours.append(hidden.cpu().numpy().copy())
            if layer == model.official_layer:
                official = model.official(hidden, batch).cpu().numpy()
    return [*zip(ours, golden.layers, strict=True), (official[: len(golden.official)], golden.official)]


def share_of_tolerance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference in units of what the tests of the golden sets allow."""
    allowed = TOLERANCE["atol"] + TOLERANCE["rtol"] * np.abs(theirs)
    return float((np.abs(ours - theirs) / allowed).max())


def cosine(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Smallest cosine of two rows that belong together."""
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(axis=1) / norms).min())


def tolerance(name: str, network: Network, size: RealSize, device: torch.device) -> Check:
    """Tokens of four cells alone, and in the reverse order, beside those of all together, in float32."""
    lengths = np.minimum(np.array([430, 350, 260, 170]), size.longest)
    cells, n_cells = sentences_of(lengths, size), len(lengths)
    together = cell_states(network, cells, np.arange(n_cells), device)
    reverse = cell_states(network, cells, np.arange(n_cells)[::-1], device)[::-1]
    alone = [cell_states(network, cells, np.array([cell]), device)[0] for cell in range(n_cells)]
    scale = torch.cat(together, dim=1).square().mean(dim=(1, 2), keepdim=True).sqrt()
    worst = max(
        float(((other - state).abs() / scale).max())
        for state, *others in zip(together, reverse, alone, strict=True)
        for other in others
    )
    bound = ROUNDING_OF_UCE if name.startswith("uce") else ROUNDING
    return at_most(f"other batches and orders, {name}: difference over a layer's scale", worst, bound)


def cell_states(network: Network, cells: Sentences, chosen: np.ndarray, device: torch.device) -> list[Tensor]:
    """States of chosen cells, each ``(layers, tokens, hidden)``."""
    with torch.inference_mode():
        batch = pack(cells, chosen, device=device)
        layers = torch.stack([hidden.cpu().clone() for _, hidden in network.layers(batch)])
    return list(layers.split(np.diff(batch.offsets).tolist(), dim=1))


def product_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Operations a second of square matrix products."""
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    torch.mm(left, right)
    seconds, times = timed(lambda: torch.mm(left, right), device, SECONDS / 2 if on_gpu(device) else 0.0)
    return 2.0 * side**3 * times / seconds


def speed(
    name: str, network: Network, size: RealSize, device: torch.device, small: bool, products: float
) -> Speed:
    """Batches through the network, every layer pooled by its mean, as the engine runs them."""
    lengths = lengths_of(name, size, small)
    cells = sentences_of(lengths, size)
    budget = TOKEN_BUDGET[device.type]
    reset_peak(device)

    def run() -> None:
        order = np.arange(len(lengths))
        with torch.inference_mode():
            while len(order):
                chosen = order[: first_within(lengths[order], budget)]
                order = order[len(chosen) :]
                batch = pack(cells, chosen, device=device)
                pooled = [reduced(hidden, batch, "mean") for _, hidden in network.layers(batch)]
                torch.stack(pooled).cpu()

    run()
    seconds, times = timed(run, device, 0.0 if small else SECONDS)
    rate = sum(size.operations(int(length)) for length in lengths) * times / seconds
    return Speed(
        model=name,
        cells_per_second=len(lengths) * times / seconds,
        tokens_per_second=float(lengths.sum()) * times / seconds,
        tflops=rate / 1e12,
        share=rate / products,
        target=TARGETS.get(name, TARGET),
        peak_gib=peak(device) / 2**30,
    )


def lengths_of(name: str, size: RealSize, small: bool) -> np.ndarray:
    """Tokens of the cells of some batches, longest first."""
    if small:
        return np.array([24, 20, 20, 7])
    tokens = TOKENS.get(name.split()[0])
    n_cells = BATCHES * TOKEN_BUDGET["cuda"] // (tokens or 2048)
    return np.full(n_cells, tokens) if tokens else sentences(n_cells, size).lengths


def sizes(small: bool) -> Iterator[tuple[str, RealSize]]:
    """All real sizes by name, or tiny ones of the same kinds."""
    for family, of_family in MODELS.items():
        for name, size in of_family.items():
            yield f"{family} {name}".strip(), tiny(size) if small else size


def tiny(size: RealSize) -> RealSize:
    """The same network in a few dimensions."""
    smaller = {"hidden_size": 16, "n_layers": 2, "heads": 2, "feed_forward": 32, "token_width": 12}
    known = {name: value for name, value in smaller.items() if hasattr(size.config, name)}
    config: Sizes = replace(size.config, **known)
    return replace(size, config=config)


def fits(size: RealSize, device: torch.device) -> bool:
    """Whether the weights leave room on the GPU for batches."""
    if not on_gpu(device):
        return True
    with torch.device("meta"):
        n_bytes = sum(4 * weight.numel() for weight in size.network(size.config).parameters())
    return bool(n_bytes < ROOM * torch.cuda.get_device_properties(device).total_memory)


def table(
    title: str, seconds: float, rates: dict[str, float], checks: list[Check], speeds: list[Speed]
) -> str:
    """What was measured, for docs/performance.md."""
    products = ", ".join(f"{name} {rate / 1e12:.1f}" for name, rate in rates.items())
    lines = [
        f"{title}; matrix products, TFLOP/s: {products}; the whole check took {seconds:.0f} s.",
        "",
        "| model, bfloat16 | cells/s | tokens/s | TFLOP/s | of matrix products | target | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.model} | {s.cells_per_second:.0f} | {s.tokens_per_second:,.0f} | {s.tflops:.2f} "
        f"| {s.share:.0%} | {s.target:.0%} | {s.peak_gib:.1f} GiB |"
        for s in speeds
    ]
    lines += ["", "| check | measured | bound | |", "|---|---|---|---|"]
    lines += [f"| {c.what} | {c.measured:.6g} | {c.bound} | {'yes' if c.passed else 'NO'} |" for c in checks]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all parts, write the files, print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    p.add_argument("--small", action="store_true", help="tiny networks: every line runs, no rate is judged")
    p.add_argument("--output", type=Path, default=ROOT / "build" / "gpu_check")
    args = p.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --device cpu --small runs every line without one")
    start = time.perf_counter()
    device = torch.device(args.device)
    torch.set_float32_matmul_precision("highest")
    rates = {
        name: product_rate(device, dtype, 256 if args.small else PRODUCT_SIDE)
        for name, dtype in DTYPES.items()
    }
    checks, speeds = list(golden_parity(device)), list[Speed]()
    for name, size in sizes(args.small):
        clear_memory()
        if not fits(size, device):
            print(f"{name} is left out: its weights do not fit")
            continue
        network = size.drawn(device)
        checks.append(tolerance(name, network, size, device))
        network.set_precision(torch.bfloat16)
        speeds.append(speed(name, network, size, device, args.small, rates["bfloat16"]))
        print(speeds[-1], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cells = study(Path(folder), device, args.small)
        checks += [*halving(cells), shards(cells)]
    if not args.small:
        checks += [at_least(f"speed, {s.model}: share of products", s.share, s.target) for s in speeds]
    write(args.output, device, time.perf_counter() - start, rates, checks, speeds)
    raise SystemExit(0 if all(check.passed for check in checks) else 1)


def write(
    folder: Path,
    device: torch.device,
    seconds: float,
    rates: dict[str, float],
    checks: list[Check],
    speeds: list[Speed],
) -> None:
    """The two files, and the table on the screen."""
    title = torch.cuda.get_device_name() if on_gpu(device) else "CPU"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "device": title,
        "torch": torch.__version__,
        "seconds": seconds,
        "matrix_products": rates,
        "checks": [asdict(check) for check in checks],
        "speeds": [asdict(one) for one in speeds],
    }
    (folder / "gpu_check.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    text = table(f"{title}, PyTorch {torch.__version__}", seconds, rates, checks, speeds)
    (folder / "gpu_check.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
