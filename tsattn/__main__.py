"""Command line: ``python -m tsattn COMMAND``. Options only; the work is in the rooms."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

from . import settings as settings_module
from .data.findings import said_once
from .ledger import Ledger, LedgerError, needs_checkout, outdated
from .ledger import check as check_ledger
from .ledger import show as show_ledger
from .runs import PLANS, exchanged
from .settings import ATTENTIONS, PROFILES, Settings, make

LABELS = ["run_id", "status", "profile", "dataset", "attention", "seed", "epochs"]
ERRORS = ["best_epoch", "val_mse", "test_mse", "test_mae", "seconds", "reason"]


class Parser(argparse.ArgumentParser):
    """One sentence instead of the usage."""

    def error(self, message):
        raise ValueError(f"{self.prog}: {message} (--help lists the options).")


def value(text: str):
    """The value of a chapter's parameter: written in JSON or as in Python, else the text itself."""
    known = {"True": True, "False": False, "None": None}
    if text in known:
        return known[text]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return float(text)  # .001, which is no JSON
    except ValueError:
        return text


def setting(name: str, kind: str, text: str):
    """The value of a setting. Raises ``ValueError`` with the right form."""
    option = "--" + name.replace("_", "-")
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{option} {text}: write {option} true or {option} false.")
        return text.lower() == "true"
    try:
        return {"int": int, "float": float, "str": str}[kind](text)
    except ValueError:
        form = "a whole number, such as 96" if kind == "int" else "a number, such as 0.001"
        raise ValueError(f"{option} {text}: write {form}.") from None


def settings_options(parser, skip=()) -> None:
    """One option per field of ``Settings``; what is not given comes from the profile."""
    group = parser.add_argument_group("settings (default: those of the profile)")
    for field in fields(Settings):
        if field.name not in ("profile", *skip):
            group.add_argument("--" + field.name.replace("_", "-"), dest=field.name,
                               metavar=field.type, default=argparse.SUPPRESS)


def chosen(args, skip=()) -> dict:
    return {f.name: setting(f.name, f.type, getattr(args, f.name)) for f in fields(Settings)
            if f.name not in ("profile", *skip) and hasattr(args, f.name)}


def ledger_of(args) -> Ledger:
    """The ledger that a command reads and writes."""
    return Ledger(args.results, record=True) if args.results else Ledger(record=args.record)


def show(table) -> None:
    print(table if isinstance(table, str) else table.to_string(index=False))


# -- one function per command


def report(args) -> int:
    print("reading the chapters and what is recorded ...", file=sys.stderr, flush=True)
    from .report import report as execute

    return execute(args.only, args.profile, {k: value(v) for k, v in args.parameter}, args.in_place,
                   train=args.train, within=args.within, overwrite=args.overwrite_committed,
                   build=args.output and args.output.absolute(), with_site=not args.notebooks_only)


def run(args) -> int:
    return _train(args, [make(args.profile, **chosen(args))])


def sweep(args) -> int:
    from .sweep import outlook, outlook_by_part

    options = dict(jobs=args.jobs, weights=args.weights)
    if args.plan:
        ignored = [n for n in ("attentions", "seeds") if getattr(args, n)] + list(chosen(args))
        if ignored:
            raise ValueError(f"--plan {args.plan}: its runs have their own settings; leave out "
                             f"--{', --'.join(ignored).replace('_', '-')}, or --plan.")
        parts = PLANS[args.plan](args.profile)
        if args.dry_run:
            print(outlook_by_part(parts, ledger_of(args), **options))
            return 0
        runs = [s for part in parts.values() for s in part]
    else:
        seeds = [setting("seeds", "int", s) for s in args.seeds] if args.seeds else \
            settings_module.SEEDS[args.profile]
        changes = chosen(args, skip=("attention", "seed"))
        has = ATTENTIONS if make(args.profile, **changes).attention != "none" else ["none"]
        runs = [make(args.profile, attention=a, seed=s, **changes)
                for s in seeds for a in args.attentions or has]
    if args.dry_run:
        print(outlook(runs, ledger_of(args), **options))
        return 0
    return _train(args, runs, cluster=args.cluster, within=args.within,
                  command="the same command without --within", **options)


