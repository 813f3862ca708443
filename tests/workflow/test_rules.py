"""Every rule says what it needs, and the workflow is written as its tools want it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_study import ROOT, STUDY, Checkout

RULE = re.compile(r"^(?:use )?rule (\w+)(?: as (\w+))?(?: with)?:\n((?:[ \n].*\n?)*)", re.MULTILINE)


def rules() -> list[tuple[str, str]]:
    """Name and text of every rule that does work of its own."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "workflow").rglob("*.smk"))
    return [(name, body) for name, derived, body in RULE.findall(text) if not derived]


@pytest.mark.parametrize(("name", "body"), rules(), ids=[name for name, _ in rules()])
def test_a_rule_names_its_log_benchmark_threads_memory_and_environment(name: str, body: str) -> None:
    for directive in ("log", "benchmark", "threads", "resources", "conda", "message", "shell"):
        assert re.search(rf"^    {directive}:", body, re.MULTILINE), f"{name} has no {directive}"
    assert "mem_mb=" in body
    assert "runtime=" in body
    assert "lambda" not in body
    environment = re.search(r'conda:\n\s+"\.\./\.\./(envs/\w+\.yaml)"', body)
    assert environment and (ROOT / environment.group(1)).is_file()


def test_rules_were_found() -> None:
    assert len(rules()) >= 15


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "scripts").glob("*.py")))
def test_every_script_explains_itself(name: str) -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "scripts" / name, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/usr/bin:/bin"},
    )
    assert run.returncode == 0, run.stderr
    assert "usage:" in run.stdout.lower()


def test_the_papers_study_builds_its_jobs(checkout: Checkout) -> None:
    jobs = checkout.jobs("--configfile", "config/paper.yaml")
    # 12 + 2 and 24 + 2 layers, trained and untrained, and five baselines, on one and on three conditions
    # by protocols paper and strict
    assert jobs["score_layer"] == 4 * 2 * (2 * 14 + 2 * 26 + 5)
    assert jobs["make_reference"] == 4 * 2
    assert jobs["slice_cells"] == 3
    assert jobs["fetch_weights"] == 6


def test_screens_too_large_to_store_keep_sums(checkout: Checkout) -> None:
    conditions = ["differentiation", "Rest", "Stim8hr", "Stim48hr"]
    models = ["embedded_scfoundation", "embedded_tahoe_x1", "hvg_pca"]
    studied = {"conditions": [f"simulated_{name}" for name in conditions], "models": models}
    study = STUDY | {"study": STUDY["study"] | studied}
    stored = checkout.jobs("--configfile", checkout.write_config("stored.yaml", study))
    name = checkout.write_config("sums.yaml", study | {"extraction": {"keep": "sums"}})
    jobs = checkout.jobs("--configfile", name)
    assert jobs["extract_layers"] + jobs["sum_layers"] == stored["extract_layers"]
    # three of four conditions are screens; the trajectory needs its cells
    assert jobs["sum_layers"] == 3 * jobs["extract_layers"]
    assert jobs["score_layer"] == stored["score_layer"]
    assert jobs["describe_geometry"] == stored["describe_geometry"] / 4


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["snakefmt", "--check", "Snakefile", "workflow"],
        ["snakemake", "--lint"],
        ["mypy"],
    ],
    ids=" ".join,
)
def test_the_checks_are_clean(command: list[str]) -> None:
    program = Path(sys.executable).parent / command[0]
    run = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
