"""Linear algebra on one thread, so that its bits do not depend on how many a process has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Hold BLAS to one thread: products of matrices are rounded differently on each number of threads.

    Takes some microseconds; other threads of the process are held too.
    """
    return _controller().limit(limits=1, user_api="blas")