def _train(args, runs: list[Settings], **options) -> int:
    from .sweep import sweep as train_missing

    table = train_missing(runs, ledger=ledger_of(args), data_dir=args.data_dir, **options)
    if table.empty:
        return 1
    shown = table[LABELS + ERRORS]
    if args.command == "run":
        one = shown.astype(object).where(shown.notna(), None).to_dict("records")[0]
        print(json.dumps(one))
    else:
        show(shown.drop(columns=["reason", "profile", "dataset", "attention", "seed", "epochs"]))
    for row in table[table.status == "failed"].itertuples():
        print(f"{row.run_id}: {row.reason}", file=sys.stderr)
    return int((table.status != "complete").any())


def verify(args) -> int:
    from .sweep import measured_again
    from .sweep import verify as retrain

    ledger = ledger_of(args)
    with TemporaryDirectory() as folder:
        found = retrain(ledger, args.sample, args.run_id, args.cheaper_than, args.data_dir, folder)
        show(found)
        for run_id in found.run_id if args.measurements else ():
            print(f"\n{run_id}: what is recorded of its model, measured again", flush=True)
            again = measured_again(ledger.settings(run_id), ledger, args.data_dir, Path(folder))
            show(again.drop(columns="run_id") if len(again) else "nothing is recorded")
            if args.record:
                ledger.record("measured_again", again.to_dict("records"), ["run_id", "table"])
    return int((found.outcome == "different").any())


def bench(args) -> int:
    from .bench import bench as time_steps

    if args.rounds < 1:
        raise ValueError(f"--rounds {args.rounds}: at least one round.")
    tables = time_steps(args.profile, args.rounds, args.growth,
                        Ledger(record=True) if args.record else None)
    for table in tables.values():
        print(table.drop(columns="profile").to_string(index=False, float_format="{:.2f}".format),
              end="\n\n")
    if args.json:
        print(tables["steps"].to_json(orient="records"))
    return 0


def measure(args) -> int:
    """What the chapters measure on trained models and the ledger lacks, made on the models whose
    weights are here, and what another version has measured, made again."""
    from .sweep import on_trained, trained

    measures, ledger, lost = _room("measures"), ledger_of(args), set()
    todo = exchanged()
    for table in measures.MEASURES:
        old: dict = {}  # run_id -> its rows of another version
        for row in ledger.rows(table):
            if outdated(table, row):
                old.setdefault(row["run_id"], []).append(row)
        known = {run_id: ledger.known(run_id) for run_id in old}
        lost |= {run_id for run_id, s in known.items() if not s}
        todo += [(table, [s], measures.points(table, old[run_id]))
                 for run_id, s in known.items() if s]
    for table, models, points in todo:
        if args.tables and table not in args.tables:
            continue
        here = models if args.train else trained(models, ledger)
        on_trained(table, here, points, measures.MEASURES[table], ledger=ledger,
                   data_dir=args.data_dir, within=None if args.train else 0)
        lost |= {s.run_id for s in models if s not in here and ledger.lacking(
            table, [{"run_id": s.run_id, **point} for point in points])}
    if lost:
        print(f"{len(lost)} models have no weights here or no row in the ledger (first: "
              f"{min(lost)}) and are not measured; `python -m tsattn measure --train` trains them "
              "(on a file of your own: in its folder; a row that is lost: train its run first)",
              file=sys.stderr)
    return int(bool(lost))


