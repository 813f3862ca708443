"""How many threads the linear algebra under numpy may use for a while."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def blas_threads(n: int) -> AbstractContextManager[object]:
    """Limit the products and decompositions inside a ``with`` block to ``n`` threads."""
    limit: AbstractContextManager[object] = _pools().limit(limits=n, user_api="blas")
    return limit


@cache
def _pools() -> ThreadpoolController:
    """The process's thread pools, looked up once: that takes longer than a small search."""
    return ThreadpoolController()
