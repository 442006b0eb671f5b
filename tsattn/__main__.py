"""Command line: ``python -m tsattn COMMAND``. Options only; the work is in the rooms."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

from . import ledger as record
from . import sweep as sweeping
from .data.findings import said_once
from .ledger import Ledger, LedgerError
from .runs import PLANS, exchanged
from .settings import ATTENTIONS, PROFILES, SEEDS, Settings, make

SHOWN = ["run_id", "status", "best_epoch", "val_mse", "test_mse", "test_mae", "seconds"]
LABELS = ["profile", "dataset", "attention", "seed", "epochs", "reason"]


class Parser(argparse.ArgumentParser):
    """One sentence instead of the usage."""

    def error(self, message):
        raise ValueError(f"{self.prog}: {message} (--help lists the options).")


def value(text: str):
    """A value that is written in JSON or as in Python, else the text itself."""
    for read in (json.loads, {"True": True, "False": False, "None": None}.__getitem__, float):
        try:
            return read(text)
        except (ValueError, KeyError):
            pass
    return text


def count(text: str) -> int:
    if type(number := value(text)) is not int or number < 1:
        raise argparse.ArgumentTypeError(f"{text}: write a whole number of at least 1")
    return number


def settings_options(parser, skip=()) -> None:
    """One option per field of ``Settings``; what is not given comes from the profile."""
    group = parser.add_argument_group("settings (default: those of the profile)")
    for field in fields(Settings):
        if field.name not in ("profile", *skip):
            group.add_argument("--" + field.name.replace("_", "-"), metavar=field.type,
                               type=str if field.type == "str" else value,
                               default=argparse.SUPPRESS)


def chosen(args) -> dict:
    """The settings that are given."""
    return {f.name: getattr(args, f.name) for f in fields(Settings)
            if f.name != "profile" and hasattr(args, f.name)}


def ledger_of(args) -> Ledger:
    """The ledger that a command reads and writes."""
    return Ledger(args.results, record=True) if args.results else Ledger(record=args.record)


def show(table) -> None:
    print(table.to_string(index=False) if len(table) else "nothing is recorded")


# -- one function per command


def report(args) -> int:
    print("reading the chapters and what is recorded ...", file=sys.stderr, flush=True)
    from .report import report as execute

    return execute(args.only, args.profile, {k: value(v) for k, v in args.parameter},
                   args.in_place, train=args.train, within=args.within,
                   overwrite=args.overwrite_committed, with_site=not args.notebooks_only,
                   build=args.output and args.output.absolute())


def run(args) -> int:
    table = sweeping.sweep([make(args.profile, **chosen(args))], ledger=ledger_of(args),
                           data_dir=args.data_dir)
    one = table[SHOWN + LABELS].astype(object).where(table.notna(), None)
    print(json.dumps(one.to_dict("records")[0]))
    return _outcome(table)


def sweep(args) -> int:
    if args.plan:
        ignored = [n for n in ("attentions", "seeds") if getattr(args, n)] + list(chosen(args))
        if ignored:
            raise ValueError(f"--plan {args.plan}: its runs have their own settings; leave out "
                             f"--{', --'.join(ignored).replace('_', '-')}, or --plan.")
        parts = PLANS[args.plan](args.profile)
    else:
        has = ATTENTIONS if make(args.profile, **chosen(args)).attention != "none" else ["none"]
        parts = {f"seed {seed}": [make(args.profile, attention=a, seed=seed, **chosen(args))
                                  for a in args.attentions or has]
                 for seed in args.seeds or SEEDS[args.profile]}
    options = dict(ledger=ledger_of(args), jobs=args.jobs, weights=args.weights)
    if args.cluster and (args.dry_run or args.within is not None):
        raise ValueError("--cluster: how long its workers take is not known; leave out --within "
                         "and --dry-run.")
    if args.dry_run:
        print(sweeping.outlook(parts, **options))
        return 0
    table = sweeping.sweep([s for part in parts.values() for s in part], data_dir=args.data_dir,
                           cluster=args.cluster, within=args.within,
                           command="the same command without --within", **options)
    show(table[SHOWN] if len(table) else table)
    return _outcome(table)


def _outcome(table) -> int:
    """The exit status; what failed is said."""
    if table.empty:
        return 1
    for row in table[table.status == "failed"].itertuples():
        print(f"{row.run_id}: {row.reason}", file=sys.stderr)
    return int((table.status != "complete").any())


def verify(args) -> int:
    ledger = ledger_of(args)
    with TemporaryDirectory() as folder:
        found = sweeping.verify(ledger, folder, args.sample, args.run_id, args.cheaper_than,
                                args.data_dir)
        show(found)
        for run_id in found.run_id if args.measurements else ():
            print(f"\n{run_id}: what is recorded of its model, measured again", flush=True)
            again = sweeping.measured_again(ledger.settings(run_id), ledger, folder, args.data_dir)
            show(again)
            if args.record:
                ledger.record("measured_again", again.to_dict("records"), ["run_id", "table"])
    return int((found.outcome == "different").any())


def measure(args) -> int:
    """What the chapters measure on trained models and the ledger lacks, made on the models whose
    weights are here, and what another version has measured, made again."""
    from .measures import MEASURES, points

    if unknown := {*(args.tables or ())} - {*MEASURES}:
        raise ValueError(f"--tables {' '.join(unknown)}: choose from {', '.join(MEASURES)}.")
    ledger, lost, todo = ledger_of(args), set(), exchanged()
    old: dict = {}  # table, run_id -> rows of another version
    for table in MEASURES:
        for row in ledger.rows(table):
            if record.outdated(table, row):
                old.setdefault((table, row["run_id"]), []).append(row)
    for (table, run_id), rows in old.items():
        if s := ledger.known(run_id):
            todo.append((table, [s], points(table, rows)))
        else:
            lost.add(run_id)
    for table, models, at in todo:
        if args.tables and table not in args.tables:
            continue
        here = models if args.train else sweeping.trained(models, ledger)
        sweeping.on_trained(table, here, at, MEASURES[table], ledger=ledger,
                            data_dir=args.data_dir, within=None if args.train else 0)
        lost |= {s.run_id for s in models if s not in here and ledger.lacking(
            table, [{"run_id": s.run_id, **point} for point in at])}
    if lost:
        print(f"{len(lost)} models have no weights here or no row in the ledger (first: "
              f"{min(lost)}) and are not measured; `python -m tsattn measure --train` trains them "
              "(on a file of your own: in its folder; a row that is lost: train its run first)",
              file=sys.stderr)
    return int(bool(lost))


def refresh(args) -> int:
    from .text import refresh as refreshed

    changed, problems = refreshed(ledger=Ledger(record=True))
    print(f"brought up to date: {', '.join(changed) or 'nothing had changed'}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


def slides(args) -> int:
    from .slides import build

    ledger = Ledger(args.results) if args.results else None
    print(build(args.lang, args.out, ledger, args.lab, args.presenter, args.date))
    return 0


def ledger(args) -> int:
    of = ledger_of(args)
    if args.results and not args.results.is_dir():
        raise ValueError(f"{args.results}: no such folder.")
    if args.what == "check":
        said = record.check(of)
        print("\n".join(said) or "check: every row is whole")
        return int(bool(said))
    for folder in of.folders:
        for table in folder.tables():
            columns, lines = folder.lines(table)
            print(f"{folder.file(table)}: {len(lines)} rows, {len(columns)} columns")
    if len(runs := of.read("runs")):
        show(runs.groupby(["profile", "status"]).size().reset_index(name="runs"))
    return 0


# -- their options


def options() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m tsattn", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    def command(function, help_: str, **flags: str):
        sub = commands.add_parser(function.__name__, help=help_)
        sub.set_defaults(function=function)
        for name, said in flags.items():
            sub.add_argument("--" + name.replace("_", "-"), action="store_true", help=said)
        sub._negative_number_matcher = re.compile(r"-\.?\d")  # -9999,nan is a value, no option
        return sub

    c = command(report, "execute the chapters and build the report",
                train="train what is missing, however long",
                notebooks_only="execute, but build no site",
                in_place="replace the notebooks in notebooks/ by executed ones",
                overwrite_committed="allow --in-place with other settings")
    c.add_argument("--only", nargs="+", default=[], metavar="NN", help="chapter numbers, e.g. 01")
    c.add_argument("-p", "--parameter", nargs=2, action="append", default=[],
                   metavar=("NAME", "VALUE"))
    c.add_argument("--within", type=float, default=10, metavar="MINUTES",
                   help="train what is missing if it takes no longer (default: 10)")
    c.add_argument("--output", type=Path, metavar="FOLDER",
                   help="default: build/report, or build/report-NAME-... for NAME.csv")

    c = command(run, "train one model; the last line is its result as JSON")
    settings_options(c)

    c = command(sweep, "train what is missing of all attentions and seeds",
                dry_run="print what is missing and how long it takes",
                weights="train again what has no trained weights here")
    c.add_argument("--plan", choices=list(PLANS),
                   help="the report's own list of runs, in order of importance")
    c.add_argument("--attentions", nargs="+", metavar="NAME", help="default: all of the model")
    c.add_argument("--seeds", nargs="+", type=value, metavar="N")
    c.add_argument("--jobs", type=count, help="runs side by side (default: one per core)")
    c.add_argument("--within", type=float, metavar="MINUTES", help="train nothing if it takes more")
    c.add_argument("--cluster", default="", metavar="ADDRESS",
                   help="Dask scheduler, e.g. tcp://host:8786")
    settings_options(c, skip=("attention", "seed"))

    c = command(verify, "train rows of the ledger again and compare; nothing is recorded",
                measurements="also measure again what is recorded of their models, and compare; "
                             "--record keeps that comparison")
    c.add_argument("--sample", type=count, default=3, metavar="N", help="rows drawn at random")
    c.add_argument("--run-id", nargs="+", default=[], metavar="ID", help="these rows instead")
    c.add_argument("--cheaper-than", type=float, default=float("inf"), metavar="SECONDS",
                   help="draw only among rows that took less")

    c = command(measure, "measure on trained models what is missing",
                train="train models that are not here")
    c.add_argument("--tables", nargs="+", metavar="NAME", help="only these tables")

    command(refresh, "bring the numbers in the prose up to date with the ledger")

    c = command(slides, "build the lab deck, an editable PowerPoint file with notes")
    c.add_argument("--lang", default="ko", metavar="ko|en")
    for name in ("lab", "presenter", "date"):
        c.add_argument(f"--{name}", default="", metavar=name.upper(), help="for the first slide")
    c.add_argument("--out", type=Path, metavar="FILE", help="default: build/slides-<lang>.pptx")

    c = command(ledger, "what is recorded, and whether it is whole")
    c.add_argument("what", choices=("show", "check"))

    for name, sub in commands.choices.items():
        if name in ("report", "run", "sweep"):  # a report may be given it with -p, too
            sub.add_argument("--profile", choices=PROFILES,
                             default=None if name == "report" else "paper")
        if name in ("run", "sweep", "verify", "measure"):
            sub.add_argument("--data-dir", help="folder searched first for the data files")
        if name in ("run", "sweep", "verify", "measure", "ledger", "slides"):
            sub.add_argument("--results", type=Path, help="folder of the ledger (default: "
                             "results/, and what is new in my-results/)")
        if name in ("run", "sweep", "measure", "verify", "ledger"):
            sub.add_argument("--record", action="store_true",
                             help="use the committed ledger, results/, alone, and write to it")
    return parser


def main(argv=None) -> int:
    try:
        args = options().parse_args(argv)
        record.needs_checkout()
        with said_once():
            return args.function(args)
    except (LedgerError, ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"error: this command needs {error.name or error}, which is not installed; "
              "`pip install -r requirements.txt` brings it.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command continues from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing is left behind
    sys.exit(main())