def refresh(args) -> int:
    changed, problems = _room("anchors").refresh(ledger=Ledger(record=True))
    print(f"brought up to date: {', '.join(changed) or 'nothing had changed'}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


def slides(args) -> int:
    ledger = Ledger(args.results) if args.results else None
    print(_room("slides").build(args.lang, args.out, ledger, args.lab, args.presenter, args.date))
    return 0


def ledger(args) -> int:
    if args.what == "show":
        print(show_ledger(ledger_of(args)))
        return 0
    said = check_ledger(ledger_of(args))
    print("\n".join(said) or "check: every row is whole")
    return int(bool(said))


def _room(name: str):
    """A room that only one command needs."""
    try:
        return importlib.import_module(f".{name}", __package__)
    except ImportError as error:
        raise ValueError(f"this command needs {error.name or name}, which is not installed; "
                         "`pip install -r requirements.txt` brings it.") from None


# -- their options


def options() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m tsattn", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    def command(function, help_):
        sub = commands.add_parser(function.__name__, help=help_)
        sub.set_defaults(function=function)
        sub._negative_number_matcher = re.compile(r"-\.?\d")  # -9999,nan is a value, no option
        return sub

    c = command(report, "execute the chapters and build the report")
    c.add_argument("--only", nargs="+", default=[], metavar="NN", help="chapter numbers, e.g. 01")
    c.add_argument("-p", "--parameter", nargs=2, action="append", default=[],
                   metavar=("NAME", "VALUE"))
    c.add_argument("--train", action="store_true", help="train what is missing, however long")
    c.add_argument("--within", type=float, default=10, metavar="MINUTES",
                   help="train what is missing if it takes no longer (default: 10)")
    c.add_argument("--output", type=Path, metavar="FOLDER",
                   help="default: build/report, or build/report-NAME for NAME.csv")
    c.add_argument("--notebooks-only", action="store_true", help="execute, but build no site")
    c.add_argument("--overwrite-committed", action="store_true",
                   help="allow --in-place with other settings")
    c.add_argument("--in-place", action="store_true",
                   help="replace the notebooks in notebooks/ by executed ones")
    c.add_argument("--profile", choices=PROFILES)

    c = command(run, "train one model; the last line is its result as JSON")
    settings_options(c)

    c = command(sweep, "train what is missing of all attentions and seeds")
    c.add_argument("--plan", choices=list(PLANS),
                   help="the report's own list of runs, in order of importance")
    c.add_argument("--attentions", nargs="+", metavar="NAME", help="default: all of the model")
    c.add_argument("--seeds", nargs="+", metavar="N")
    c.add_argument("--jobs", type=int, help="runs side by side (default: one per core)")
    c.add_argument("--within", type=float, metavar="MINUTES", help="train nothing if it takes more")
    c.add_argument("--cluster", default="", metavar="ADDRESS",
                   help="Dask scheduler, e.g. tcp://host:8786")
    c.add_argument("--dry-run", action="store_true",
                   help="print what is missing and how long it takes")
    c.add_argument("--weights", action="store_true",
                   help="train again what has no trained weights here")
    settings_options(c, skip=("attention", "seed"))

    c = command(verify, "train rows of the ledger again and compare; nothing is recorded")
    c.add_argument("--sample", type=int, default=3, metavar="N", help="rows drawn at random")
    c.add_argument("--run-id", nargs="+", default=[], metavar="ID", help="these rows instead")
    c.add_argument("--cheaper-than", type=float, default=float("inf"), metavar="SECONDS",
                   help="draw only among rows that took less")
    c.add_argument("--measurements", action="store_true",
                   help="also measure again what is recorded of their models, and compare; "
                        "--record keeps that comparison")

    c = command(bench, "time and memory of a training step, beside the peer's and the floor")
    c.add_argument("--rounds", type=int, default=8, metavar="N", help="times that all take turns")
    c.add_argument("--growth", action="store_true", help="also how both grow with the sizes")
    c.add_argument("--json", action="store_true", help="last line: the table of the steps as JSON")

    c = command(measure, "measure on trained models what is missing")
    c.add_argument("--train", action="store_true", help="train models that are not here")
    c.add_argument("--tables", nargs="+", metavar="NAME", help="only these tables")

    command(refresh, "bring the numbers in the prose up to date with the ledger")
    c = command(slides, "build the lab deck, an editable PowerPoint file with notes")
    c.add_argument("--lang", default="ko", metavar="ko|en")
    for name in ("lab", "presenter", "date"):
        c.add_argument(f"--{name}", default="", metavar=name.upper(), help="for the first slide")
    c.add_argument("--out", type=Path, metavar="FILE",
                   help="default: build/slides-<lang>.pptx")
    c = command(ledger, "what is recorded, and whether it is whole")
    c.add_argument("what", choices=("show", "check"))

    for name, sub in commands.choices.items():
        if name in ("run", "sweep", "bench"):
            sub.add_argument("--profile", choices=PROFILES, default="paper")
        if name in ("run", "sweep", "verify", "measure"):
            sub.add_argument("--data-dir", help="folder searched first for the data files")
        if name in ("run", "sweep", "verify", "measure", "ledger", "slides"):
            sub.add_argument("--results", type=Path, help="folder of the ledger (default: "
                             "results/, and what is new in my-results/)")
        if name in ("run", "sweep", "bench", "measure", "verify", "ledger"):
            sub.add_argument("--record", action="store_true",
                             help="use the committed ledger, results/, alone, and write to it")
    return parser


def main(argv=None) -> int:
    try:
        args = options().parse_args(argv)
        needs_checkout()
        with said_once():
            return args.function(args)
    except (LedgerError, ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command continues from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
