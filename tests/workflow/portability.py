"""The unit tests on emulated processors, and the default study on two of them, its tables side by side.

    python tests/workflow/portability.py [--folder build/portability] [--cores 2] [--only tests|study]

An emulated processor is this one with libraries told to leave its newer instructions alone. Cells are
prepared and networks pretrained once, since training turns rounding into other weights; all else is made on
each. Scores must agree to 1e-4, those of labels, which count cells, to two cells (a vote may turn at a
tie), those of layers whose cells are nearly alike to 5e-4; the bounds of their intervals to as much, or a
two-hundredth of the interval's width (a twentieth where cells are nearly alike). What is no number in the
tables (verdicts, layers, statuses) must be the same. The exit status is the number of differences.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from workflow_study import ROOT, copy_repository

PROCESSORS = {
    "PyTorch's plain kernels": {"ATEN_CPU_CAPABILITY": "default"},
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "SSE4.2": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "OPENBLAS_CORETYPE": "Nehalem"},
}
STUDY_ON = ("AVX2", "SSE4.2")
TOLERANCE = 1e-4
OF_ALIKE = 5e-4  # 0.0002 was seen
CELLS = 2  # one of 692 was seen to turn, which moved macro F1 by 0.0025: rare labels weigh more
CELLS_OF_BOUNDS = 4  # a resample may draw a cell several times: 0.0037 was seen
NUMBERS = ("estimate", "ci_low", "ci_high", "ceiling", "null_mean")
BOUNDS = ("ci_low", "ci_high")
OF_WIDTH = 5e-3  # a bound of 1,000 resamples is uncertain by some hundredths of the width
OF_WIDTH_ALIKE = 0.05
REMARKS = ("reason",)  # sentences with numbers in them


def run_tests(processor: str) -> int:
    """Run the unit tests; 1 if any fails."""
    print(f"unit tests: {processor}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile", "tests/unit"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | PROCESSORS[processor]
    return int(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0)


def run_study(folder: Path, processor: str, cores: int) -> Path:
    """Make the default study's tables in a checkout; what is there is not made again."""
    print(f"default study: {processor}", flush=True)
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", str(cores)]
    environment = os.environ | {"PYTHONPATH": ""} | PROCESSORS[processor]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    tables = folder.with_name(f"{folder.name}-{processor}")
    shutil.rmtree(tables, ignore_errors=True)
    shutil.copytree(folder / "results" / "tables", tables)
    for made in (folder / "results").iterdir():
        if made.is_dir() and made.name != "cells":
            shutil.rmtree(made)
    return tables


def differences(one: Path, other: Path) -> list[str]:
    """What differs between the tables of two runs."""
    found = []
    for name in ("scores", "layers"):
        a, b = (
            pd.read_csv(at / f"{name}.tsv", sep="\t", dtype=str, keep_default_na=False) for at in (one, other)
        )
        if a.shape != b.shape or list(a) != list(b):
            return [f"{name}.tsv has the shape {a.shape} and {b.shape}"]
        for column in a:
            if column in NUMBERS:
                x, y = (pd.to_numeric(table[column], errors="coerce") for table in (a, b))
                allowed = _tolerance_of_bounds(a) if column in BOUNDS else _tolerance(a)
                rows = ((x - y).abs() > allowed) | (x.isna() != y.isna())
                most = (x - y).abs().max()
                print(f"{name}.tsv, {column}: largest difference {most:.2g}")
            elif column in REMARKS or _has_fractions(a[column]):
                continue
            else:
                rows = (a[column] != b[column]).to_numpy()
            found += [f"{name}.tsv, {column}: {a.iloc[i].to_dict()}" for i in np.flatnonzero(rows)]
    return found


def _tolerance(table: pd.DataFrame) -> pd.Series:
    """How far each score may move."""
    if "reason" not in table or "n_cells" not in table:
        return pd.Series(TOLERANCE, index=table.index)
    alike = np.where(table["reason"].str.contains("nearly alike"), OF_ALIKE, TOLERANCE)
    return pd.Series(np.fmax(alike, _of_cells(table, CELLS)), index=table.index)


def _of_cells(table: pd.DataFrame, n_cells: int) -> np.ndarray:
    """What so many cells are of all, where a score counts cells."""
    counts = table["task"] == "label" if "n_cells" in table else np.zeros(len(table), dtype=bool)
    return np.where(counts, n_cells / pd.to_numeric(table.get("n_cells", 1)), 0)


def _tolerance_of_bounds(table: pd.DataFrame) -> pd.Series:
    """How far the bounds of each interval may move: they are quantiles of random resamples."""
    low, high = (pd.to_numeric(table[bound], errors="coerce") for bound in BOUNDS)
    alike = table["reason"].str.contains("nearly alike")
    of_width = (high - low) * np.where(alike, OF_WIDTH_ALIKE, OF_WIDTH)
    return np.fmax(np.maximum(_tolerance(table), of_width), _of_cells(table, CELLS_OF_BOUNDS))


def _has_fractions(column: pd.Series) -> bool:
    """Whether a column holds numbers, and empty cells, alone, and not only whole numbers."""
    numbers = pd.to_numeric(column[column != ""], errors="coerce")
    return bool(numbers.notna().all() and (numbers % 1 != 0).any())


def main() -> None:
    """Run what was asked for."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--folder", type=Path, default=ROOT / "build" / "portability")
    p.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    p.add_argument("--only", choices=("tests", "study"))
    args = p.parse_args()
    failures = 0 if args.only == "study" else sum(run_tests(processor) for processor in PROCESSORS)
    if args.only != "tests":
        shutil.rmtree(args.folder, ignore_errors=True)
        args.folder.mkdir(parents=True)
        study = copy_repository(args.folder / "study").folder
        tables = [run_study(study, processor, args.cores) for processor in STUDY_ON]
        found = differences(*tables)
        print("\n".join(found) or "the tables agree")
        failures += len(found)
    sys.exit(min(failures, 100))


if __name__ == "__main__":
    main()
