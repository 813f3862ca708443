"""What the parts of the check on a GPU share: a check and its bound, and time and memory of a device."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Check:
    """Something measured, and the bound that it must keep."""

    what: str
    measured: float
    bound: str
    passed: bool


def at_most(what: str, measured: float, bound: float) -> Check:
    """A check that holds where the measured value is small."""
    return Check(what, measured, f"at most {bound:g}", measured <= bound)


def at_least(what: str, measured: float, bound: float) -> Check:
    """A check that holds where the measured value is large."""
    return Check(what, measured, f"at least {bound:g}", measured >= bound)


def on_gpu(device: torch.device) -> bool:
    return device.type == "cuda"


def timed(run: Callable[[], object], device: torch.device, at_least_seconds: float) -> tuple[float, int]:
    """Seconds of some runs, and how many; one at least."""
    times = 0
    if on_gpu(device):
        torch.cuda.synchronize()
    start = time.perf_counter()
    while times == 0 or time.perf_counter() - start < at_least_seconds:
        run()
        times += 1
        if on_gpu(device):
            torch.cuda.synchronize()
    return time.perf_counter() - start, times


def clear_memory() -> None:
    """Give back what no tensor holds."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reset_peak(device: torch.device) -> None:
    if on_gpu(device):
        torch.cuda.reset_peak_memory_stats()


def peak(device: torch.device) -> int:
    """Most bytes held at once: on a GPU since :func:`reset_peak`, on a CPU by the process so far."""
    if on_gpu(device):
        return int(torch.cuda.max_memory_reserved())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
