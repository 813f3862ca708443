"""Time all statistics of a study of the paper's size, given embeddings: four conditions, 85 layers each.

Two models (12 and 24 blocks, each with its input and its official embedding), the same with untrained
weights, and five baselines, on one trajectory and on three screens of 100 perturbations, 1,000 resamples.
Layers are simulated one at a time, which is no part of the timing; what is timed is scoring each from memory,
writing rows and resamples, and the choice of layers from all of them. One process per core, one thread each.

    python benchmarks/study_statistics.py --protocols paper --processes 4
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from scipy import sparse  # noqa: E402

from layerscope import tables  # noqa: E402
from layerscope.layout import layer_names  # noqa: E402
from layerscope.statistics.layer_choice import Model, choose_layers  # noqa: E402
from layerscope.tables import depth, read_scores, write_resamples, write_scores  # noqa: E402
from layerscope.tasks.perturbation.design import make_design  # noqa: E402
from layerscope.tasks.perturbation.effects import count_effects  # noqa: E402
from layerscope.tasks.perturbation.scores import scores_of_all_cells  # noqa: E402
from layerscope.tasks.perturbation.settings import PaperSettings  # noqa: E402
from layerscope.tasks.perturbation.settings import StrictSettings as StrictScreen  # noqa: E402
from layerscope.tasks.perturbation.similarity import Similarity, spearman_matrix  # noqa: E402
from layerscope.tasks.perturbation.strict import strict_scores  # noqa: E402
from layerscope.tasks.perturbation.strict_reference import Expression, make_reference  # noqa: E402
from layerscope.tasks.screens.labels import group_cells  # noqa: E402
from layerscope.tasks.screens.sums import sum_layer  # noqa: E402
from layerscope.tasks.trajectory.paper import score_paper  # noqa: E402
from layerscope.tasks.trajectory.references import FROM_DATASET, Reference  # noqa: E402
from layerscope.tasks.trajectory.settings import StrictSettings, TrajectorySettings  # noqa: E402
from layerscope.tasks.trajectory.strict import score_strict  # noqa: E402

SCREENS = ("D1_Rest", "D1_Stim8hr", "D1_Stim48hr")
TRAJECTORY = "cord_blood"
TRUTH = 12
GENES = 2000
GENES_OF_TRAJECTORY = 3462
"""The cord-blood file holds its highly variable genes only."""


@dataclass(frozen=True)
class Work:
    """One layer to score."""

    condition: str
    protocol: str
    model: str
    layer: str
    n_layers: int
    width: int


def models(genes: int) -> dict[str, tuple[int, int, int]]:
    """Blocks, width, and width of the official embedding of each model."""
    trained = {"scfoundation": (12, 768, 3072), "tahoe_x1_1b": (24, 2048, 2048)}
    untrained = {f"{name}_untrained_1": sizes for name, sizes in trained.items()}
    baselines = {
        "hvg_pca": 50,
        "rank_normal_pca": 220,
        "hellinger_svd": 50,
        "log_all_genes": genes,
        "qc_only": 5,
    }
    return trained | untrained | {name: (0, width, width) for name, width in baselines.items()}


def all_work(protocols: Sequence[str], genes: int) -> list[Work]:
    """Every layer of every model, condition and protocol; the widest first."""
    found = [
        Work(condition, protocol, model, layer, n, official if layer == "official" else width)
        for protocol in protocols
        for condition in (TRAJECTORY, *SCREENS)
        for model, (n, width, official) in models(
            GENES_OF_TRAJECTORY if condition == TRAJECTORY else genes
        ).items()
        for layer in layer_names(n)
    ]
    return sorted(found, key=lambda work: -work.width * (5 if work.condition == TRAJECTORY else 1))


def matrix_of(work: Work, latent: np.ndarray) -> np.ndarray:
    """A layer that sees the latent state of the cells under noise."""
    random = np.random.default_rng(
        [len(work.model), work.n_layers, sum(map(ord, work.layer + work.condition))]
    )
    view = random.normal(size=(latent.shape[1], work.width)).astype(np.float32)
    matrix = latent @ view
    for start in range(0, len(matrix), 1024):
        block = matrix[start : start + 1024]
        block += 3 * random.standard_normal(block.shape, dtype=np.float32)
    return matrix


@cache
def trajectory(n_cells: int) -> tuple[pd.DataFrame, Reference, np.ndarray]:
    """Cells along a line: their table, reference and latent state."""
    random = np.random.default_rng(0)
    position = random.random(n_cells)
    time_point = np.clip((3 * position + 0.3 * random.normal(size=n_cells)).astype(int), 0, 2)
    days = ["Day3", "Day10", "Day17"]
    obs = pd.DataFrame(
        {
            "time": pd.Categorical(np.array(days)[time_point], categories=days, ordered=True),
            "batch": random.integers(0, 2, n_cells).astype(str),
            "is_root": position < 0.02,
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    latent = np.cos(np.outer(position, np.linspace(1, 5, TRUTH)) + np.arange(TRUTH)).astype(np.float32)
    reference = Reference(list(obs.index), position, int(np.argmin(position)), FROM_DATASET, "")
    return obs, reference, 3 * latent


@cache
def screen(condition: str, n_perturbations: int, n_cells: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Cells of a screen: their table, latent state and the similarity of the perturbations' effects."""
    random = np.random.default_rng(len(condition))
    effects = random.normal(size=(n_perturbations + 1, TRUTH))
    effects[0] = 0
    owner = random.integers(0, n_perturbations + 1, n_cells)
    owner[: n_cells // 10] = 0
    names = np.array(["control", *(f"P{i:04d}" for i in range(n_perturbations))])
    obs = pd.DataFrame({"perturbation": names[owner], "is_control": owner == 0})
    obs["guide"] = obs["perturbation"] + random.integers(1, 3, n_cells).astype(str)
    obs["replicate"] = random.integers(0, 4, n_cells).astype(str)
    obs.index = [f"cell{i}" for i in range(n_cells)]
    latent = (effects[owner] + random.normal(size=(n_cells, TRUTH))).astype(np.float32)
    profiles = effects[1:] @ random.normal(size=(TRUTH, 500)) + random.normal(size=(n_perturbations, 500))
    return obs, latent, spearman_matrix(profiles)


@cache
def strict_screen(condition: str, n_perturbations: int, n_cells: int, resamples: int) -> tuple:
    """Design, reference and settings of protocol strict (made once per condition, and timed)."""
    obs, latent, _ = screen(condition, n_perturbations, n_cells)
    random = np.random.default_rng(1)
    rates = random.gamma(0.4, 0.5, GENES) * np.exp(0.1 * random.normal(size=(TRUTH, GENES)).T @ latent[0])
    counts = sparse.vstack(
        [
            sparse.csr_matrix(random.poisson(np.broadcast_to(rates, (len(latent[a : a + 2000]), GENES))))
            for a in range(0, n_cells, 2000)
        ],
        format="csr",
        dtype=np.float64,
    )
    settings = StrictScreen(resamples=resamples)
    start = time.process_time()
    design = make_design(obs, settings, 1)
    expression = Expression(counts, np.asarray(counts.sum(axis=1)).ravel(), count_effects)
    reference = make_reference(expression, design, settings, 1)
    return design, reference, settings, time.process_time() - start


def score(args: argparse.Namespace, folder: Path, work: Work) -> tuple[float, float]:
    """Score one layer and write its files; wall and CPU seconds."""
    task = "trajectory" if work.condition == TRAJECTORY else "perturbation"
    stem = folder / task / work.condition / work.protocol / work.model / f"layer_{work.layer}"
    at = depth(work.layer, work.n_layers)
    if task == "trajectory":
        obs, reference, latent = trajectory(args.cells)
        matrix = matrix_of(work, latent)
        subject = tables.Subject(
            condition=work.condition,
            model=work.model,
            layer=work.layer,
            depth=at,
            task="trajectory",
            seed=1,
            protocol=work.protocol,
        )
        start = time.perf_counter(), time.process_time()
        if work.protocol == "paper":
            settings = TrajectorySettings(resamples=args.resamples)
            scored = score_paper(matrix, reference, subject, settings, obs)
        else:
            scored = score_strict(matrix, reference, obs, subject, StrictSettings(resamples=args.resamples))
    else:
        obs, latent, similarity = screen(work.condition, args.perturbations, args.cells)
        matrix = matrix_of(work, latent)
        screened = tables.Subject(
            condition=work.condition,
            model=work.model,
            layer=work.layer,
            depth=at,
            task=task,
            protocol=work.protocol,
            seed=1,
        )
        if work.protocol == "strict":
            size = (work.condition, args.perturbations, args.cells, args.resamples)
            design, reference, settings, _ = strict_screen(*size)
        start = time.perf_counter(), time.process_time()
        if work.protocol == "strict":
            plain = sum_layer(matrix, design.groups, design.n_groups)
            unit = sum_layer(matrix, design.groups[:1], design.n_groups, unit_norm=True)
            scored = strict_scores(plain, unit, reference, design, screened, settings)
        else:
            names = sorted(set(obs["perturbation"]) - {"control"})
            group = group_cells(obs, names)[None]
            cells = [sum_layer(matrix, group, len(names) + 1, unit_norm) for unit_norm in (False, True)]
            settings = PaperSettings(resamples=args.resamples)
            scored = scores_of_all_cells(*cells, obs, Similarity(names, similarity), screened, settings)
    write_scores(stem.with_suffix(".tsv"), scored.rows)
    write_resamples(stem.with_suffix(".npz"), scored.resamples)
    return time.perf_counter() - start[0], time.process_time() - start[1]


def choose(folder: Path, genes: int) -> float:
    """Gather all rows and choose the layers; seconds."""
    start = time.perf_counter()
    scores = pd.concat([read_scores(path) for path in sorted(folder.rglob("*.tsv"))], ignore_index=True)
    known = {}
    for name, (n, _, _) in models(genes).items():
        kind = "baseline" if not n else "control" if "untrained" in name else "foundation"
        of = name.removesuffix("_untrained_1")
        known[name] = Model(name, kind, n, "untrained", of) if kind == "control" else Model(name, kind, n)
    choose_layers(scores, sorted(folder.rglob("*.npz")), known)
    return time.perf_counter() - start


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--protocols", nargs="+", default=["paper"], choices=("paper", "strict"))
    arguments.add_argument("--cells", type=int, default=24_885, help="of every condition")
    arguments.add_argument("--perturbations", type=int, default=100)
    arguments.add_argument("--resamples", type=int, default=1000)
    arguments.add_argument(
        "--genes", type=int, default=10_000, help="width of the baseline log_all_genes of a screen"
    )
    arguments.add_argument("--processes", type=int, default=4)
    arguments.add_argument("--only", type=int, default=1, help="every so-manieth layer, for a quick look")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Score everything and print what each part took."""
    args = parser().parse_args(argv)
    work = all_work(args.protocols, args.genes)[:: args.only]
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(args.processes) as pool:
        folder = Path(name)
        found = list(pool.map(partial(score, args, folder), work))
        table = pd.DataFrame(found, columns=["wall", "cpu"]).assign(
            protocol=[one.protocol for one in work],
            task=["trajectory" if one.condition == TRAJECTORY else "perturbation" for one in work],
            layers=1,
        )
        print(table.groupby(["protocol", "task"])[["layers", "wall", "cpu"]].sum().round(1).to_string())
        references = 0.0
        if "strict" in args.protocols:
            one = pool.submit(strict_screen, SCREENS[0], args.perturbations, args.cells, args.resamples)
            references = len(SCREENS) * one.result()[-1]
            print(f"references of protocol strict, three screens: {references:.1f} CPU-s")
        chosen = choose(folder, args.genes)
        print(f"choice of layers from all scores: {chosen:.1f} s")
        for what in ("wall", "cpu"):
            whole = (table[what].sum() + references) / args.processes + chosen
            print(f"whole study, {args.processes} cores, by {what} seconds of the jobs: {whole:.0f} s")


if __name__ == "__main__":
    main()
