"""What the corpus of bad inputs stands on: good files, the steps as a user runs them, a register of builders.

A builder makes one bad input in a folder; if it returns a dictionary, that holds options of the step by name.
``check`` among them is called with the folder where a right result is expected.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from cell_files import adata_of, write_canonical
from perturbation_cells import experiment, write
from trajectory_cells import cells as line_of_cells
from trajectory_cells import layer as layer_of

import check_cells
import choose_layers
import compute_baseline
import export_layer
import extract_layers
import gather_scores
import make_reference
import prepare_cells
import score_layer
from layerscope.command_line import settings
from layerscope.extraction.embeddings_file import write_official
from layerscope.study.file import read_study
from layerscope.study.runs import Study
from layerscope.tasks.perturbation.differential_expression import differential_expression
from layerscope.tasks.perturbation.pseudobulk import sum_pseudobulk
from layerscope.tasks.perturbation.settings import PaperSettings
from layerscope.tasks.perturbation.similarity import cosine_matrix, profile_similarity, write_similarity

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden" / "scfoundation" / "A"
QUICK = {"resamples": 100, "halvings": 4, "splits": 5}

Options = dict[str, Any]
Builder = Callable[[Path], object]
Step = Callable[[Path, Path, Options], None]
BUILDERS: dict[str, Builder] = {}


def bad(builder: Builder) -> Builder:
    """Register a builder under its name, which is the input's name in the table."""
    assert builder.__name__ not in BUILDERS
    BUILDERS[builder.__name__] = builder
    return builder


