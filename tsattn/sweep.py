"""Many runs: what is in the ledger is read, what is missing is trained, side by side."""

from __future__ import annotations

import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor
from tqdm.auto import tqdm

from . import data
from .ledger import Ledger, source_revision
from .settings import DATASETS, Settings
from .training import CHECKPOINTS, Result, load_trained, train


def missing(settings: list[Settings], ledger: Ledger, weights: bool = False, checkpoints=CHECKPOINTS) -> list[Settings]:
    """Those of ``settings`` that have no row in the ledger (or, with ``weights``, no trained weights here)."""
    done = ledger.runs(settings)
    status = dict(zip(done.run_id, done.status)) if len(done) else {}

    def lacks(s):
        if s.run_id not in status:
            return True
        return weights and status[s.run_id] == "complete" and \
            not (checkpoints / s.run_id / "best.safetensors").is_file()

    return [s for s in {s.run_id: s for s in settings}.values() if lacks(s)]


def seconds_expected(settings: list[Settings], ledger: Ledger) -> list[float]:
    """Core-seconds that each run will take, from the ledger's timings of the runs most like it.

    A run without any precedent of its model and attention is estimated by the mean of all; NaN with an empty ledger.
    """
    table = ledger.read("runs")
    if table.empty:
        return [math.nan] * len(settings)
    table = table[table.status == "complete"].assign(cost=lambda t: t.seconds * t.threads)
    expected = []
    for s in settings:
        near = table
        for name in ("profile", "model", "attention", "n_tokens", "dataset", "pred_len", "learning_rate"):
            closer = near[near[name] == (s.dataset_name if name == "dataset" else getattr(s, name))]
            near = closer if len(closer) else near
        expected.append(near.cost.mean())
    return expected


def estimate(settings: list[Settings], ledger: Ledger) -> float:
    """Core-hours of ``settings`` together; NaN with an empty ledger."""
    return sum(seconds_expected(settings, ledger)) / 3600


def plan(settings: list[Settings], ledger: Ledger, jobs: int | None = None, weights: bool = False) -> str:
    """What ``sweep`` would train, a line each, and how long that takes with ``jobs`` single-threaded runs at a time."""
    todo = missing(settings, ledger, weights)
    expected = seconds_expected(todo, ledger)
    jobs = max(1, min(jobs or os.cpu_count() or 1, len(todo)))
    lines = [f"{s.run_id}  about {w / 60:.0f} min" if w > 0 else s.run_id for s, w in zip(todo, expected)]
    total = f", about {sum(expected) / 3600 / jobs:.1f} hours with {jobs} at a time" if sum(expected) > 0 else ""
    return "\n".join([*lines, f"{len(todo)} of {len({s.run_id for s in settings})} runs are missing{total}"])


