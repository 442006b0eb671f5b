"""Does attention matter on one series? What is in its file, the answer in sentences, forecasts in
its units."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .checkpoints import load_trained
from .claims.rules import CANNOT_TELL, NO, YES, Found, Number, not_worse
from .compare import versus
from .data import Splits, findings
from .ledger import Ledger
from .settings import Settings
from .statistics import FEW_BLOCKS, MARGIN, MIN_SEEDS, interval
from .text import escape, figure, with_interval

PAIR, LINEAR = ("softmax", "zero"), "linear model"
RULES = ("season repeated", "last value repeated")  # forecasts that need no model
LOSS = figure(MARGIN, "share", 0)
MATTERS = {YES: "no", NO: "yes", CANNOT_TELL: "cannot tell"}  # "as good without" -> "matters"


def table(heads, rows) -> str:
    """Markdown; every cell is text, whatever the file calls its columns."""
    lines = [map(escape, heads), ["---"] * len(heads), *(map(escape, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def short(file: Path) -> str:
    """A name for what is made of ``file``: its own in plain characters, and six that tell its path
    from every other."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.")[:40] or "series"
    return f"{plain}-{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:6]}"


def in_figure(name: str) -> str:
    """A name from a file as text of a figure, where $ would begin an equation."""
    return name.replace("$", r"\$")


def shown(values, form: str = ".4g") -> str:
    """Mean of the seeds' values; with its 95 % interval, if there are several."""
    mean, low, high = interval(values)
    return f"{mean:{form}}" + (f" [{low:{form}}, {high:{form}}]" if np.isfinite(low) else "")


