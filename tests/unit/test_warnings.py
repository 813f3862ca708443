"""Whatever is warned of stands in one table, the same for the same logs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import example_tables as example
import pandas as pd
import pytest

from layerscope.report.warned import NO_LOG, read_warnings, study_warnings, warnings_of, write_warnings
from layerscope.tables import write_scores

ROOT = Path(__file__).parents[2]
SCRIPT = """
import logging, sys, warnings
from layerscope.command_line import run
log = logging.getLogger("layerscope.cells.prepare")
def main():
    log.info("1,884 cells")
    log.warning("the root cell %s\\n  was filtered out", "AAC")
    warnings.warn("divided by zero", RuntimeWarning)
    warnings.warn("will go away", FutureWarning)
    logging.getLogger("fontTools").info("glyphs dropped")
run(main)
"""


@pytest.fixture
def gathered(tmp_path):
    """Write logs and gather them."""

    def gather(logs, names=None, settings=None):
        for name, text in logs.items():
            (tmp_path / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "logs" / name).write_text(text)
        write_scores(tmp_path / "scores.tsv", example.scores(seeds=1))
        files = {"folder": tmp_path / "logs", "scores": tmp_path / "scores.tsv"}
        options = {"logs": list(names or logs), "settings": settings or example.settings()}
        write_warnings(tmp_path / "warnings.tsv", **files, **options)
        return read_warnings(tmp_path / "warnings.tsv")

    return gather


def test_a_warning_is_one_line_that_can_be_found_and_the_rest_is_not(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("\\\\", "\\")],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "workflow")},
    )
    assert run.stderr.splitlines() == [
        "1,884 cells",
        "warning: the root cell AAC was filtered out",
        "warning: RuntimeWarning: divided by zero",
        "FutureWarning: will go away",
    ]
    log = tmp_path / "x.log"
    log.write_text(run.stderr)
    assert warnings_of(log) == ["RuntimeWarning: divided by zero", "the root cell AAC was filtered out"]


def test_each_row_names_the_step_what_it_was_about_and_the_log(gathered, tmp_path):
    name = "score_trajectory/blood/paper/m.1/layer_07.log"
    table = gathered({name: "fine\nwarning: odd\n", "prepare_cells/blood.log": "1,884 cells\n"})
    row = table[table["warning"] == "odd"].iloc[0]
    assert row["step"] == "score trajectory"
    assert row["of"] == "blood, paper, m.1, layer_07"
    assert row["log"] == (tmp_path / "logs" / name).as_posix()
    assert not table["step"].eq("prepare cells").any()


def test_a_log_that_is_not_there_is_not_taken_for_one_without_warnings(gathered):
    table = gathered({"a/x.log": ""}, names=["a/x.log", "a/y.log"])
    assert list(table[table["step"] == "a"]["of"]) == ["y"]
    assert list(table[table["step"] == "a"]["warning"]) == [NO_LOG]


def test_the_order_in_which_a_job_warned_and_how_often_do_not_matter(gathered, tmp_path):
    gathered({"a/x.log": "warning: one\nwarning: two\nwarning: one\n"})
    first = (tmp_path / "warnings.tsv").read_bytes()
    gathered({"a/x.log": "\0\0warning: two\nwarning: one\n"})
    assert (tmp_path / "warnings.tsv").read_bytes() == first


def test_a_model_without_an_untrained_control_is_warned_of(gathered):
    settings = example.settings()
    settings["models"] = {name: e for name, e in settings["models"].items() if e["kind"] != "control"}
    table = gathered({"a/x.log": ""}, settings=settings)
    said = table[table["of"] == "tahoe_x1_1b"]
    assert len(said) == 1 and "no untrained control" in said["warning"].iloc[0]
    assert list(said["step"]) == ["study"]
    settings["models"]["tahoe_x1_1b"]["family"] = "planted"  # which no training made
    assert not (gathered({"a/x.log": ""}, settings=settings)["of"] == "tahoe_x1_1b").any()


def test_a_condition_without_any_score_is_warned_of():
    rows = [
        replace(row, status="not_available", reason="needs raw counts")
        for row in example.scores(seeds=1)
        if row.condition == "D1_Rest" and row.model not in example.BASELINES
    ]
    said = list(study_warnings(pd.DataFrame([vars(row) for row in rows]), example.settings()))
    assert any(of == "D1_Rest" and "no foundation model" in warning for of, warning in said)
