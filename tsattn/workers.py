"""Where runs are trained: processes of this machine, or the workers of a Dask cluster.

A run that fails for any other reason than its own mathematics comes back as ``not run``, with the
reason; the others go on.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait

import loky
from loky.process_executor import ProcessPoolExecutor

from .data import DataWarning
from .settings import Settings
from .training import Result, train


def cores() -> int:
    """Cores that this process may use: taskset, a container's share and OMP_NUM_THREADS count."""
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    allowed = loky.cpu_count()
    return min(allowed, max(1, int(limit))) if limit.isdigit() else allowed


def not_run(s: Settings, error: BaseException | str) -> Result:
    """What is reported, and tried again next time."""
    reason = " ".join(str(error).split())
    if "alloc" in reason and "memory" in reason or isinstance(error, MemoryError):
        reason = f"not enough memory ({reason[:80] or 'MemoryError'})"
    elif not isinstance(error, (str, ValueError)):  # those say it in a sentence
        reason = f"{type(error).__name__}: {reason}"
    return Result(s, status="not run", reason=reason)


def attempt(s: Settings, also: dict[str, tuple[str, ...]], **options) -> Result:
    """``train`` in this process; ``also`` holds the other splits to test on, by run_id."""
    try:
        return train(s, also=also.get(s.run_id, ()), **options)
    except Exception as error:
        return not_run(s, error)


def _process(parent: int) -> None:
    """The beginning of a process that trains runs, and ends when the one that started it does."""
    warnings.simplefilter("ignore", DataWarning)  # the parent has read the data and said it

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # what is on disk is whole: every file is written atomically

    threading.Thread(target=watch, daemon=True).start()


def here(todo: list[Settings], jobs: int, options: dict) -> Iterator[Result]:
    """Results as they come, ``jobs`` processes side by side; a run whose process dies is started
    once more. Raises ``OSError`` where there is no room for processes."""
    waiting, running, idle, died = list(todo), {}, [], set()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                # A pool of one process each: when it dies it is known which run it was.
                pool = idle.pop() if idle else ProcessPoolExecutor(
                    1, initializer=_process, initargs=(os.getpid(),))
                s = waiting.pop(0)
                running[pool.submit(attempt, s, progress=False, **options)] = s, pool
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                s, pool = running.pop(future)
                if not future.exception():
                    idle.append(pool)
                    yield future.result()
                    continue
                pool.shutdown(kill_workers=True)
                if s in died:
                    yield not_run(s, "its process died twice, perhaps for want of memory; run "
                                     "fewer side by side (--jobs)")
                else:
                    died.add(s)
                    waiting.insert(0, s)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError("/dev/shm is full, which processes side by side need; make room there, or "
                      "train one run at a time (sweep --jobs 1).") from None
    finally:
        for pool in (*idle, *(pool for _, pool in running.values())):
            pool.shutdown(wait=True, kill_workers=True)


def on_cluster(todo: list[Settings], address: str, options: dict) -> Iterator[Result]:
    """Results as they come from the workers of the Dask scheduler at ``address``.

    Raises ``ValueError`` if there is none, or if its workers have more than one thread.
    """
    from distributed import Client, as_completed

    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)  # it would repeat a traceback until the time is up
    try:
        client = Client(address, timeout=5)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"--cluster {address}: no Dask scheduler answers there "
                         f"({type(error).__name__}); start one with `dask scheduler`, and give its "
                         "address, such as tcp://host:8786.") from None
    finally:
        logger.setLevel(before)
    with client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        if {w["nthreads"] for w in workers} != {1}:
            raise ValueError(
                f"{address}: needs at least one worker, each with one thread, since a run owns its "
                f"process; start them with dask worker {address} --nthreads 1 --nworkers N.")
        # Dask itself moves the run of a worker that died to another one.
        runs = {client.submit(attempt, s, progress=False, pure=False, **options): s for s in todo}
        for future in as_completed(list(runs)):
            try:
                yield future.result()
            except Exception as error:
                yield not_run(runs[future], error)