def sweep(settings: list[Settings], *, ledger: Ledger | None = None, data_dir=None, checkpoints=CHECKPOINTS,
          jobs: int | None = None, weights: bool = False, cluster: str = "", progress: bool = True) -> pd.DataFrame:
    """Rows of ``runs`` for ``settings``, after training those that are missing, ``jobs`` at a time.

    Each run gets its share of the cores. With ``cluster``, the address of a Dask scheduler, runs go to its workers, one
    thread each; they need this package, the data, and ``checkpoints`` in a folder that they share, if a run is to
    continue where a dead worker left it. Results are recorded here as they arrive, so an interrupted sweep continues
    where it was. A run whose process dies is started once more (from its last epoch); if it dies again, or its data or
    settings cannot be used, it is recorded as failed and the sweep goes on. ``weights`` also trains again what is in the
    ledger but has no weights here.
    """
    ledger = ledger or Ledger()
    todo = missing(settings, ledger, weights, checkpoints)
    ledger.tally["runs trained"] += len(todo)
    ledger.tally["runs read"] += len({s.run_id for s in settings}) - len(todo)
    cores = os.cpu_count() or 1
    jobs = max(1, min(jobs or cores, len(todo)))
    options = dict(data_dir=data_dir, checkpoints=checkpoints, n_threads=1 if cluster else max(1, cores // jobs))
    if len(todo) == 1 and not cluster:
        ledger.record_run(train(todo[0], progress=progress, **options))
    elif todo:
        # The bar counts expected work, so that its remaining time holds for long and short runs alike.
        work = {s.run_id: w if w > 0 else 1.0 for s, w in zip(todo, seconds_expected(todo, ledger))}
        results = _on_cluster(todo, cluster, options) if cluster else _here(todo, jobs, options)
        with tqdm(total=sum(work.values()), desc=f"{len(todo)} runs", disable=not progress,
                  bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed} < {remaining}{postfix}") as bar:
            for n, result in enumerate(results, 1):
                ledger.record_run(result)
                bar.set_postfix_str(f"{n} of {len(todo)}, last: {result.settings.run_id}", refresh=False)
                bar.update(work[result.settings.run_id])
    return ledger.runs(settings)


# What is wrong with a run rather than with the machine: trying again would not help.
HOPELESS = (ValueError, OSError, torch.OutOfMemoryError)


def _failed(s: Settings, error: BaseException) -> Result:
    return Result(s, status="failed", reason=f"{type(error).__name__}: {error}")


def _place() -> ProcessPoolExecutor:
    """A process that trains one run at a time, and ends when this one does."""
    return ProcessPoolExecutor(1, initializer=_end_with, initargs=(os.getpid(),))


def _end_with(parent: int) -> None:
    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # what is on disk is whole: every file is written atomically

    threading.Thread(target=watch, daemon=True).start()


def _here(todo: list[Settings], jobs: int, options: dict) -> Iterator[Result]:
    # One process per place: when one dies it is known which run it was.
    places: queue.Queue = queue.Queue()
    for _ in range(jobs):
        places.put(_place())
    try:
        yield from Parallel(jobs, backend="threading", return_as="generator_unordered")(
            delayed(_attempt)(s, places, options) for s in todo)
    finally:
        while not places.empty():
            places.get().shutdown(wait=False, kill_workers=True)


def _attempt(s: Settings, places: queue.Queue, options: dict) -> Result:
    place = places.get()
    try:
        for _ in range(2):
            try:
                return place.submit(train, s, progress=False, **options).result()
            except BrokenProcessPool as error:
                place.shutdown(wait=False, kill_workers=True)
                place, reason = _place(), f"its process died twice ({type(error).__name__})"
            except HOPELESS as error:
                return _failed(s, error)
        return Result(s, status="failed", reason=reason)
    finally:
        places.put(place)


def _on_cluster(todo: list[Settings], address: str, options: dict) -> Iterator[Result]:
    from distributed import Client, KilledWorker, as_completed

    with Client(address) as client:
        threads = [w["nthreads"] for w in client.scheduler_info(n_workers=-1)["workers"].values()]
        if max(threads, default=0) != 1:
            raise ValueError(f"{address}: needs at least one worker, each with one thread, since a run owns its process; "
                             f"found {len(threads)} with up to {max(threads, default=0)} threads; start them with "
                             f"dask worker {address} --nthreads 1 --nworkers N.")

        def submit(s):
            return client.submit(train, s, progress=False, pure=False, **options)

        runs = {submit(s): s for s in todo}
        tried: set = set()
        results = as_completed(list(runs))
        for future in results:
            s = runs.pop(future)
            try:
                yield future.result()
            except (KilledWorker, *HOPELESS) as error:  # Dask has already moved the run from dead workers to others
                yield _failed(s, error)
            except Exception as error:
                if s.run_id in tried:
                    yield _failed(s, error)
                else:
                    tried.add(s.run_id)
                    again = submit(s)
                    runs[again] = s
                    results.add(again)


def on_trained(table: str, runs: list[Settings], points: list[dict], measure: Callable[..., list[dict]], *,
               ledger: Ledger, data_dir=None, checkpoints=CHECKPOINTS) -> pd.DataFrame:
    """Rows of ``table`` for every trained run and point; what the ledger lacks is measured, one process per core.

    ``measure(model, splits, **point)`` gets the run's model with its best weights, in evaluation mode, and returns rows;
    they are kept under ``run_id`` and the columns of the point. Where weights are not here, the run is trained again,
    after a word on how long that takes.
    """
    by_id = {s.run_id: s for s in runs}
    keys = [{"run_id": run_id, **point} for run_id in by_id for point in points]
    needed = {key["run_id"] for key in ledger.lacking(table, keys)}
    lost = missing([by_id[run_id] for run_id in needed], ledger, True, checkpoints)
    cores = os.cpu_count() or 1
    if lost:
        print(f"{len(lost)} trained models are not here and are trained again; on {cores} cores this takes about "
              f"{math.ceil(60 * estimate(lost, ledger) / min(cores, len(lost)))} minutes.", flush=True)
        sweep(lost, ledger=ledger, data_dir=data_dir, checkpoints=checkpoints, weights=True)

    def at(run_id, **point):
        s = by_id[run_id]
        splits = data.of(s, data_dir)
        with torch.no_grad():
            return measure(load_trained(s, len(splits.channels), checkpoints), splits, **point)

    return ledger.measured(table, keys, at, jobs=cores)


TOLERANCE = 0.02  # of the test MSE: on other processors, rounding grows over the epochs and may move the epoch kept


def verify(ledger: Ledger, sample: int = 3, run_ids=(), cheaper_than: float = math.inf, data_dir=None) -> pd.DataFrame:
    """Retrain complete rows of ``runs`` from nothing and say whether they come out the same; the ledger stays as it is.

    ``run_ids``, or ``sample`` rows drawn at random among those that took less than ``cheaper_than`` seconds. On the same
    kind of processor, with the same sources and versions, a run is ``identical`` to the last bit of every epoch's errors;
    elsewhere its test MSE should be ``close``, within ``TOLERANCE``; else it is ``different``. Raises ``ValueError`` if
    there is no such row, ``LedgerError`` for an unknown run_id.
    """
    table = ledger.read("runs")
    if not run_ids:
        rows = table[(table.status == "complete") & table.dataset.isin(DATASETS) & (table.seconds < cheaper_than)] \
            if len(table) else table
        if rows.empty:
            raise ValueError(f"{ledger.folder}: no complete run that took less than {cheaper_than:g} seconds.")
        run_ids = rows.run_id.sample(min(sample, len(rows)))
    found = []
    for run_id in run_ids:
        s = ledger.settings(run_id)
        row, recorded = ledger.runs([s]).iloc[0], ledger.curves([s])
        with TemporaryDirectory() as folder:
            result = train(s, data_dir=data_dir, checkpoints=Path(folder), n_threads=int(row.threads))
        change = result.test_mse / row.test_mse - 1
        again = pd.DataFrame(result.curves)
        same = len(recorded) and all(np.array_equal(again[c], recorded[c]) for c in ("train_mse", "val_mse", "test_mse"))
        found.append(dict(run_id=run_id, seconds=row.seconds, recorded=row.test_mse, now=result.test_mse, change=change,
                          outcome="identical" if same else "close" if abs(change) <= TOLERANCE else "different",
                          same_sources=row.source.split(":")[-1] == source_revision().split(":")[-1],
                          same_versions=(row.torch, row.numpy) == (torch.__version__, np.__version__)))
    return pd.DataFrame(found)
