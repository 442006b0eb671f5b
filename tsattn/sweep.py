"""Many runs: what is in the ledger is read, what is missing is trained, side by side."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch

from . import data, workers
from .checkpoints import CHECKPOINTS, best_file, load_trained, resume_file
from .estimates import on_cpu, seconds_expected, together
from .ledger import Ledger, row_of, source_revision
from .progress import bar, counted, duration
from .provenance import processor
from .settings import DATASETS, ETT, Settings
from .training import Result, check_memory, resolve_device, train
from .workers import cores

DIVERGED = ("training MSE", "validation MSE")  # how the reason of a run that diverged begins


def missing(settings: list[Settings], ledger: Ledger, weights: bool = False,
            checkpoints=CHECKPOINTS) -> list[Settings]:
    """Those of ``settings`` that have no row in the ledger (or, with ``weights``, no weights here).

    A row that failed for another reason than divergence, from an earlier version, does not count.
    """
    done = ledger.runs(settings)
    status = {row.run_id: row.status for row in done.itertuples()
              if row.status == "complete" or str(row.reason).startswith(DIVERGED)}

    def lacks(run_id, s):
        if run_id not in status:
            return True
        return weights and status[run_id] == "complete" and not best_file(s, checkpoints).is_file()

    return [s for run_id, s in {s.run_id: s for s in settings}.items() if lacks(run_id, s)]


def trained(settings: list[Settings], ledger: Ledger, checkpoints=CHECKPOINTS) -> list[Settings]:
    """Those of ``settings`` that have a complete run in the ledger and their weights here."""
    return [s for s in ledger.complete(settings) if best_file(s, checkpoints).is_file()]


# -- what is missing, in words


def outlook(settings: list[Settings], ledger: Ledger, jobs: int | None = None,
            weights: bool = False) -> str:
    """What ``sweep`` would train, a line each, and how long it takes by the ledger's timings."""
    expected = _expected(settings, ledger, weights)
    lines = [f"{run_id}  about {duration(w)}" for run_id, w in expected.items()]
    return "\n".join([*lines, _in_all(settings, expected, _jobs(jobs))])


def outlook_by_part(parts: dict[str, list[Settings]], ledger: Ledger, jobs: int | None = None,
                    weights: bool = False) -> str:
    """What is missing of each named list of runs, with hours; a run counts where it comes first."""
    whole, seen, lines = [s for runs in parts.values() for s in runs], set(), []
    expected = _expected(whole, ledger, weights)
    for name, runs in parts.items():
        own = [s for s in runs if s.run_id not in seen]
        seen |= {s.run_id for s in own}
        lines.append(f"{name}: {_in_all(own, expected, _jobs(jobs))}")
    return "\n".join([*lines, f"together: {_in_all(whole, expected, _jobs(jobs))}"])


def _expected(settings: list[Settings], ledger: Ledger, weights: bool) -> dict[str, float]:
    todo = missing(settings, ledger, weights)
    return dict(zip((s.run_id for s in todo), seconds_expected(todo, ledger), strict=True))


def _in_all(settings: list[Settings], expected: dict[str, float], jobs: int) -> str:
    of = {s.run_id for s in settings}
    todo = [expected[run_id] for run_id in of & set(expected)]
    total = f", about {duration(together(todo, jobs))} with {min(jobs, len(todo))} at a time"
    return f"{len(todo)} of {len(of)} runs are missing{total * bool(todo)}"


def _tiny(runs: list[Settings]) -> bool:
    """Whether each takes less time than the process that would train it takes to start."""
    return all(s.profile == "smoke" for s in runs)


def _jobs(jobs: int | None) -> int:
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs={jobs}: at least one run at a time; leave --jobs out for one on "
                         "every core.")
    return jobs or cores()


# -- training


