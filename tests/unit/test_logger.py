"""What scrolls by: records of Snakemake go in, and lines for a person come out."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_layerscope import LogHandler
from snakemake_logger_plugin_layerscope.jobs import Jobs


class Run:
    """Speaks as Snakemake does, at times in seconds; tests have no terminal."""

    def __init__(self, **settings: object) -> None:
        usual = {"stdout": False, "nocolor": False, "dryrun": False, "verbose": False}
        self.handler = LogHandler(SimpleNamespace(**usual | settings), None)

    def say(self, text: str = "", level: int = logging.INFO, now: float = 0.0, **fields: object) -> None:
        record = logging.LogRecord("snakemake", level, "", 0, text, None, None)
        vars(record).update(fields, created=now)
        self.handler.handle(record)

    def begin(self, **jobs: int) -> None:
        self.say(event=LogEvent.RUN_INFO, stats=jobs | {"total": sum(jobs.values())})

    def start(self, job: int, now: float = 0.0) -> None:
        fields = {"jobid": job, "rule_name": "score_layer", "rule_msg": f"Scoring layer {job}"}
        self.say(event=LogEvent.JOB_INFO, now=now, **fields)

    def finish(self, job: int, total: int, now: float) -> None:
        self.say(event=LogEvent.JOB_FINISHED, job_id=job, now=now)
        self.say(event=LogEvent.PROGRESS, done=job, total=total, now=now)

    def fail(self, job: int, message: str = "", *logs: str) -> None:
        fields = {"jobid": job, "rule_name": "score_layer", "rule_msg": message, "log": logs}
        self.say(event=LogEvent.JOB_ERROR, level=logging.ERROR, **fields)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]):
    """The lines written since the last time, all to standard error."""

    def read() -> list[str]:
        written = capsys.readouterr()
        assert not written.out
        return written.err.splitlines()

    return read


def test_without_a_terminal_every_tenth_of_the_jobs_is_told(lines) -> None:
    run = Run()
    run.begin(score_layer=40)
    for job in range(1, 41):
        run.start(job, job - 1)
        run.finish(job, 40, now=job)
    first, *others = lines()
    assert first == "40 jobs"
    assert others[0] == "4 of 40 jobs, 0:00:04 so far"
    assert others[2].endswith("minute left")
    assert [int(line.split()[0]) for line in others] == [*range(4, 41, 4)]


def test_without_a_terminal_slow_jobs_are_told_every_half_minute(lines) -> None:
    run = Run()
    run.begin(score_layer=1000)
    for job in range(1, 13):
        run.start(job)
        run.finish(job, 1000, now=10 * job)
    assert [int(line.split()[0]) for line in lines()[1:]] == [3, 6, 9, 12]


def test_what_is_computed_is_the_job_that_began_last(lines) -> None:
    run = Run()
    run.begin(score_layer=10)
    for job in (1, 2, 3):
        run.start(job)
    run.finish(1, 10, now=1)
    assert lines()[-1].endswith("Scoring layer 3")


def test_a_failed_job_shows_its_message_its_log_and_the_end_of_it(lines, tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    run = Run()
    run.begin(score_layer=2)
    run.start(7)
    run.fail(7, "out of memory", str(log), "none.log")
    shown = lines()[1:]
    assert shown[:3] == ["Failed: Scoring layer 7 (rule score_layer)", "  out of memory", f"  {log}:"]
    assert shown[3:-1] == [f"    line {number}" for number in range(30, 50)]
    assert shown[-1].startswith("  none.log")


def test_warnings_come_at_the_end_once_each_and_before_the_summary(lines) -> None:
    run = Run()
    run.begin(score_layer=2)
    for text in ("low disk", "old cluster", "low disk"):
        run.say(text, logging.WARNING)
    assert lines() == ["2 jobs"]
    run.say("Done.", summary=True)
    assert lines() == ["low disk", "old cluster", "Done."]
    run.say("late", logging.WARNING)
    run.handler.close()
    assert lines() == ["late"]


@pytest.mark.parametrize(
    ("text", "before", "amid"),
    [
        ("Building DAG of jobs...", True, False),
        ("Nothing to be done (all requested files are present and up to date).", True, False),
        ("Creating conda environment envs/models.yaml...", True, False),
        ("host: node1", False, False),
        ("Job 3 has been submitted with SLURM jobid 12", True, False),
        ("Trying to restart job 3.", True, True),
        ("Terminating processes on user request, this might take some time.", True, True),
    ],
)
def test_a_remark_is_shown_if_a_person_wants_to_know_it(lines, text: str, before: bool, amid: bool) -> None:
    run = Run()
    run.say(text)
    assert lines() == [text] * before
    run.begin(score_layer=2)
    run.say(text)
    assert lines()[1:] == [text] * amid


def test_errors_are_shown_at_once_but_not_those_that_repeat_a_failed_job(lines) -> None:
    repeated = "RuleException:\nCalledProcessError in file"
    run = Run()
    run.say("no such model", logging.ERROR, event=LogEvent.ERROR)
    run.begin(score_layer=2)
    run.say(repeated, logging.ERROR, event=LogEvent.ERROR)
    run.start(1)
    run.say(repeated, logging.ERROR, event=LogEvent.ERROR)
    run.say("Missing output", logging.ERROR, event=LogEvent.ERROR)
    assert lines() == ["no such model", "2 jobs", *repeated.splitlines(), "Missing output"]


def test_jobs_that_were_cancelled_did_not_fail(lines) -> None:
    run = Run()
    run.begin(score_layer=2)
    run.start(1)
    run.say("Terminating processes on user request, this might take some time.")
    run.fail(1)
    assert len(lines()) == 2


def test_progress_is_told_where_rules_are_not(lines) -> None:
    run = Run()
    run.begin(score_layer=2)
    run.finish(1, 2, now=1)
    assert lines()[-1].startswith("1 of 2 jobs")
    run.fail(2)
    assert [line.split()[:2] for line in lines()] == [["Failed:", "score_layer"]]


def test_of_a_plan_all_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(dryrun=True, stdout=True)
    for text in ("host: node1", "Job stats:", "Reasons:"):
        run.say(text)
    assert capsys.readouterr().out.splitlines() == ["host: node1", "Job stats:", "Reasons:"]


def finish(jobs: Jobs, rule: str, count: int, seconds: float, now: float) -> float:
    """Jobs of a rule, one after the other; the time when the last one ends."""
    for job in range(count):
        jobs.start(job, rule, rule, now)
        now += seconds
        jobs.finish(job, now)
    return now


@pytest.mark.parametrize(
    ("done", "left"),
    [
        ({"score": (9, 60)}, "so far"),  # too few
        ({"score": (10, 60)}, "about 10 min left"),
        ({"score": (10, 1)}, "under a minute left"),
        ({"score": (10, 3600)}, "about 10 h left"),
        ({"score": (20, 1)}, "so far"),  # nothing is left
        ({"extract": (15, 600)}, "so far"),  # scores are more than what is done, and none was seen
        ({"score": (16, 60), "extract": (15, 600)}, "about 54 min left"),  # five of 600 s, four of 60 s
        ({"extract": (20, 600)}, "about 3 h left"),  # scores as long as extractions
    ],
)
def test_the_time_left_is_that_of_the_rules_that_are_left(
    done: dict[str, tuple[int, float]], left: str
) -> None:
    jobs = Jobs({"score": 20, "extract": 20 if "extract" in done else 0}, 0.0)
    now = 0.0
    for rule, (count, seconds) in done.items():
        now = finish(jobs, rule, count, seconds, now)
    assert jobs.state(now).endswith(left)


def test_jobs_that_run_at_once_end_sooner() -> None:
    jobs = Jobs({"score": 20}, 0.0)
    for job in range(10):
        jobs.start(job, "score", "", 0.0)
    for job in range(10):
        jobs.finish(job, 600.0)
    assert jobs.state(600.0).endswith("about 10 min left")


def test_an_estimate_that_has_passed_is_told_no_more() -> None:
    jobs = Jobs({"score": 20}, 0.0)
    now = finish(jobs, "score", 10, 60, 0.0)
    assert jobs.state(now + 300).endswith("about 5 min left")
    assert jobs.state(now + 601).endswith("so far")
