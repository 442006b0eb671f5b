"""Command line: ``python -m tsattn report | sweep | run | verify | bench``. Options only; the work is in the rooms."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path

from . import settings as settings_module
from .data import DataError
from .ledger import Ledger, LedgerError
from .runs import PLANS
from .settings import ATTENTIONS, PROFILES, Settings, make


def value(text: str):
    """A JSON value where the text is one (numbers, lists, true), else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def settings_options(parser, skip=()) -> None:
    """One option per field of ``Settings``; what is not given comes from the profile."""
    group = parser.add_argument_group("settings (default: those of the profile)")
    for field in fields(Settings):
        if field.name not in ("profile", *skip):
            group.add_argument("--" + field.name.replace("_", "-"), dest=field.name, type=value, metavar=field.type,
                               default=argparse.SUPPRESS)


def chosen(args, skip=()) -> dict:
    names = {f.name for f in fields(Settings)} - {"profile", *skip}
    return {k: v for k, v in vars(args).items() if k in names}


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tsattn", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    report = commands.add_parser("report", help="execute the chapters with papermill")
    report.add_argument("--only", nargs="+", default=[], metavar="NN", help="chapter numbers, e.g. 01")
    report.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    report.add_argument("--in-place", action="store_true", help="replace the notebooks in notebooks/ by executed ones")

    run = commands.add_parser("run", help="train one model; the last line is its result as JSON")
    settings_options(run)

    sweep = commands.add_parser("sweep", help="train what is missing of all attentions and seeds")
    sweep.add_argument("--plan", choices=list(PLANS), help="the report's own list of runs, in order of importance")
    sweep.add_argument("--attentions", nargs="+", metavar="NAME", help="default: all that the model has")
    sweep.add_argument("--seeds", nargs="+", type=int, metavar="N")
    sweep.add_argument("--jobs", type=int, help="runs side by side (default: one per core)")
    sweep.add_argument("--cluster", default="", metavar="ADDRESS", help="Dask scheduler, e.g. tcp://host:8786")
    sweep.add_argument("--dry-run", action="store_true", help="print what is missing and how long it will take")
    sweep.add_argument("--weights", action="store_true", help="train again what has no trained weights here")
    settings_options(sweep, skip=("attention", "seed"))

    verify = commands.add_parser("verify", help="train rows of the ledger again and compare; nothing is recorded")
    verify.add_argument("--sample", type=int, default=3, metavar="N", help="rows drawn at random (default: 3)")
    verify.add_argument("--run-id", nargs="+", default=[], metavar="ID", help="these rows instead")
    verify.add_argument("--cheaper-than", type=float, default=float("inf"), metavar="SECONDS",
                        help="draw only among rows that took less")

    bench = commands.add_parser("bench", help="time and memory of a training step, beside the peer's and the floor")
    bench.add_argument("--rounds", type=int, default=8, metavar="N", help="times that all variants take turns")
    bench.add_argument("--growth", action="store_true", help="also how time and memory grow with the sizes (minutes)")
    bench.add_argument("--record", action="store_true", help="keep the tables in the ledger")
    bench.add_argument("--json", action="store_true", help="last line: the table of the steps as a JSON list")

    for command in (report, run, sweep, bench):
        command.add_argument("--profile", choices=PROFILES, default="paper")
    for command in (run, sweep, verify):
        command.add_argument("--data-dir", help="folder searched first for the data files")
        command.add_argument("--results", type=Path, help="folder of the ledger (default: results/)")

    args = parser.parse_args(argv)
    try:
        if args.command == "report":
            from .report import report as execute

            return execute(args.only, args.profile, {k: value(v) for k, v in args.parameter}, args.in_place)
        if args.command == "bench":
            from .bench import bench as measure

            tables = measure(args.profile, args.rounds, args.growth, Ledger() if args.record else None)
            for table in tables.values():
                print(table.drop(columns="profile").to_string(index=False, float_format="{:.2f}".format), end="\n\n")
            if args.json:
                print(tables["steps"].to_json(orient="records"))
            return 0
        from .sweep import plan, sweep as execute, verify as retrain

        ledger = Ledger(args.results) if args.results else Ledger()
        if args.command == "verify":
            found = retrain(ledger, args.sample, args.run_id, args.cheaper_than, args.data_dir)
            print(found.to_string(index=False))
            return int((found.outcome == "different").any())
        if args.command == "run":
            runs = [make(args.profile, **chosen(args))]
        elif args.plan:
            ignored = [n for n in ("attentions", "seeds") if getattr(args, n)] + list(chosen(args))
            if ignored:
                raise ValueError(f"--plan {args.plan}: its runs have their own settings; leave out "
                                 f"--{', --'.join(ignored).replace('_', '-')}, or --plan.")
            runs = [s for part in PLANS[args.plan](args.profile).values() for s in part]
        else:
            seeds = args.seeds or settings_module.SEEDS[args.profile]
            changes = chosen(args, skip=("attention", "seed"))
            has = ATTENTIONS if make(args.profile, **changes).attention != "none" else ["none"]
            runs = [make(args.profile, attention=a, seed=s, **changes) for s in seeds for a in args.attentions or has]
        options = {} if args.command == "run" else dict(jobs=args.jobs, weights=args.weights, cluster=args.cluster)
        if getattr(args, "dry_run", False):
            print(plan(runs, ledger, args.jobs, args.weights))
            return 0
        table = execute(runs, ledger=ledger, data_dir=args.data_dir, **options)
        shown = table[["run_id", "status", "best_epoch", "val_mse", "test_mse", "test_mae", "seconds", "reason"]]
        if args.command == "run":
            print(json.dumps(shown.astype(object).where(shown.notna(), None).to_dict("records")[0]))
        else:
            print(shown.drop(columns="reason").to_string(index=False))
        failed = table[table.status != "complete"]
        for row in failed.itertuples():
            print(f"{row.run_id}: {row.reason}", file=sys.stderr)
        return int(len(failed) > 0)
    except (DataError, LedgerError, ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command continues from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
