"""Many runs: what is in the ledger is read, what is missing is trained, by the processes of this
machine or the workers of a Dask cluster; how long that takes."""

from __future__ import annotations

import errno
import logging
import math
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import nullcontext
from functools import cache, lru_cache
from itertools import islice

import loky
import numpy as np
import pandas as pd
import torch
from loky.process_executor import ProcessPoolExecutor

from . import data
from .checkpoints import CHECKPOINTS, best_file, load_trained, resume_file
from .ledger import RESULTS, Ledger, processor, row_of, source_revision
from .models import count_multiply_adds
from .progress import bar, counted, duration, say
from .runs import SHAPELESS
from .settings import ETT, Settings
from .training import Result, train

DIVERGED = ("training MSE", "validation MSE")  # how the reason of a run that diverged begins
TOLERANCE = 0.02  # of the test MSE: elsewhere, rounding grows and may move the epoch kept
# What decides how long a run takes, most important first.
ALIKE = ("model", "dataset", "embedding", "learning_rate", "attention", "n_tokens", "feed_forward",
         "d_model", "d_ff", "pred_len")
DISTURBED = 2  # times as long as any other takes a forecast while something is changed in the model


# -- how long runs take: by the ledger's timings of those most like them, scaled to their size


def on_cpu(s: Settings) -> bool:
    """Whether ``s`` would run on the CPU here."""
    return s.device == "cpu" or (s.device == "auto" and not torch.cuda.is_available())


def seconds_expected(settings: list[Settings], ledger: Ledger, data_dir=None,
                     points: list[dict] | None = None) -> list[float]:
    """Core-seconds that each run will take: the epochs that runs like it lasted, at most its own,
    times what one epoch of theirs took, in proportion to the work of both; NaN without any.

    With ``points``, one for each run: what a measurement there takes on the trained model instead,
    a forecast of its windows for each of its draws and strengths.
    """
    sources = (ledger, Ledger(RESULTS))
    told = {kind: _epochs(kind, sources, data_dir) for kind in {s.but(seed=0) for s in settings}}
    found = []
    for s, point in zip(settings, points or [None] * len(settings), strict=True):
        epochs, seconds = told[s.but(seed=0)]
        if point is not None:
            _, epoch, test = _forecasts(s, data_dir)
            grid = [len(str(point.get(k, "")).split()) or 1 for k in ("smoothings", "noises")]
            windows = min(point.get("windows") or test, test)
            epochs = DISTURBED * windows * math.prod(grid) * point.get("draws", 1) / epoch
        elif s.split == "tail" and s.but(split="standard") in settings:
            epochs = 0.0  # one training serves both
        found.append(epochs * seconds)
    return found


def _epochs(s: Settings, sources: tuple[Ledger, ...], data_dir) -> tuple[float, float]:
    """How many epochs ``s`` lasts, and the core-seconds of one, by the runs most like it in the
    first ledger that has any; on the same kind of device, if there are any."""
    for source in sources:
        table = source.read("runs")
        table = table[table.status == "complete"] if "threads" in table else table[:0]
        if len(table):
            break
    else:
        return math.nan, math.nan
    # Of two stretches of months that one training serves, the second has the time of a test.
    for of in ("split != 'tail'", "device == 'cpu'" if on_cpu(s) else "device != 'cpu'"):
        table = table.query(of) if len(table.query(of)) else table
    for name in ALIKE:  # those that agree with ``s``, if any do
        closer = table[table[name] == (s.dataset_name if name == "dataset" else getattr(s, name))]
        table = closer if len(closer) else table
    ended = table[(table.epochs_run < table.epochs) | (table.epochs >= s.epochs)]
    epochs = ended.epochs_run.clip(1).mean() if len(ended) else 2 * s.patience
    each = [row.seconds * row.threads / max(row.epochs_run, 1)
            * _times(s, source.known(row.run_id), data_dir) for row in table.tail(5).itertuples()]
    return min(epochs, s.epochs), float(np.median(each))


def _times(s: Settings, other: Settings | None, data_dir) -> float:
    """Work of an epoch of ``s`` in epochs of ``other``; 1 without the data of both."""
    def work(x: Settings) -> float:
        channels, forecasts, _ = _forecasts(x, data_dir)
        known = dict(embedding="linear") if x.coded or x.embedding == "oracle" else {}
        return forecasts * _per_window(x.but(**SHAPELESS, **known), channels)

    times = work(s) / work(other) if other else 1.0
    return 1.0 if math.isnan(times) else times