def sweep(settings: list[Settings], *, ledger: Ledger | None = None, data_dir=None,
          checkpoints=CHECKPOINTS, jobs: int | None = None, weights: bool = False,
          cluster: str = "", progress: bool = True, within: float | None = None, counter=None,
          command: str = "python -m tsattn report --train") -> pd.DataFrame:
    """Rows of ``runs`` for ``settings``, after training those that are missing, ``jobs`` at a time
    (smoke runs one after another in this process, unless ``jobs`` says otherwise).

    Each run gets its share of the cores, however few are missing, so that an interrupted sweep
    ends with the numbers of an uninterrupted one. With ``cluster``, the address of a Dask
    scheduler, runs go to its workers, one thread each; they need this package, the data, and
    ``checkpoints`` in a folder that they share, if a run is to continue where a dead worker left
    it. Results are recorded here as they arrive. A run whose process dies is started once more.

    A run that diverges is recorded as failed. A run that cannot be done here (no data, device,
    memory or room on the disk) is not recorded: it has status ``not run`` and the reason in the
    rows returned, and is tried again next time. ``weights`` also trains again what has no weights
    here; its recorded row stays. Expected to take longer than ``within`` minutes, nothing is
    trained: a line says what is missing, how long it takes and which ``command`` trains it. A
    ``counter`` (``progress.bar``) that counts down the seconds of more than these runs is used in
    place of one of their own.
    Raises ``LedgerError`` if the ledger is damaged or cannot be written.
    """
    ledger, places = ledger or Ledger(), _jobs(jobs)
    ids = {s.run_id: s for s in settings}
    todo = missing(list(ids.values()), ledger, weights, checkpoints)
    ledger.tally["runs read"] += len(ids) - len(todo)
    if not todo:
        return ledger.runs(settings)
    ledger.check_lines()
    expected = dict(zip(todo, seconds_expected(todo, ledger, data_dir), strict=True))
    # Where nothing may be trained, nothing is looked at but the ledger's timings.
    failed = _impossible(todo, data_dir, here=not cluster) if within != 0 else {}
    ready = [s for s in todo if s not in failed]
    twins = {s: s.but(split="tail") for s in ready if s.split == "standard" and s.dataset in ETT}
    twins = {s: twin for s, twin in twins.items() if twin in set(ready)}  # one training serves both
    ready = [s for s in ready if s not in twins.values()]
    side_by_side = max(1, min(places, len(ready)))
    total = together([expected[s] for s in ready], side_by_side)
    if ready and counter is None and not cluster and (progress or within is not None):
        line = f"{len(ready)} of {len(ids)} runs are missing: about {duration(total)} with " \
               f"{side_by_side} at a time"
        if within is not None and not total <= 60 * within:
            print(f"{line}. Nothing is trained; `{command}` does it.", flush=True)
            return ledger.runs(settings)
        print(line, file=sys.stderr, flush=True)
    if ready:
        ledger.target.check_writable()
    options = dict(data_dir=data_dir, checkpoints=checkpoints,
                   n_threads=1 if cluster else max(1, cores() // places),
                   also={s.run_id: (twin.split,) for s, twin in twins.items()})
    if cluster:
        results = workers.on_cluster(ready, cluster, options)
    elif len(ready) == 1 or jobs is None and _tiny(ready):
        alone = progress and counter is None
        results = (workers.attempt(s, progress=alone, **options) for s in ready)
    else:
        results = workers.here(ready, side_by_side, options)
    known = {s: ledger.runs([s]).test_mse.iloc[0] for s in ledger.complete(todo)} \
        if weights else {}
    shown = progress and (cluster or len(ready) > 1)
    share = {s: expected[s] * total / sum(map(expected.get, ready)) if total > 0 else 1.0
             for s in ready}
    with nullcontext(counter) if counter is not None else bar(
            sum(share.values()), f"{len(ready)} runs", disable=not shown, expected=total) as b:
        for n, result in enumerate(results if ready else (), 1):
            s = result.settings
            for r in (result, *result.also):
                if reason := _record(r, ledger, checkpoints, known.get(r.settings)):
                    failed[r.settings] = reason
            if s in failed and s in twins:
                failed.setdefault(twins[s], failed[s])
            b.set_postfix_str(f"{n} of {len(ready)}, last: {s.model} {s.attention} seed {s.seed}",
                              refresh=False)
            b.update(share[s])
        b.set_postfix_str("")
    ledger.tally["runs trained"] += len(todo) - len(failed)
    for reason in dict.fromkeys(failed.values()):  # a chapter keeps what is on stdout
        of = [s.run_id for s, why in failed.items() if why == reason]
        print(f"{of[0]}{f' and {len(of) - 1} more' if len(of) > 1 else ''}: {reason}", flush=True,
              file=sys.stderr if within is None else sys.stdout)
    table = ledger.runs(settings)
    if not failed:
        return table
    absent = pd.DataFrame([row_of(Result(s, status="not run", reason=reason))
                           for s, reason in failed.items()])
    table = pd.concat([t for t in (table, absent) if len(t)], ignore_index=True)
    table = table.drop_duplicates("run_id", keep="first")
    order = {run_id: i for i, run_id in enumerate(ids)}
    return table.sort_values("run_id", key=lambda c: c.map(order)).reset_index(drop=True)


def _impossible(todo: list[Settings], data_dir, here: bool) -> dict[Settings, str]:
    """Which runs cannot be started, and why: asked once, before anything is trained; of device,
    data and memory only if they are trained ``here``."""
    found, checked, absent = {}, {}, {}
    for s in todo:
        key = s.but(seed=0, attention="none" if s.attention == "none" else "zero")
        if key not in checked:
            try:
                if here:
                    resolve_device(s.device)
                    if s.dataset in absent:
                        raise absent[s.dataset]
                    check_memory(s, len(data.of(s, data_dir).channels))
                checked[key] = ""
            except Exception as error:
                if type(error).__name__ == "DataUnavailable":  # the network is asked only once
                    absent[s.dataset] = error
                checked[key] = workers.not_run(s, error).reason
        if checked[key]:
            found[s] = checked[key]
    return found


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
    needed = list(dict.fromkeys(key["run_id"] for key in todo))
    lost = missing([by_id[run_id] for run_id in needed], ledger, True, checkpoints)
    if lost:
        print(f"{len(lost)} trained models are not here and are needed to measure {table}",
              file=sys.stderr, flush=True)
        sweep(lost, ledger=ledger, data_dir=data_dir, checkpoints=checkpoints, weights=True,
              within=within)
    gone = set(needed) - {s.run_id for s in
                          trained([by_id[run_id] for run_id in needed], ledger, checkpoints)}

    def at(run_id, **point):
        s = by_id[run_id]
        splits = data.of(s, data_dir)
        with torch.no_grad():
            return measure(load_trained(s, len(splits.channels), checkpoints), splits, **point)

    if gone and within is None:
        raise ValueError(f"{table}: {len(gone)} models that it is measured on could not be "
                         f"trained (first: {min(gone)}); the lines above say why.")
    old = [key for key in keys if key["run_id"] in gone and key not in todo]
    return ledger.measured(table, [k for k in keys if k["run_id"] not in gone or k in old], at,
                           jobs=1 if _tiny(runs) else cores())


TOLERANCE = 0.02  # of the test MSE: elsewhere, rounding grows and may move the epoch kept


def verify(ledger: Ledger, sample: int = 3, run_ids=(), cheaper_than: float = math.inf,
           data_dir=None, checkpoints=None) -> pd.DataFrame:
    """Retrain complete rows of ``runs`` and compare; nothing is recorded. What can be expected is
    said before. The weights go to the folder ``checkpoints``, if it is given.

    ``run_ids``, or ``sample`` rows drawn at random among those that take less than
    ``cheaper_than`` seconds here. On the same make of processor, with the same sources and
    versions, a run is ``identical`` to the last bit of every epoch's errors; elsewhere its test
    MSE should be ``close``, within ``TOLERANCE``. Beyond that it is ``another draw`` where it lies
    inside the 95 % prediction interval for a further seed, from the seeds of its cell; else it is
    ``different``. Raises ``ValueError`` if there is no such row, ``LedgerError`` for an unknown
    run_id.
    """
    from scipy import stats  # training needs none of it

    if sample < 1:
        raise ValueError(f"--sample {sample}: at least one row.")
    table = ledger.read("runs")
    table = table[(table.status == "complete") & table.dataset.isin(DATASETS)] if len(table) \
        else table
    if not run_ids:
        run_ids = []
        for run_id in table.run_id.sample(frac=1) if len(table) else ():
            if _seconds_here(run_id, ledger) < cheaper_than:
                run_ids.append(run_id)
            if len(run_ids) == sample:
                break
        if not run_ids:
            raise ValueError(f"{ledger.folder}: no complete run that takes less than "
                             f"{cheaper_than:g} seconds here.")
    asked = [(ledger.settings(run_id), _cell(run_id, ledger)) for run_id in run_ids]
    seconds = [_seconds_here(run_id, ledger) for run_id in run_ids]
    here = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    print(f"training {counted(len(asked), 'run')} again on {here}: about {duration(sum(seconds))}. "
          "On the processor that recorded it a run comes out identical; on another make rounding "
          f"differs, and on another kind of device dropout: within {TOLERANCE:.0%} it is close.",
          file=sys.stderr)
    for run_id, (_, cell) in zip(run_ids, asked, strict=True):
        row, others = cell[cell.run_id == run_id].iloc[0], len(cell) - 1
        spread = f"the seeds of its cell lie {np.ptp(cell.test_mse) / row.test_mse:.1%} apart" \
            if others else "no other seed of it is recorded"
        print(f"{run_id}: recorded on {'a CPU' if row.device == 'cpu' else row.device}; {spread}",
              file=sys.stderr, flush=True)
    results, found = [], []
    with bar(sum(seconds), "verify", expected=sum(seconds)) as progress, \
            TemporaryDirectory() as folder:
        for (s, _), took in zip(asked, seconds, strict=True):
            place = Path(checkpoints or folder)
            results.append(train(s, data_dir=data_dir, checkpoints=place, progress=False,
                                 n_threads=int(ledger.runs([s]).threads[0])))
            progress.update(took)
    for run_id, (s, cell), result in zip(run_ids, asked, results, strict=True):
        row, recorded = ledger.runs([s]).iloc[0], ledger.curves([s])
        change = result.test_mse / row.test_mse - 1
        again, n = pd.DataFrame(result.curves), len(cell)
        same = len(recorded) and all(np.array_equal(again[c], recorded[c])
                                     for c in ("train_mse", "val_mse", "test_mse"))
        apart = abs(result.test_mse - cell.test_mse.mean())
        drawn = n > 1 and apart <= stats.t.ppf(0.975, n - 1) * (1 + 1 / n) ** 0.5 * \
            cell.test_mse.std()
        outcome = "identical" if same else "close" if abs(change) <= TOLERANCE else \
            "another draw" if drawn else "different"
        found.append(dict(
            run_id=run_id, seconds=row.seconds, recorded=row.test_mse, now=result.test_mse,
            change=change, outcome=outcome,
            same_sources=row.source.split(":")[-1] == source_revision().split(":")[-1],
            same_versions=(row.torch, row.numpy) == (torch.__version__, np.__version__)))
    return pd.DataFrame(found)


def measured_again(s: Settings, ledger: Ledger, data_dir=None,
                   checkpoints=CHECKPOINTS) -> pd.DataFrame:
    """What is recorded of measurements on the model of ``s``, made again on the weights in
    ``checkpoints``: a row per table with its ``points``, the number of ``values``, and how far the
    new ones are ``apart`` (median and ``largest``), in units of the root mean square of a column's
    recorded values. Nothing is recorded."""
    from .measures import MEASURES
    from .measures import points as measured_at

    splits, found = data.of(s, data_dir), []
    model = load_trained(s, len(splits.channels), checkpoints)
    for table, measure in MEASURES.items():
        old = [row for row in ledger.rows(table) if row["run_id"] == s.run_id]
        points = measured_at(table, old)
        with torch.no_grad():
            new = pd.DataFrame([row for p in points for row in measure(model, splits, **p)])
        new = new.drop(columns=["seconds", *points[0]] if points else [], errors="ignore")
        new = new.select_dtypes("number")
        was = pd.DataFrame(old, columns=new.columns).apply(pd.to_numeric).astype(float)
        apart = ((new - was).abs() / (was**2).mean() ** 0.5).where(new != was, 0.0).stack()
        if old:
            found.append(dict(run_id=s.run_id, table=table, points=len(points), values=len(apart),
                              apart=apart.median(), largest=apart.max()))
    return pd.DataFrame(found)


def _seconds_here(run_id: str, ledger: Ledger) -> float:
    """How long a recorded run takes here: as long as it took, on the same kind of device."""
    s = ledger.settings(run_id)
    row = ledger.runs([s]).iloc[0]
    if (row.device == "cpu") == on_cpu(s):
        return row.seconds
    return seconds_expected([s], ledger)[0] / row.threads


def _cell(run_id: str, ledger: Ledger) -> pd.DataFrame:
    """Complete rows that differ from a run in the seed alone, and itself."""
    table = ledger.read("runs")
    table = table[table.status == "complete"]
    names = [f.name for f in fields(Settings) if f.name in table and f.name not in (
        "seed", "profile", "device", "cuda_graph")]
    of = table[names].astype(str).fillna("")
    return table[(of == of[table.run_id == run_id].iloc[0]).all(axis=1)]
