"""Work side by side on the threads of one run.

PyTorch spreads every single operation over its threads, which wait for the slowest after each of them; a training step
has two thousand operations, and one busy core stalls them all. Here each thread carries a part of the data through many
operations on its own, so that the threads meet a dozen times in a step.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch

_count = 1


@contextmanager
def use(n: int):
    """For the length of the block ``side_by_side`` has ``n`` threads and each PyTorch operation runs on one."""
    global _count
    before, _count = (torch.get_num_threads(), _count), n
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        _count = before[1]


def count() -> int:
    """Threads that ``side_by_side`` has."""
    return _count


def side_by_side(work, parts: list) -> list:
    """``[work(*part) for part in parts]``, the first on this thread and the others on threads of their own."""
    if len(parts) == 1:
        return [work(*parts[0])]
    device = "cuda" if torch.is_autocast_enabled("cuda") else "cpu"
    dtype, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)

    def on_one_thread(part):  # autocast and no_grad belong to a thread
        torch.set_num_threads(1)
        with torch.no_grad(), torch.autocast(device, dtype, enabled):
            return work(*part)

    others = [_pool(len(parts)).submit(on_one_thread, part) for part in parts[1:]]
    return [work(*parts[0])] + [f.result() for f in others]


def split(*tensors) -> list:
    """Parts by rows of several tensors side by side, at most one per thread, the last the smallest; None stays None."""
    return list(chunks(-(-len(tensors[0]) // _count), *tensors))


def chunks(size: int, *tensors):
    """Views of ``size`` rows at a time of several tensors side by side; None stays None."""
    for i in range(0, len(tensors[0]), size):
        yield [None if t is None else t[i:i + size] for t in tensors]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)
