"""How many threads work at once, and on what."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Task = TypeVar("Task")
Result = TypeVar("Result")


def blas_threads(n: int) -> AbstractContextManager[object]:
    """Limit the products and decompositions inside a ``with`` block to ``n`` threads."""
    limit: AbstractContextManager[object] = _pools().limit(limits=n, user_api="blas")
    return limit


def in_threads(work: Callable[[Task], Result], tasks: Iterable[Task], threads: int) -> Iterator[Result]:
    """Do tasks in several threads; results come in the order of the tasks, of which few are held at once."""
    if threads == 1:
        yield from map(work, tasks)
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[Result]] = deque()
        for task in tasks:
            ahead.append(pool.submit(work, task))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@cache
def _pools() -> ThreadpoolController:
    """The process's thread pools, looked up once: that takes longer than a small search."""
    return ThreadpoolController()
