"""What the corpus of bad inputs stands on: good files, the steps as a user runs them, a register of builders.

Each builder makes one bad input in a folder and may return options of the step, by name; ``check`` among them
is called with the folder where a right result is expected.
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
import differential_expression
import numpy as np
import pandas as pd
import perturbation_similarity
import reference_pseudotime
import score_cell_type
import score_perturbation
import score_trajectory
import sum_pseudobulk
from perturbation_cells import experiment, write
from scipy import sparse
from trajectory_cells import cells as line_of_cells
from trajectory_cells import layer as layer_of

import check_cells
import choose_layers
import compute_baseline
import export_layer
import extract_layers
import gather_scores
import prepare_cells
from layerscope.cells.canonical import write_cells
from layerscope.command_line import settings
from layerscope.extraction.embeddings_file import write_official
from layerscope.study import Study
from layerscope.study_file import read_study
from layerscope.tasks.perturbation.similarity import cosine_matrix, write_similarity

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden" / "scfoundation" / "A"
QUICK = {"resamples": 100, "halvings": 4, "splits": 5}

Options = dict[str, Any]
Builder = Callable[[Path], Options | None]
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
    sum_pseudobulk.main(words(cells=folder / "screen.h5ad", output=folder / "pseudobulk.h5ad"))
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
    made = anndata.AnnData(sparse.csr_matrix(counts), obs=obs)
    made.var["symbol"] = made.var_names = [f"G{number}" for number in range(12)]
    described = {"condition": "blood", "dataset": "d", "task": "trajectory", "values": "counts"}
    write_cells(path, made, described)


def write_profiles(path: Path, names: list[str], change: Callable[[Any], None] = lambda _: None) -> None:
    """Fold changes of some perturbations."""
    values = np.random.default_rng(1).normal(size=(len(names), 40))
    change(values)
    made = anndata.AnnData(values, obs=pd.DataFrame(index=names))
    made.write_h5ad(path)


def refer(folder: Path) -> None:
    """The reference pseudotime of the trajectory."""
    reference_pseudotime.main(
        words(
            protocol="paper",
            cells=folder / "line.h5ad",
            baseline_embeddings=folder / "hvg_pca.h5ad",
            settings=json.dumps(QUICK),
            output=folder / "pseudotime.tsv",
        )
    )


# --- steps --------------------------------------------------------------------------------------------------


def words(**options: object) -> list[str]:
    """Options as the words of a command line; a list is several words, None leaves one out."""
    said = []
    for name, value in options.items():
        if value is not None:
            several = value if isinstance(value, list) else [value]
            said += [f"--{name.replace('_', '-')}", *map(str, several)]
    return said


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


def run_prepare(at: Path, out: Path, options: Options) -> None:
    given: Options = {
        "input": at / "mine.h5ad",
        "settings": {
            "task": "perturbation",
            "columns": {"perturbation": "target", "guide": "guide"},
            "control": "NT",
        },
        "condition": "mine",
        "output": out / "cells.h5ad",
        "summary": out / "summary.tsv",
    } | options
    prepare_cells.main(words(**given | {"settings": json.dumps(given["settings"])}))


def run_check(at: Path, out: Path, options: Options) -> None:
    with io.StringIO() as said, contextlib.redirect_stdout(said):
        check_cells.main([str(at / "mine.h5ad")])
        (out / "said.txt").write_text(said.getvalue(), encoding="utf-8")


def run_extract(at: Path, out: Path, options: Options) -> None:
    given: Options = {
        "family": "scfoundation",
        "weights": GOLDEN,
        "cells": at / "mine.h5ad",
        "output": out / "layers.h5ad",
        "device": "cpu",
        "set": ["gene_list=gene_index.tsv", "tgthighres=f1"],
    }
    extract_layers.main(words(**given | options))


def run_baseline(at: Path, out: Path, options: Options) -> None:
    given = {"baseline": "hvg_pca", "cells": at / "mine.h5ad", "output": out / "layers.h5ad", "seed": 1}
    compute_baseline.main(words(**given | options))


def run_export(at: Path, out: Path, options: Options) -> None:
    given: Options = {"embeddings": at / "line_layer.h5ad", "cells": at / "line.h5ad", "layer": "official"}
    export_layer.main(words(**given | {"output": out / "layer.h5ad"} | options))


def run_reference(at: Path, out: Path, options: Options) -> None:
    given: Options = {
        "cells": at / "line.h5ad",
        "baseline_embeddings": at / "hvg_pca.h5ad",
        "settings": json.dumps(QUICK),
        "output": out / "pseudotime.tsv",
    }
    reference_pseudotime.main(words(**given | options))


def _score(out: Path, options: Options, given: Options) -> list[str]:
    common: Options = {
        "layer": "official",
        "condition": "c",
        "model": "m",
        "settings": json.dumps(QUICK),
        "seed": 1,
        "output": out / "scores.tsv",
        "resamples": out / "scores.npz",
    }
    return words(**common | given | options)


def run_trajectory(at: Path, out: Path, options: Options) -> None:
    given: Options = {
        "protocol": "paper",
        "embeddings": at / "line_layer.h5ad",
        "cells": at / "line.h5ad",
        "reference": at / "pseudotime.tsv",
    }
    score_trajectory.main(_score(out, options, given))


def run_perturbation(at: Path, out: Path, options: Options) -> None:
    given: Options = {
        "protocol": "paper",
        "embeddings": at / "screen_layer.h5ad",
        "cells": at / "screen.h5ad",
        "reference": at / "similarity.npz",
        "settings": '{"resamples": 100, "splits": 10}',
    }
    score_perturbation.main(_score(out, options, given))


def run_cell_type(at: Path, out: Path, options: Options) -> None:
    given: Options = {
        "protocol": "strict",
        "embeddings": at / "line_layer.h5ad",
        "cells": at / "line.h5ad",
        "settings": '{"resamples": 20, "splits": 4, "shuffles": 2, "refits": 2}',
    }
    score_cell_type.main(_score(out, options, given))


def run_pseudobulk(at: Path, out: Path, options: Options) -> None:
    given: Options = {"cells": at / "screen.h5ad", "output": out / "pseudobulk.h5ad"}
    sum_pseudobulk.main(words(**given | options))


def run_expression(at: Path, out: Path, options: Options) -> None:
    given: Options = {"pseudobulk": at / "pseudobulk.h5ad", "output": out / "profiles.h5ad"}
    differential_expression.main(words(**given | options))


def run_similarity(at: Path, out: Path, options: Options) -> None:
    perturbation_similarity.main(words(profiles=at / "profiles.h5ad", output=out / "similarity.npz"))


def run_gather(at: Path, out: Path, options: Options) -> None:
    given: Options = {"scores": at / "scores.tsv", "output": out / "all.tsv", "parquet": out / "all.parquet"}
    gather_scores.main(words(**given | options))


def run_choose(at: Path, out: Path, options: Options) -> None:
    models = {"m": {"kind": "foundation", "layers": 2}}
    given: Options = {
        "scores": at / "scores.tsv",
        "models": json.dumps(models),
        "output": out / "layers.tsv",
        "curves": out / "curves.tsv",
    }
    choose_layers.main(words(**given | options))


STEPS: dict[str, Callable[[Path, Path, Options], None]] = {
    "study": run_study,
    "settings": run_settings,
    "prepare_cells": run_prepare,
    "check_cells": run_check,
    "extract_layers": run_extract,
    "compute_baseline": run_baseline,
    "export_layer": run_export,
    "reference_pseudotime": run_reference,
    "score_trajectory": run_trajectory,
    "score_perturbation": run_perturbation,
    "score_cell_type": run_cell_type,
    "sum_pseudobulk": run_pseudobulk,
    "differential_expression": run_expression,
    "perturbation_similarity": run_similarity,
    "gather_scores": run_gather,
    "choose_layers": run_choose,
}
