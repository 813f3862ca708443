"""The jobs of a run: how many are done, which run, and how long the others will take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta

FEWEST = 10
"""Jobs that must be done before a time left is told."""


class Jobs:
    """Jobs begin and end at times in seconds, as Snakemake's records tell them."""

    def __init__(self, counts: Mapping[str, int], now: float) -> None:
        self.done, self.total = 0, sum(counts.values())
        self.names_jobs = False
        """Whether jobs that begin, and that fail, are told of; ``--quiet rules`` does not."""
        self._began = now
        self._ends: float | None = None
        self._left = Counter(counts)
        self._finished: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)  # of these, by rule
        self._running: dict[int, tuple[str, str, float]] = {}

    def start(self, job: int, rule: str, message: str, now: float) -> None:
        """A job begins, or is submitted."""
        self.names_jobs = True
        self._running[job] = rule, message, now

    def fail(self, job: int) -> str:
        """A job has failed; what it computed, by the message of its rule, if it was told of."""
        return self._running.pop(job)[1] if job in self._running else ""

    def finish(self, job: int, now: float) -> None:
        """A job is done."""
        if job not in self._running:
            return
        rule, _, began = self._running.pop(job)
        self._left[rule] -= 1
        self._finished[rule] += 1
        self._seconds[rule] += now - began
        left = self._seconds_left(now - self._began)
        self._ends = None if left is None else now + left

    def activity(self) -> str:
        """What is being computed: the job that began last."""
        return [message for _, message, _ in self._running.values()][-1] if self._running else ""

    def state(self, now: float) -> str:
        """``83 of 223 jobs, about 2 min left``; the time so far where the time left is not known."""
        jobs = f"{self.done:,} of {self.total:,} jobs"
        if self._ends is None or self._ends <= now:
            return f"{jobs}, {timedelta(seconds=round(now - self._began))} so far"
        return f"{jobs}, {about(self._ends - now)} left"

    def _seconds_left(self, elapsed: float) -> float | None:
        """By rules' mean times, at the pace so far; None while unseen rules have more jobs than are done."""
        n_finished, spent = self._finished.total(), sum(self._seconds.values())
        unseen = sum(left for rule, left in self._left.items() if rule not in self._finished)
        if n_finished < FEWEST or unseen > n_finished:
            return None
        means = {rule: self._seconds[rule] / n for rule, n in self._finished.items()}
        work = sum(left * means.get(rule, spent / n_finished) for rule, left in self._left.items())
        return elapsed * work / spent


def about(seconds: float) -> str:
    """A time as exact as an estimate can be."""
    if seconds < 60:
        return "under a minute"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.0f} h"
