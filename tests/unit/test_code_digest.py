"""What is code of a job, so that editing it runs the job again: what its script imports, and nothing else."""

from __future__ import annotations

from layerscope.code_digest import code_digest, code_of
from layerscope.installation import PACKAGE


def names(*asked: str) -> set[str]:
    return {file.relative_to(PACKAGE).as_posix() for file in code_of(*asked) if PACKAGE in file.parents}


def test_the_code_of_a_score_is_that_of_its_task_alone() -> None:
    files = names("score_layer.py", "tasks/label/task.py", "tasks/label/job.py")
    assert {"tasks/jobs.py", "tasks/label/scores.py", "tables.py"} <= files
    assert not [name for name in files if name.startswith(("tasks/time", "models/", "report/", "doors/"))]


def test_a_model_more_is_no_other_code_of_a_model() -> None:
    files = names("extract_layers.py", "models/scgpt.py")
    assert "models/scgpt_network.py" in files
    assert not files & {"models/uce.py", "models/catalogue.py"}


def test_the_code_of_the_report_is_its_page_too() -> None:
    assert any(name.endswith(".html") for name in names("write_report.py"))


def test_the_digest_tells_codes_apart() -> None:
    assert len({code_digest(name) for name in ("fetch_file.py", "slice_cells.py", "write_report.py")}) == 3