def _forecasts(s: Settings, data_dir) -> tuple[int, float, float]:
    """Channels, forecasts of windows that take as long as one epoch, and those of one test; NaN
    without the data."""
    channels, train, val, test = _lengths(s.dataset, s.seq_len, s.pred_len, data_dir, split=s.split,
                                          missing=s.missing, gaps=s.gaps)
    val, test = (min(n, s.max_windows or n) for n in (val, test))
    steps = min(train // s.batch_size, s.max_steps or train)
    return channels, 3 * steps * s.batch_size + val + test, test  # the way back takes twice as long


@cache
def _lengths(dataset: str, seq_len: int, pred_len: int, data_dir, **how) -> tuple:
    """Channels, and windows of the training, validation and test split; NaN without the data."""
    try:
        splits = data.load(dataset, seq_len, pred_len, data_dir, **how)
    except (OSError, ValueError):
        return 1, math.nan, math.nan, math.nan
    return len(splits.channels), *map(len, (splits.train, splits.val, splits.test))


@cache
def _per_window(s: Settings, channels: int) -> int:
    with torch.device("meta"):  # however large it is
        return max(1, count_multiply_adds(s, channels))


def together(seconds: list[float], places: int) -> float:
    """Seconds until pieces of work (core-seconds) are done, as many at a time as there are
    ``places``, each on its share of the cores."""
    at_once = max(1, min(places, cores(), len(seconds)))
    return max(sum(seconds) / at_once, max(seconds, default=0.0)) / max(1, cores() // places)


# -- where runs are trained


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


def attempt(s: Settings, also: dict[str, tuple[str, ...]], progress: bool = False,
            **options) -> Result:
    """``train`` in this process; ``also`` holds the other splits to test on, by run_id."""
    try:
        return train(s, also=also.get(s.run_id, ()), progress=progress, **options)
    except Exception as error:
        return not_run(s, error)


def _process(parent: int) -> None:
    """The beginning of a process that trains runs, and ends when the one that started it does."""
    warnings.simplefilter("ignore", data.DataWarning)  # the parent has read the data and said it

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # what is on disk is whole: every file is written atomically

    threading.Thread(target=watch, daemon=True).start()


def side_by_side(todo: list[Settings], jobs: int, options: dict) -> Iterator[Result]:
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
                running[pool.submit(attempt, s, **options)] = s, pool
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
        runs = {client.submit(attempt, s, pure=False, **options): s for s in todo}
        for future in as_completed(list(runs)):
            try:
                yield future.result()
            except Exception as error:
                yield not_run(runs[future], error)


# -- what is missing


def missing(settings: list[Settings], ledger: Ledger, weights: bool = False,
            checkpoints=CHECKPOINTS) -> list[Settings]:
    """Those of ``settings`` that have no row in the ledger (or, with ``weights``, no weights here).

    A row that failed for another reason than divergence, from an earlier version, does not count.
    """
    status = {row.run_id: row.status for row in ledger.runs(settings).itertuples()
              if row.status == "complete" or str(row.reason).startswith(DIVERGED)}
    return [s for run_id, s in {s.run_id: s for s in settings}.items() if run_id not in status
            or weights and status[run_id] == "complete" and not best_file(s, checkpoints).is_file()]


def trained(settings: list[Settings], ledger: Ledger, checkpoints=CHECKPOINTS) -> list[Settings]:
    """Those of ``settings`` that have a complete run in the ledger and their weights here."""
    return [s for s in ledger.complete(settings) if best_file(s, checkpoints).is_file()]


def outlook(parts: dict[str, list[Settings]], ledger: Ledger, jobs: int | None = None,
            weights: bool = False) -> str:
    """What ``sweep`` would train of each named list of runs, and how long that takes by the
    ledger's timings; a run counts where it comes first."""
    first: dict[str, str] = {}  # run_id -> the part in which it comes first
    for name, runs in parts.items():
        first = {s.run_id: name for s in runs} | first
    todo = missing([s for runs in parts.values() for s in runs], ledger, weights)
    seconds = dict(zip((s.run_id for s in todo), seconds_expected(todo, ledger), strict=True))
    lines = []
    for part in (*parts, "together"):
        of = [run_id for run_id, name in first.items() if part in (name, "together")]
        own = [seconds[run_id] for run_id in of if run_id in seconds]
        lines.append(f"{part}: {_are_missing(own, len(of), jobs or cores())}")
    return "\n".join(lines)


def _are_missing(seconds: list[float], of: int, places: int) -> str:
    trainings = [s for s in seconds if s != 0]  # a run that another one's training serves has none
    takes = f": about {duration(together(trainings, places))} with " \
            f"{min(places, len(trainings))} at a time"
    return f"{len(seconds)} of {of} runs are missing{takes if seconds else ''}"


def sweep(settings: list[Settings], *, ledger: Ledger | None = None, data_dir=None,
          checkpoints=CHECKPOINTS, jobs: int | None = None, weights: bool = False,
          cluster: str = "", progress: bool = True, within: float | None = None, counter=None,
          command: str = "the command that made this page, with --train,") -> pd.DataFrame:
    """Rows of ``runs`` for ``settings``, after training those that are missing, ``jobs`` at a time
    (default: one on every core; smoke runs one after another in this process).

    Each run gets its share of the cores, however few are missing, so that an interrupted sweep
    ends with the numbers of an uninterrupted one. With ``cluster``, the address of a Dask
    scheduler, runs go to its workers, one thread each; they need this package, the data, and
    ``checkpoints`` in a folder that they share, if a run is to continue where a dead worker left
    it. Results are recorded here as they arrive.

    A run that diverges is recorded as failed. One that cannot be done here (no data, device, memory
    or room on the disk) has status ``not run`` and the reason in the rows returned, and is tried
    again next time. ``weights`` also trains again what has no weights here; its recorded row stays.
    Expected to take longer than ``within`` minutes, nothing is trained: a line says what is
    missing, how long it takes and which ``command`` trains it. ``counter``: a bar that counts down
    the seconds of more than these runs. Raises ``LedgerError`` if the ledger is damaged or cannot
    be written.
    """
    ledger, places = ledger or Ledger(), jobs or cores()
    settings = list({s.run_id: s for s in settings}.values())
    todo = missing(settings, ledger, weights, checkpoints)
    ledger.tally["runs read"] += len(settings) - len(todo)
    if not todo:
        return ledger.runs(settings)
    # Where nothing may be trained, nothing is looked at but the ledger's timings.
    failed = {} if cluster or within == 0 else _without_data(todo, data_dir)
    ready = [s for s in todo if s not in failed]
    known = {s.run_id: ledger.runs([s]).test_mse[0] for s in ledger.complete(todo)}
    twins = {s: s.but(split="tail") for s in ready if s.split == "standard" and s.dataset in ETT}
    twins = {s: twin for s, twin in twins.items() if twin in ready}  # one training serves both
    ready = [s for s in ready if s not in twins.values()]
    at_once = min(places, len(ready))
    seconds = dict(zip(ready, seconds_expected(ready, ledger, data_dir), strict=True))
    total = together(list(seconds.values()), places)
    if ready and counter is None and not cluster and (progress or within is not None):
        line = _are_missing([*seconds.values(), *[0.0] * len(twins)], len(settings), places)
        if within is not None and not total <= 60 * within:
            print(f"{line}. Nothing is trained; {command} does it.", flush=True)
            return ledger.runs(settings)
        print(line, file=sys.stderr, flush=True)
    if ready:
        ledger.target.check_writable()
    options = dict(data_dir=data_dir, checkpoints=checkpoints,
                   n_threads=1 if cluster else max(1, cores() // places),
                   also={s.run_id: (twin.split,) for s, twin in twins.items()})
    if cluster and ready:
        results = on_cluster(ready, cluster, options)
    elif at_once > 1 and (jobs or any(s.profile != "smoke" for s in ready)):
        results = side_by_side(ready, at_once, options)
    else:
        alone = progress and counter is None and len(ready) == 1
        results = (attempt(s, progress=alone, **options) for s in ready)
    share = {s: t * total / sum(seconds.values()) if total > 0 else 1.0  # where it is not known
             for s, t in seconds.items()}
    with nullcontext(counter) if counter is not None else bar(
            sum(share.values()), f"{len(ready)} runs", expected=total,
            disable=not progress or len(ready) < 2) as b:
        for n, result in enumerate(results, 1):
            s = result.settings
            for r in (result, *result.also):
                if reason := _record(r, ledger, checkpoints, known.get(r.run_id)):
                    failed[r.settings] = reason
            if s in failed and s in twins:
                failed.setdefault(twins[s], failed[s])
            b.postfix = f"{n} of {len(ready)}, last: {s.model} {s.attention} seed {s.seed}"
            b.update(share[s])
        b.postfix = ""
    ledger.tally["runs trained"] += len(todo) - len(failed)
    for reason in dict.fromkeys(failed.values()):  # a chapter keeps what is on stdout
        of = [s.run_id for s, why in failed.items() if why == reason]
        print(f"{of[0]}{f' and {len(of) - 1} more' if len(of) > 1 else ''}: {reason}", flush=True,
              file=sys.stderr if within is None else sys.stdout)
    table, order = ledger.runs(settings), [s.run_id for s in settings]
    absent = pd.DataFrame([row_of(Result(s, status="not run", reason=reason))
                           for s, reason in failed.items()])
    table = pd.concat([t for t in (table, absent) if len(t)]).drop_duplicates("run_id")
    return table.sort_values("run_id", key=lambda c: c.map(order.index), ignore_index=True)


def _without_data(todo: list[Settings], data_dir) -> dict[Settings, str]:
    """Which runs have no data here, and why. Every series is looked for once, before anything is
    trained; what else is wrong with one is found, and said, when a run reads it."""
    absent = {}
    for s in {s.dataset: s for s in todo}.values():
        try:
            data.of(s, data_dir)
        except data.DataUnavailable as error:
            absent[s.dataset] = str(error)
        except Exception:
            pass  # the run says so
    return {s: absent[s.dataset] for s in todo if s.dataset in absent}


def _record(result: Result, ledger: Ledger, checkpoints, known: float | None) -> str:
    """Keep a result, unless its test MSE is ``known``; returns why it could not be kept."""
    s = result.settings
    if result.status == "not run":
        return result.reason
    try:
        if known is None:
            ledger.record_run(result)
        elif not abs(result.test_mse / known - 1) <= TOLERANCE:
            print(f"{s.run_id}: trained again its test MSE is {result.test_mse:.4f}, where "
                  f"{known:.4f} is recorded; the row stays", file=sys.stderr)
        elif ledger.add_channels(result):
            print(f"{s.run_id}: its errors by channel are now kept", file=sys.stderr)
        resume_file(s, checkpoints).unlink(missing_ok=True)
    except OSError as error:
        return f"trained, but it could not be recorded ({error.strerror or error}); the same " \
               "command records it once there is room"
    return ""


def on_trained(table: str, runs: list[Settings], points: list[dict],
               measure: Callable[..., list[dict]], *, ledger: Ledger, data_dir=None,
               checkpoints=CHECKPOINTS, within: float | None = None) -> pd.DataFrame:
    """Rows of ``table`` for every trained run and point; what the ledger lacks is measured.

    ``measure(model, splits, **point)`` gets the run's model with its best weights, in evaluation
    mode, and returns rows; they are kept under ``run_id`` and the columns of the point. Where
    weights are not here, or the ledger has no such run, it is trained, after a word on how long
    that takes; beyond ``within`` minutes it is not, and its rows are left out.
    """
    by_id = {s.run_id: s for s in runs}
    keys = [{"run_id": run_id, **point} for run_id in by_id for point in points]
    todo = ledger.lacking(table, keys)
    needed = [by_id[run_id] for run_id in dict.fromkeys(key["run_id"] for key in todo)]
    if lost := missing(needed, ledger, True, checkpoints):
        print(f"{len(lost)} trained models are not here and are needed to measure {table}",
              file=sys.stderr, flush=True)
        sweep(lost, ledger=ledger, data_dir=data_dir, checkpoints=checkpoints, weights=True,
              within=within)
    here = trained(needed, ledger, checkpoints)
    gone = {s.run_id for s in needed} - {s.run_id for s in here}
    if gone and within is None:
        raise ValueError(f"{table}: {len(gone)} models that it is measured on could not be "
                         f"trained (first: {min(gone)}); the lines above say why.")

    _with_data.cache_clear()  # weights and files may have changed since

    def at(run_id, **point):
        with torch.no_grad():
            return measure(*_with_data(by_id[run_id], data_dir, checkpoints), **point)

    return ledger.measured(table, [k for k in keys if k["run_id"] not in gone or k not in todo], at,
                           jobs=1 if all(s.profile == "smoke" for s in runs) else cores())


@lru_cache(1)  # the points of a run are measured one after another
def _with_data(s: Settings, data_dir, checkpoints):
    """The trained model of ``s`` and its data."""
    splits = data.of(s, data_dir)
    return load_trained(s, len(splits.channels), checkpoints), splits


# -- what is recorded, made again


def verify(ledger: Ledger, checkpoints, sample: int = 3, run_ids=(),
           cheaper_than: float = math.inf, data_dir=None) -> pd.DataFrame:
    """Retrain complete rows of ``runs`` and compare; nothing is recorded. The weights go to the
    folder ``checkpoints``.

    ``run_ids``, or ``sample`` rows drawn at random among those that take less than ``cheaper_than``
    seconds here. On the same make of processor, with the same sources and versions, a run is
    ``identical`` to the last bit of every epoch's errors; elsewhere its test MSE should be
    ``close``, within ``TOLERANCE``. Beyond that it is ``another draw`` inside the 95 % prediction
    interval for a further seed, from the seeds of its cell; else ``different``. Raises
    ``ValueError`` if there is no such row, ``LedgerError`` for an unknown run_id.
    """
    from scipy import stats  # training needs none of it

    recorded = ledger.complete(list(ledger.all_settings().values()))

    def takes(s: Settings) -> float:
        """As long as it took, on the same kind of device."""
        row = ledger.runs([s]).iloc[0]
        return row.seconds if (row.device == "cpu") == on_cpu(s) else \
            seconds_expected([s], ledger)[0] / row.threads

    asked = [ledger.settings(run_id) for run_id in run_ids] or list(islice(
        (s for s in random.sample(recorded, len(recorded)) if takes(s) < cheaper_than), sample))
    if not asked:
        limit = f" that takes less than {cheaper_than:g} seconds here" * (cheaper_than < math.inf)
        raise ValueError(f"{ledger.folder}: no complete run{limit}.")
    total = sum(map(takes, asked))
    here = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    print(f"training {counted(len(asked), 'run')} again on {here}: about {duration(total)}. "
          "On the processor that recorded it a run comes out identical; on another make rounding "
          f"differs, and on another kind of device dropout: within {TOLERANCE:.0%} it is close.",
          file=sys.stderr, flush=True)
    found = []
    with bar(total, "verify", expected=total) as progress:
        for s in asked:
            row = ledger.runs([s]).iloc[0]
            seeds = [x for x in recorded if x.but(seed=s.seed).run_id == s.run_id]
            cell = ledger.runs(seeds or [s]).test_mse
            say(f"{s.run_id}: recorded on {'a CPU' if row.device == 'cpu' else row.device}; "
                + (f"the seeds of its cell lie {np.ptp(cell) / row.test_mse:.1%} apart"
                   if len(cell) > 1 else "no other seed of it is recorded"))
            result = train(s, data_dir=data_dir, checkpoints=checkpoints, progress=False,
                           n_threads=int(row.threads))
            errors, curves, n = ["train_mse", "val_mse", "test_mse"], ledger.curves([s]), len(cell)
            change = result.test_mse / row.test_mse - 1
            drawn = stats.t.ppf(0.975, n - 1) * (1 + 1 / n) ** 0.5 * cell.std()  # NaN of one seed
            outcome = (
                "identical" if len(curves)
                and np.array_equal(pd.DataFrame(result.curves)[errors], curves[errors]) else
                "close" if abs(change) <= TOLERANCE else
                "another draw" if abs(result.test_mse - cell.mean()) <= drawn else "different")
            found.append(dict(
                run_id=s.run_id, seconds=row.seconds, recorded=row.test_mse, now=result.test_mse,
                change=change, outcome=outcome,
                same_sources=row.source.split(":")[-1] == source_revision().split(":")[-1],
                same_versions=(row.torch, row.numpy) == (torch.__version__, np.__version__)))
            progress.update(takes(s))
    return pd.DataFrame(found)


def measured_again(s: Settings, ledger: Ledger, checkpoints, data_dir=None) -> pd.DataFrame:
    """What is recorded of measurements on the model of ``s``, made again on the weights in
    ``checkpoints``: a row per table with its ``points``, the number of ``values``, and how far the
    new ones are ``apart`` (median and ``largest``), in units of the root mean square of a column's
    recorded values. Nothing is recorded."""
    from . import measures  # with SciPy, which training does not need

    _with_data.cache_clear()
    (model, splits), found = _with_data(s, data_dir, checkpoints), []
    for table, measure in measures.MEASURES.items():
        old = [row for row in ledger.rows(table) if row["run_id"] == s.run_id]
        if not old:
            continue
        at = measures.points(table, old)
        with torch.no_grad():
            new = pd.DataFrame([row for point in at for row in measure(model, splits, **point)])
        new = new.drop(columns=["seconds", *at[0]], errors="ignore").select_dtypes("number")
        was = pd.DataFrame(old, columns=new.columns).apply(pd.to_numeric).astype(float)
        apart = ((new - was).abs() / (was**2).mean() ** 0.5).where(new != was, 0.0).stack()
        found.append(dict(run_id=s.run_id, table=table, points=len(at), values=len(apart),
                          apart=apart.median(), largest=apart.max()))
    return pd.DataFrame(found)
