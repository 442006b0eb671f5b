"""Where runs are trained: processes of this machine, or the workers of a Dask cluster.

A run that fails for any other reason than its own mathematics comes back as ``not run``, with the
reason; the others go on.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

import loky
from loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

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


@contextmanager
def starting_processes():
    """Where processes are started that share memory: if there is no room for it, an error that
    names the place."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError("/dev/shm is full, which processes side by side need; make room there, or "
                      "train one run at a time (sweep --jobs 1).") from None


def _place() -> ProcessPoolExecutor:
    """A process that trains one run at a time, and ends when this one does."""
    return ProcessPoolExecutor(1, initializer=_end_with, initargs=(os.getpid(),))


def _end_with(parent: int) -> None:
    warnings.simplefilter("ignore", DataWarning)  # the parent has read the data and said it

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # what is on disk is whole: every file is written atomically

    threading.Thread(target=watch, daemon=True).start()


def here(todo: list[Settings], jobs: int, options: dict) -> Iterator[Result]:
    """Results as they come, ``jobs`` processes side by side; one that cannot be started is this
    process. Raises ``OSError`` where several cannot be started."""
    # One process per place: when one dies it is known which run it was.
    places: queue.Queue = queue.Queue()
    try:
        with starting_processes():
            everywhere = [_place() for _ in range(jobs)]
    except OSError:
        if jobs > 1:
            raise
        yield from (attempt(s, progress=False, **options) for s in todo)
        return
    for place in everywhere:
        places.put(place)
    stopped = threading.Event()

    def one(s: Settings) -> Result:
        place = places.get()
        try:
            for _ in range(2):
                if stopped.is_set():
                    break
                try:
                    return place.submit(attempt, s, progress=False, **options).result()
                except BrokenProcessPool:
                    place.shutdown(wait=True, kill_workers=True)
                    if not stopped.is_set():
                        place = _place()
                        everywhere.append(place)
                except Exception as error:
                    return not_run(s, error)
            return not_run(s, "its process died twice, perhaps for want of memory; run fewer "
                              "side by side (--jobs)")
        finally:
            places.put(place)

    threads = ThreadPoolExecutor(jobs)
    try:
        for future in as_completed([threads.submit(one, s) for s in todo]):
            yield future.result()
    finally:
        stopped.set()
        threads.shutdown(wait=False, cancel_futures=True)
        for place in everywhere:
            place.shutdown(wait=True, kill_workers=True)
        threads.shutdown(wait=True)


def on_cluster(todo: list[Settings], address: str, options: dict) -> Iterator[Result]:
    """Results as they come from the workers of the Dask scheduler at ``address``.

    Raises ``ValueError`` if there is none, or if its workers have more than one thread.
    """
    from distributed import Client, KilledWorker
    from distributed import as_completed as completed

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
        threads = [w["nthreads"] for w in workers]
        if max(threads, default=0) != 1:
            raise ValueError(
                f"{address}: needs at least one worker, each with one thread, since a run owns its "
                f"process; found {len(threads)} with up to {max(threads, default=0)} threads; "
                f"start them with dask worker {address} --nthreads 1 --nworkers N.")

        def submit(s):
            return client.submit(attempt, s, progress=False, pure=False, **options)

        runs = {submit(s): s for s in todo}
        tried: set = set()
        results = completed(list(runs))
        for future in results:
            s = runs.pop(future)
            try:
                yield future.result()
            except KilledWorker as error:  # Dask has already moved the run to other workers
                yield not_run(s, error)
            except Exception as error:
                if s in tried:
                    yield not_run(s, error)
                else:
                    tried.add(s)
                    again = submit(s)
                    runs[again] = s
                    results.add(again)
