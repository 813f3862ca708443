"""What scrolls by while a study runs: one bar, or a line now and then where there is no terminal.

Snakemake finds this package by its name, wherever it can be imported: ``snakemake --logger layerscope``.
Errors are shown at once, warnings at the end. What is left out stands below ``.snakemake/log``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text
from snakemake.logging import ColorizingTextHandler
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_layerscope.jobs import Jobs

SECONDS_BETWEEN_LINES = 30
"""Without a terminal a line is written so often, and whenever another tenth of the jobs is done."""
LINES_OF_LOG = 20
"""So many of the last lines of a failed job's log are shown."""
BEFORE_JOBS = (
    "Assuming unrestricted shared filesystem",
    "host: ",
    "Using shell: ",
    "Conda environments: ignored",
)
"""Remarks before the first job that are left out; all others are shown."""
CANCELLED = "Terminating processes on user request"
AMID_JOBS = ("Trying to restart job", CANCELLED)
"""Remarks since the first job that are shown; all others are left out."""
SAID_OTHERWISE = (
    "RuleException:\nCalledProcessError",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete",
)
"""Errors that add nothing to the failed job, which is shown, and to the end of the run."""


class LogHandler(LogHandlerBase):
    """Shows what a person wants to know of a run; of a dry run all that Snakemake shows."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        self._console = Console(stderr=not settings.stdout, no_color=settings.nocolor or None)
        self._plain = ColorizingTextHandler(settings.nocolor, self._console.file)
        self._jobs = Jobs({}, 0.0)
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=16),
            StateColumn(self),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
            console=self._console,
            expand=True,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,  # where it is piped into another program it must stay what it is
            disable=not self._console.is_interactive,
        )
        self._task = self._bar.add_task("")
        self._last_line, self._last_tenth = 0.0, 0
        self._cancelled = False
        self._warnings: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if self.common_settings.dryrun:
            self._plain.setFormatter(self.formatter)
            self._plain.emit(record)
            return
        try:
            self._show(record)
        except Exception:  # noqa: BLE001 - as in every handler: what cannot be shown must not end a run
            self.handleError(record)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._end()
        super().close()

    def state(self) -> str:
        """How far the run is at this moment."""
        return self._jobs.state(time.time())

    def _show(self, record: Any) -> None:
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                self._begin(record)
            case LogEvent.JOB_INFO:
                message = record.rule_msg or record.rule_name
                self._jobs.start(record.jobid, record.rule_name, message, record.created)
            case LogEvent.JOB_FINISHED:
                self._jobs.finish(record.job_id, record.created)
            case LogEvent.PROGRESS:
                self._jobs.done, self._jobs.total = record.done, record.total
                self._write_line(record.created)
            case LogEvent.JOB_ERROR:
                failure = "\n".join(self._failure(record))
                if not self._cancelled:
                    self._print(failure, "red")
            case LogEvent.ERROR | LogEvent.GROUP_ERROR | LogEvent.SHELLCMD | LogEvent.DEBUG_DAG | None:
                self._remark(record)
        done, total, activity = self._jobs.done, self._jobs.total, self._jobs.activity()
        self._bar.update(self._task, completed=done, total=total, description=activity, refresh=True)

    def _begin(self, record: Any) -> None:
        jobs = {rule: count for rule, count in record.stats.items() if rule != "total"}
        self._jobs, self._last_line = Jobs(jobs, record.created), record.created
        self._bar.start()
        if self._bar.disable:
            self._print(f"{self._jobs.total:,} jobs")

    def _end(self) -> None:
        """Take the bar away, and say what was warned of."""
        self._bar.stop()
        for warning in self._warnings:
            self._print(warning, "yellow")
        self._warnings.clear()

    def _write_line(self, now: float) -> None:
        """Without a terminal: how far the run is, if it is time to say so."""
        tenth = 10 * self._jobs.done // self._jobs.total
        if self._bar.disable and (tenth > self._last_tenth or now - self._last_line >= SECONDS_BETWEEN_LINES):
            self._last_tenth, self._last_line = tenth, now
            self._print(": ".join(filter(None, [self._jobs.state(now), self._jobs.activity()])))

    def _remark(self, record: logging.LogRecord) -> None:
        """Show what Snakemake says beside, if a person wants to know it."""
        text = self.format(record)
        self._cancelled |= text.startswith(CANCELLED)
        if record.levelno > logging.WARNING:
            if not (self._jobs.names_jobs and text.startswith(SAID_OTHERWISE)):
                self._print(text, "red")
        elif record.levelno == logging.WARNING:
            self._warnings[text] = None
        elif hasattr(record, "summary"):
            self._end()
            self._print(text)
        elif hasattr(record, "event") or self.common_settings.verbose or self._is_telling(text):
            self._print(text)

    def _is_telling(self, remark: str) -> bool:
        return remark.startswith(AMID_JOBS) if self._jobs.total else not remark.startswith(BEFORE_JOBS)

    def _failure(self, record: Any) -> Iterator[str]:
        """What failed and why, with the end of its log."""
        yield f"Failed: {self._jobs.fail(record.jobid) or record.rule_name} (rule {record.rule_name})"
        if record.rule_msg:
            yield f"  {record.rule_msg}"
        for log in map(Path, record.log):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
            yield f"  {log}{':' if lines else ' is empty'}"
            yield from (f"    {line}" for line in lines[-LINES_OF_LOG:])

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)


class StateColumn(ProgressColumn):
    """How far the run is, told anew whenever the bar is drawn."""

    def __init__(self, handler: LogHandler) -> None:
        self._handler = handler
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        return Text(self._handler.state())