def table() -> list[dict[str, str]]:
    """The corpus: one row per input."""
    with Path(__file__).with_name("bad_inputs.tsv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


# --- good files ---------------------------------------------------------------------------------------------


def write_good(folder: Path) -> None:
    """A small screen and a small trajectory, each with what the steps before a score have made of it."""
    screen = experiment(n_genes=60, cells_per_guide=12)
    write(folder / "screen.h5ad", screen)
    ids = list(screen.obs_names)
    dense = np.asarray(screen.X.todense(), dtype=np.float32)
    write_official(folder / "screen_layer.h5ad", ids, np.log1p(dense)[:, :16], {"family": "log_all_genes"})
    sum_pseudobulk(folder / "screen.h5ad", folder / "pseudobulk.h5ad", PaperSettings())
    write_profiles(folder / "profiles.h5ad", [f"P{index:02d}" for index in range(9)])
    names = [f"P{index:02d}" for index in range(9)]
    random = np.random.default_rng(0)
    write_similarity(folder / "similarity.npz", names, cosine_matrix(random.normal(size=(9, 5))))
    obs, fate = line_of_cells()
    write_trajectory(folder / "line.h5ad", obs)
    for seed, name in enumerate(("hvg_pca", "line_layer")):
        write_official(
            folder / f"{name}.h5ad", list(obs.index), layer_of(obs, fate, seed=seed + 1), {"family": name}
        )
    refer(folder)


def write_trajectory(path: Path, obs: pd.DataFrame) -> None:
    """Canonical cells of a trajectory; their counts are noise."""
    counts = np.random.default_rng(0).poisson(1, size=(len(obs), 12)).astype(np.float32)
    write_canonical(path, adata_of(counts, cell_ids=obs.index, obs=obs), task="trajectory")


def write_profiles(path: Path, names: list[str], change: Callable[[Any], None] = lambda _: None) -> None:
    """Fold changes of some perturbations."""
    values = np.random.default_rng(1).normal(size=(len(names), 40))
    change(values)
    made = anndata.AnnData(values, obs=pd.DataFrame(index=names))
    made.write_h5ad(path)


def refer(folder: Path) -> None:
    """The reference pseudotime of the trajectory."""
    options = {"cells": folder / "line.h5ad", "baseline": folder / "hvg_pca.h5ad", "settings": QUICK}
    about = {"task": "trajectory", "protocol": "paper", "condition": "c", "output": folder / "made"}
    make_reference.main(words(**about | options))
    (folder / "made" / "pseudotime.tsv").rename(folder / "pseudotime.tsv")
    (folder / "made").rmdir()


# --- steps --------------------------------------------------------------------------------------------------


def words(**options: object) -> list[str]:
    """Options as the words of a command line; a list is several words, a dictionary JSON text."""
    line = []
    for name, value in options.items():
        several = value if isinstance(value, list) else [value]
        texts = [json.dumps(item) if isinstance(item, dict) else str(item) for item in several]
        line += [f"--{name.replace('_', '-')}", *texts]
    return line


@cache
def catalogues() -> dict[str, Any]:
    """The models and datasets that the repository defines."""
    return read_study(ROOT / "config" / "models.yaml") | read_study(ROOT / "config" / "datasets.yaml")


def run_study(at: Path, out: Path, options: Options) -> None:
    config = dict(catalogues())
    for key, value in read_study(at / "mine.yaml").items():
        kept = config.get(key)
        config[key] = kept | value if isinstance(kept, dict) and isinstance(value, dict) else value
    Study.read(config)


def run_settings(at: Path, out: Path, options: Options) -> None:
    settings(options["text"])


def run_check(at: Path, out: Path, options: Options) -> None:
    with io.StringIO() as said, contextlib.redirect_stdout(said):
        check_cells.main([str(at / "mine.h5ad")])
        (out / "said.txt").write_text(said.getvalue(), encoding="utf-8")


def function(called: Callable[..., None], **usual: object) -> Step:
    """A step that calls a function with its usual options, and those of the bad input in their place.

    In texts ``{at}`` is the folder of the inputs and ``{out}`` that of the outputs.
    """

    def step(at: Path, out: Path, options: Options) -> None:
        texts = {name: x.format(at=at, out=out) if isinstance(x, str) else x for name, x in usual.items()}
        called(**texts | options)

    return step


def script(main: Callable[[list[str]], None], **usual: object) -> Step:
    """A step that calls a script, likewise."""
    return function(lambda **options: main(words(**options)), **usual)


# references of both lie in the folder itself
SCORING = {"layer": "official", "condition": "c", "model": "m", "seed": 1, "reference": "{at}"}
SCORES = {"output": "{out}/scores.tsv", "resamples": "{out}/scores.npz"}
LINE = {"embeddings": "{at}/line_layer.h5ad", "cells": "{at}/line.h5ad"}
SCREEN = {"embeddings": "{at}/screen_layer.h5ad", "cells": "{at}/screen.h5ad"}
SCREEN_SETTINGS = {
    "task": "perturbation",
    "columns": {"perturbation": "target", "guide": "guide"},
    "control": "NT",
}

STEPS: dict[str, Step] = {
    "study": run_study,
    "settings": run_settings,
    "check_cells": run_check,
    "prepare_cells": script(
        prepare_cells.main,
        input="{at}/mine.h5ad",
        settings=SCREEN_SETTINGS,
        condition="mine",
        output="{out}/cells.h5ad",
        summary="{out}/summary.tsv",
    ),
    "extract_layers": script(
        extract_layers.main,
        family="scfoundation",
        weights=GOLDEN,
        cells="{at}/mine.h5ad",
        output="{out}/layers.h5ad",
        device="cpu",
        set=["gene_list=gene_index.tsv", "tgthighres=f1"],
    ),
    "compute_baseline": script(
        compute_baseline.main,
        baseline="hvg_pca",
        cells="{at}/mine.h5ad",
        output="{out}/layers.h5ad",
        settings={},
        seed=1,
    ),
    "export_layer": script(export_layer.main, **LINE, layer="official", output="{out}/layer.h5ad"),
    "reference_pseudotime": script(
        make_reference.main,
        task="trajectory",
        protocol="paper",
        condition="c",
        cells="{at}/line.h5ad",
        baseline="{at}/hvg_pca.h5ad",
        settings=QUICK,
        output="{out}/reference",
    ),
    "score_trajectory": script(
        score_layer.main, **SCORING | SCORES | LINE, task="trajectory", protocol="paper", settings=QUICK
    ),
    "score_perturbation": script(
        score_layer.main,
        **SCORING | SCORES | SCREEN,
        task="perturbation",
        protocol="paper",
        settings={"resamples": 100, "splits": 10},
    ),
    "sum_pseudobulk": function(
        sum_pseudobulk, cells="{at}/screen.h5ad", output="{out}/pseudobulk.h5ad", settings=PaperSettings()
    ),
    "differential_expression": function(
        differential_expression,
        pseudobulk="{at}/pseudobulk.h5ad",
        output="{out}/profiles.h5ad",
        settings=PaperSettings(),
    ),
    "perturbation_similarity": function(
        profile_similarity, profiles="{at}/profiles.h5ad", output="{out}/similarity.npz"
    ),
    "gather_scores": script(
        gather_scores.main, scores="{at}/scores.tsv", output="{out}/all.tsv", parquet="{out}/all.parquet"
    ),
    "choose_layers": script(
        choose_layers.main,
        resamples=[],
        scores="{at}/scores.tsv",
        models={"m": {"kind": "foundation", "layers": 2}},
        output="{out}/layers.tsv",
        curves="{out}/curves.tsv",
        shifts="{out}/shifts.tsv",
    ),
}
