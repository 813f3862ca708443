"""One bar, read as a person reads it: Snakemake in a pseudo-terminal, with a workflow of some short jobs."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workflow_study import ROOT

SNAKEFILE = """
rule all:
    input:
        expand("{n}.txt", n=range(12)),

rule work:
    output:
        "{n}.txt",
    log:
        "{n}.log",
    message:
        "Computing number {wildcards.n}"
    shell:
        "echo odd {wildcards.n} > {log}; sleep {config[seconds]}; "
        "test {wildcards.n} != {config[broken]}; touch {output}"

onsuccess:
    logger.info("Done. The report is here", extra={"summary": True})

onerror:
    logger.info("Not complete.", extra={"summary": True})
"""
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
"""What a terminal is told to hide its cursor, and to show it again."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def words(seconds: float = 0.1, broken: int = -1) -> list[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--logger", "layerscope"]
    return [*command, "--config", f"seconds={seconds}", f"broken={broken}"]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "COLUMNS": "100", "TERM": "xterm"}


def in_terminal(folder: Path, command: list[str], cancel: bool = False) -> tuple[int, str]:
    """Exit status, and what a terminal shows; Ctrl-C is pressed while the first job that it names runs."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(command[0], command, environment())
    shown = ""
    while True:
        try:
            shown += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # Linux says so that the other side is closed
            break
        if cancel and "Computing number" in shown:
            while not any(folder.glob("*.log")):  # Snakemake tells of a job before it starts it
                time.sleep(0.05)
            time.sleep(1)
            os.write(terminal, b"\x03")
            cancel = False
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


def plain(shown: str) -> list[str]:
    """Lines without what moves the cursor or colours text; each drawing of the bar is a line."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", re.sub("\r\n?", "\n", shown)).splitlines()


def test_a_terminal_shows_one_bar_and_keeps_the_summary(folder: Path) -> None:
    status, shown = in_terminal(folder, words())
    assert status == 0
    lines = plain(shown)
    bars = [line for line in lines if " of 13 jobs, " in line]
    assert any(line.rstrip().endswith("Computing number 3") for line in bars)
    assert any("13 of 13 jobs" in line for line in bars)
    assert any("left" in line for line in bars)
    # all that stays when the bar is taken away
    assert [line for line in lines if line.strip() and line not in bars] == [
        "Building DAG of jobs...",
        "Done. The report is here",
    ]
    assert shown.rindex(SHOW) > shown.rindex(HIDE)


def test_a_failed_job_shows_its_log_and_the_run_fails(folder: Path) -> None:
    status, shown = in_terminal(folder, words(broken=3))
    assert status == 1
    lines = plain(shown)
    failed = lines.index("Failed: Computing number 3 (rule work)")
    assert lines[failed + 1 : failed + 3] == ["  3.log:", "    odd 3"]
    assert [line for line in lines if line.strip()][-1] == "Not complete."
    assert "CalledProcessError" not in shown


def test_ctrl_c_leaves_the_terminal_clean(folder: Path) -> None:
    status, shown = in_terminal(folder, words(seconds=10), cancel=True)
    assert status != 0
    assert "Terminating" in shown and "Not complete." in shown
    assert shown.rindex(SHOW) > shown.rindex(HIDE)


@pytest.mark.parametrize(
    ("asked", "out", "err"),
    [
        (["--dag", "dot"], "digraph", ""),
        (["--summary"], "output_file", ""),
        (["-n"], "Computing number 3", ""),
        (["--quiet"], "", "Done. The report is here"),
        ([], "", "13 of 13 jobs"),
    ],
)
def test_without_a_terminal_output_and_remarks_stay_apart(
    folder: Path, asked: list[str], out: str, err: str
) -> None:
    run = subprocess.run(
        [*words(), *asked], cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    assert out in run.stdout and err in run.stderr
    assert "jobs" not in run.stdout or asked == ["-n"]
    assert "\x1b" not in run.stdout + run.stderr