def seeds(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


# -- what is in the file


def facts(splits: Splits, tokens: int) -> str:
    """What was found in the file, how it is split, and of how many ``tokens`` a window is made, as
    Markdown."""
    found, rows = splits.findings, splits.test.series.shape[1]
    used = len(set().union(*(range(*part) for part in splits.rows)))
    about = [("series", splits.name), ("rows", f"{rows:,}"),
             ("channels", f"{len(splits.channels)}: {', '.join(splits.channels)}"),
             ("step", findings.words(found.step) if found.step is not None else "not dated"),
             ("season, in steps", found.season),
             ("tokens that PatchTST makes of a window", tokens),
             ("irregular steps", found.gaps),
             ("cells that hold the value before", found.held),
             ("left out, constant while training", ", ".join(found.dropped) or "nothing"),
             ("rows in no part", f"{rows - used:,}")]
    parts = [(name, *found.spans.get(name, (first + 1, end)), f"{end - first:,}",
              f"{len(windows):,}")
             for name, (first, end), windows in zip(
                 ("training", "validation", "test"), splits.rows,
                 (splits.train, splits.val, splits.test), strict=True)]
    said = table(("in the file", ""), about) + "\n\n" + table(
        ("part", "from", "to", "rows", "windows"), parts)
    notes = "".join(f"\n- {escape(note)}" for note in found.notes)
    return said + (f"\n\nSaid while reading it:\n{notes}" if notes else "")


# -- the answer


def season_in_words(splits: Splits) -> str:
    """What the rule repeats that needs no model."""
    n, step = splits.findings.season, splits.findings.step
    how_long = f" ({findings.words(n * step)})" if step is not None else ""
    return f"the last {n} steps{how_long}" if n > 1 else "the last value"


def first_sentence(against: pd.DataFrame, validation: dict[str, float], season: str,
                   where: str) -> tuple[str, str]:
    """Whether a model beats the rule that repeats ``season``, by how much, and which to use, in
    Markdown; and its name.

    The ``validation`` errors choose: which model is tested against the rule, so that it is a single
    test, and, with the rules, which to use. ``against`` is ``compare.versus`` of all and the rule.
    """
    rows = against.set_index("variant")
    model = min((n for n in rows.index if n not in RULES), key=validation.get)
    use, row = min(validation, key=validation.get), rows.loc[model]
    better = f"{model} forecasts better than repeating {season}"
    said = f"Yes, {better}" if row.high < 0 else \
        f"No, {better.replace(' better', ' no better', 1)}" if row.low > 0 else \
        f"That {better} is not shown"
    others = ", ".join(f"{n} {with_interval(Number(*rows.loc[n, ['change', 'low', 'high']]))}"
                       for n in dict.fromkeys((model, *PAIR, LINEAR)) if n in rows.index)
    covers = "other stretches of this series like the test part" + (
        ", not for other seeds, as one was trained" if row.seeds == 1 else " and for other seeds")
    idle = "" if row.high < 0 else " Attention says little where the rule does as well, and the " \
        "rule needs no training."
    return f"**{said}** ({where}). Validation chooses {model} among the models. Change of the " \
           f"test error against that rule: {others} (brackets: 95 % intervals, for {covers})." \
           f"{idle}\n\n**Use {use}**: its error on the validation part is the lowest of all.", use


def found(ledger: Ledger, named: dict[str, list[Settings]]) -> Found | None:
    """Zero attention against softmax by the rule of the report's first claim, within the family of
    all replacements ``named`` (attention -> runs); None where one of the two has not been run."""
    others = {a: of for a, of in named.items() if a != "softmax"}
    table = versus(ledger, named.get("softmax", []), others, pooled=True)
    zero = table[table.variant == "zero"]
    if zero.empty:
        return None
    row = zero.iloc[0]
    return Found(not_worse(zero)[0], Number(row.change, row.low, row.high), int(row.seeds),
                 row.detectable, split_verdict=not_worse(zero, here=True)[0],
                 few_blocks=bool(row.blocks < FEW_BLOCKS), comparisons=zero)


def seen(found: Found) -> str:
    """The smallest loss that would have been seen, where it is known."""
    return figure(found.detectable, "share") if np.isfinite(found.detectable) else ""


def answer(found: Found | None, where: str) -> str:
    """The answer, its size and its uncertainty in sentences of Markdown; then both targets, where
    seeds can be told from times. Below ``MIN_SEEDS`` seeds the interval alone answers, at first
    look."""
    if found is None:
        return f"**Does attention matter?** Not run yet ({where})."
    number, enough, verdict = found.number, found.seeds >= MIN_SEEDS, found.verdict
    if not enough:  # is it as good without attention?
        verdict = NO if number.low > 0 else YES if number.high < MARGIN else CANNOT_TELL
    least = f"; {seen(found)} or more would have been seen in 80 % of such experiments" \
        if seen(found) else ""
    head, rest = {
        YES: ("Attention does not matter", f"a loss of {LOSS} or more without it is excluded."),
        NO: ("Attention matters", "without it the error is larger."),
        CANNOT_TELL: ("Cannot tell whether attention matters", f"a loss of {LOSS} or more without "
                      f"it is neither shown nor excluded{least}.")}[verdict]
    covers = "other times of this series and other seeds" if found.seeds > 1 else \
        "other times of this series, not other seeds"
    said = f"**{'' if enough else 'At first look: '}{head}** ({where}): {rest} Trained without " \
           f"attention (zero), PatchTST's error changes by {with_interval(number)} against " \
           f"softmax ({seeds(found.seeds)}; brackets: 95 % interval, for {covers})."
    if not enough:
        said += f" This is a first look: a verdict needs {MIN_SEEDS} seeds and full training " \
                "(leave out `--profile`)."
    row = found.comparisons.set_index("variant").loc["zero"]
    if found.seeds > 1:
        split = Number(row.change, row.low_here, row.high_here)
        of_split = MATTERS[found.split_verdict] if enough else "a verdict needs more seeds"
        said += "\n\n" + table(
            ("of what", "does attention matter?", "error without it, against softmax"),
            [("other times of this series: uncertainty from seeds and stretches tested",
              MATTERS[verdict], with_interval(number)),
             ("this test span alone: uncertainty from the seeds", of_split, with_interval(split))])
    if found.few_blocks:
        said += f"\n\nThe test span holds {row.blocks:.1f} separate stretches as long as a " \
                f"window, fewer than {FEW_BLOCKS}: the interval for other times may be too short."
    return said


def line(found: Found | None, shown: str) -> str:
    """The verdict on a claim with its number, which measures ``shown``."""
    if found is None or found.number is None:
        return "Not run yet."
    least = f" (could have seen ≥ {seen(found)})" \
        if found.verdict == CANNOT_TELL and seen(found) else ""
    few = f" From {seeds(found.seeds)}; a verdict needs {MIN_SEEDS}." \
        if found.seeds < MIN_SEEDS else ""
    return f"{found.verdict.capitalize()}{least}: {shown}, {with_interval(found.number)}.{few}"


# -- forecasts


@torch.no_grad()
def forecasts(splits: Splits, models: dict[str, Settings], beyond: bool = False) -> pd.DataFrame:
    """Forecasts of the test span in the file's units and times, a row per time and channel and a
    column per model.

    Windows follow one another, so that every time is forecast once: ``origin`` is the last time
    that the models have seen. ``beyond``: instead the pred_len steps after the file's last row,
    which nobody has observed. Raises ``FileNotFoundError`` where weights are not here.
    """
    test, n, time = splits.test, len(splits.channels), _times(splits)
    first = []
    for start in [test.series.shape[1] - test.seq_len] if beyond else test.starts.tolist():
        if not first or start >= first[-1] + test.pred_len:
            first.append(start)
    at = np.array(first)[:, None] + test.seq_len + np.arange(test.pred_len)  # [windows, pred_len]
    x = test.series.unfold(-1, test.seq_len, 1)[:, first].transpose(0, 1)  # [windows, C, seq_len]
    made = {} if beyond else {"observed": test.series[:, at].transpose(0, 1)}
    for name, s in models.items():
        model = load_trained(s, n)
        made[name] = torch.cat([model(some) for some in x.split(max(1, 256 // n))])
    return pd.DataFrame({
        "origin": np.repeat(time[at[:, 0] - 1], test.pred_len * n),
        "time": np.repeat(time[at.ravel()], n),
        "channel": np.tile(splits.channels, at.size),
        **{name: (y.transpose(1, 2).double().numpy() * splits.std + splits.mean).ravel()
           for name, y in made.items()}})


def _times(splits: Splits) -> pd.Index:
    """Of every row, and of the pred_len steps that follow the last one."""
    if splits.time is None:
        return pd.RangeIndex(splits.test.series.shape[1] + splits.test.pred_len)
    usual = pd.infer_freq(splits.time[-12:]) or splits.findings.step
    return splits.time.append(pd.date_range(splits.time[-1], freq=usual,
                                            periods=splits.test.pred_len + 1)[1:])


def write(table: pd.DataFrame, path) -> None:
    """The forecasts as CSV, to the seven digits that single precision holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.7g")
