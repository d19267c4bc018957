"""Kernels that release the interpreter's lock, run on as many threads as torch may use.

A plain thread pool, not numba's `prange`: two OpenMP runtimes (torch's and numba's) spin against each other,
and each kernel compiles three times faster.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


def run_in_threads(calls: Sequence[Callable[[], object]]) -> list:
    """The results of `calls`, in order; at most `torch.get_num_threads()` of them run at once.

    Calls must not write to the same memory: which runs first is not defined.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(calls) == 1:
        return [call() for call in calls]
    futures = [_pool(threads, os.getpid()).submit(call) for call in calls]
    return [future.result() for future in futures]


def slices(count: int, smallest: int = 2048) -> list[tuple[int, int]]:
    """range(count) in equal pieces (start, stop), one a thread, but none shorter than `smallest`."""
    pieces = max(1, min(torch.get_num_threads(), count // smallest))
    ends = [count * i // pieces for i in range(pieces + 1)]
    return list(zip(ends[:-1], ends[1:], strict=True))


@lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """A pool for this process: a forked child has none of its parent's threads, hence the key."""
    return ThreadPoolExecutor(threads, thread_name_prefix="nerf")
