"""A run ends with a summary, and what its jobs warned of stands in one table, re-run or not."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from workflow_study import ROOT, Checkout

STUDY: dict[str, Any] = {
    "study": {
        "title": "Tiny",
        "conditions": ["simulated_differentiation"],
        "models": ["hvg_pca", "qc_only"],
        "protocols": {"trajectory": ["paper"]},
    },
    "simulation": {"differentiation": {"cells": 200, "genes": 300}},
    "quality": {"min_genes_per_cell": 20},
    "resampling": {"resamples": 100, "splits": 10},
    "geometry": {"run": False},
}
# jobs that make no number, or whose accidents (a download begun anew) change none
ELSEWHERE = re.compile(r"fetch_\w+/|slice_cells/|simulate_cells/|gather_\w+|plot_\w+|[^/]+\.log$")


def studies() -> dict[str, dict[str, Any]]:
    """Configurations that together use every rule."""
    every = yaml.safe_load((ROOT / "config" / "referee.yaml").read_text(encoding="utf-8"))
    kept = {"simulated_differentiation", "simulated_Rest"}
    every["study"]["conditions"] = [name for name in every["study"]["conditions"] if name in kept]
    paper = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text(encoding="utf-8"))
    return {
        "every protocol": every,
        "in shards": every | {"extraction": {"shards": 3}},
        "sums": every | {"extraction": {"keep": "sums"}},
        "the paper": paper,
    }


@pytest.mark.parametrize("name", ["every protocol", "in shards", "sums", "the paper"])
def test_the_logs_of_all_jobs_that_make_numbers_are_gathered(checkout: Checkout, name: str) -> None:
    config = checkout.write_config("study.yaml", studies()[name])
    run = checkout.snakemake("-n", "-p", "--forceall", "--quiet", "host", "--configfile", config)
    assert run.returncode == 0, run.stdout
    written = {log.removeprefix("logs/") for log in re.findall(r"&> (logs/\S+)", run.stdout)}
    listed = re.search(r"--folder logs --logs (.*?) --scores", run.stdout)
    assert listed
    gathered = listed[1].split()
    assert len(gathered) == len(set(gathered))
    assert set(gathered) <= written
    assert {log for log in written - set(gathered) if not ELSEWHERE.match(log)} == set()


def test_a_run_says_what_ran_what_was_skipped_what_was_warned_of_and_where_the_report_is(
    checkout: Checkout,
) -> None:
    checkout.write_config("study.yaml", STUDY)
    run = checkout.snakemake("--configfile", "study.yaml")
    assert run.returncode == 0, run.stdout[-8000:]
    summary = run.stdout.partition("\nDone. Jobs that ran: 14, in 0:")[2]
    assert "Up to date" not in summary
    assert "Warnings: none." in summary
    assert "The report is results/report.html" in summary
    assert "Job 0: The study is complete" in run.stdout

    # a job that does not run again still counts
    log = checkout.folder / "logs/compute_baseline/simulated_differentiation/qc_only.log"
    log.write_text("warning: odd\nwarning: even\n", encoding="utf-8")
    table = checkout.folder / "results/tables/warnings.tsv"
    table.unlink()
    run = checkout.snakemake("--configfile", "study.yaml")
    assert run.returncode == 0, run.stdout[-8000:]
    assert "Jobs that ran: 2, in" in run.stdout
    assert "Up to date, so skipped: " in run.stdout
    assert "Warnings: 2, all in results/tables/warnings.tsv:\n  even (simulated_differ" in run.stdout
    assert "odd" in table.read_text(encoding="utf-8")
    assert "2 warnings were given" in (checkout.folder / "results/report.html").read_text(encoding="utf-8")

    # a run that fails says what is left, and that the rest is kept
    next(checkout.folder.glob("results/scores/*/*/*/qc_only/*.npz")).write_bytes(b"broken")
    run = checkout.snakemake("--logger", "layerscope", "--configfile", "study.yaml", path="workflow")
    assert run.returncode != 0
    assert "Failed: Choosing layers" in run.stdout and "not whole bootstrap values" in run.stdout
    assert len(run.stdout.splitlines()) < 12  # without a terminal no bar, and no lines for jobs
    assert "Not complete. Jobs that ran: 0, in" in run.stdout
    assert re.search(r"Jobs that failed, or wait for one that did: .*1 choose layers", run.stdout)
    assert "The report is" not in run.stdout
