"""Claims on months that nobody had looked at, as registered before (``preregistered``), and on
series of other kinds; numbers and statements of both.
"""

from __future__ import annotations

import pandas as pd
from scipy import stats

from .. import preregistered, runs
from ..ledger import Ledger
from ..statistics import MARGIN, least_found
from .rules import (
    EQUAL,
    NOT_WORSE,
    UNSEEN,
    Claim,
    Found,
    combine,
    number_of,
    word,
)


def _error(row, df):
    """The standard error from which an interval was made."""
    return (row.high - row.difference) / stats.t.ppf(0.975, df)


def judged(ledger: Ledger, profile: str = "paper") -> pd.DataFrame:
    """The registered comparisons as a table of ``compare``: relative, so that softmax is 1."""
    table = preregistered.judged(ledger, profile)
    if table.empty:
        return table
    error = _error(table, table.df)
    return table.assign(
        reference=1.0,
        detectable=[least_found(*v) for v in zip(error, table.df, strict=True)],
        provable=table.difference + stats.t.ppf(0.95, table.df) * error,
    )


def family(name: str, shown: str, cell: str = ""):
    """A claim decided by the registered family ``name``; its number is that of the model ``shown``.

    A comparison holds where its test rejects. That the registered contrast of a family of *not
    worse* finds a loss is said beside the verdict (``lost``): it does not say how large it is.
    """

    def judge(ledger: Ledger, profile: str) -> Found | None:
        table = judged(ledger, profile)
        rows = table[table.family == name] if len(table) else table
        if rows.empty:
            return None
        contrast = table[table.family == f"{name} contrast"]
        lost = bool((contrast.confirmed & (contrast.difference > 0)).any())
        words = [word(held, False) for held in rows.confirmed]
        table = pd.concat([rows, contrast])
        row = table[(table.model == shown) & table.cell.str.startswith(cell)].iloc[0]
        return Found(
            combine(words),
            number_of(row),
            int(row.seeds),
            row.detectable,
            row.provable,
            lost=lost,
            comparisons=table,
        )

    return judge


def exchanges(ledger: Ledger) -> pd.DataFrame:
    table = ledger.read("content_or_mixing")
    models = {s.run_id for s in runs.new_months()["PatchTST ETTh1-96"]}
    return table[table.run_id.isin(models)] if len(table) else table


# -- the claims


WHERE = "ETTh1, 96 hours ahead, learning rate 1e-4; the 4 months after the standard test"
REGISTERED = "registered before the first run on these months"
RULE = (
    f"{NOT_WORSE}, four replacements; {REGISTERED}. That the registered contrast of their mean "
    "shows a loss of any size is said beside it; the words are ours"
)
MEAN = (
    "mean error of four replacements, against softmax",
    "네 가지 대체 attention의 평균 오차 (softmax 대비)",
)
WITHOUT = Claim(
    "registered-without",
    "01_attention_replacement",
    "PatchTST forecasts as well without attention (ETTh1 at 1e-4, unseen months).",
    "PatchTST는 attention 없이도 뒤지지 않게 예측합니다 (ETTh1, 1e-4, 새 기간).",
    MEAN,
    RULE,
    WHERE,
    family("P1", "mean of 4"),
    scorecard=True,
)
SERIES = "electricity price and demand, exchange rates, illness; learning rate 1e-4"
OVER = f"the interval of the mean over them (random effects) lies below +{MARGIN:.0%}"
ZERO_OVER = ("mean error with zero attention, against softmax",
             "zero attention의 평균 오차 (softmax 대비)")
ELSEWHERE = (
    Claim(
        "other-series-average",
        "09_elsewhere",
        "A plain average of the tokens does as well as attention (four other series, not "
        "registered).",
        "token의 단순 평균은 attention에 뒤지지 않습니다 (다른 시계열 4개, 사전 등록하지 않음).",
        ("mean error with mean attention, against softmax",
         "mean attention의 평균 오차 (softmax 대비)"),
        OVER,
        SERIES,
        None,
        target="other series",
        scorecard=True,
    ),
    Claim(
        "periods",
        "09_elsewhere",
        "PatchTST forecasts as well without attention (five two-month periods of ETTh1, not "
        "registered).",
        "PatchTST는 attention 없이도 뒤지지 않게 예측합니다 (ETTh1의 두 달짜리 기간 5개, "
        "사전 등록하지 않음).",
        ZERO_OVER,
        OVER,
        "ETTh1, 96 hours ahead, learning rate 1e-4; a rolling origin",
        None,
        scorecard=True,
    ),
)
FURTHER = (
    Claim(
        "registered-halves",
        "01_attention_replacement",
        "Either half of PatchTST, attention or feed-forward networks, forecasts as well as both "
        "(unseen months).",
        "PatchTST의 두 절반인 attention과 feed-forward network는 어느 하나만으로도 뒤지지 않게 "
        "예측합니다 (새 기간).",
        (
            "error of attention alone, against the whole model",
            "attention만 있는 모델의 오차 (전체 모델 대비)",
        ),
        NOT_WORSE + f", attention alone and zero attention; {REGISTERED}",
        WHERE,
        family("P2", "attention only"),
    ),
    Claim(
        "registered-itransformer",
        "09_elsewhere",
        "iTransformer forecasts better without attention in both schedules (unseen months).",
        "iTransformer는 두 학습 schedule 모두에서 attention이 없을 때 더 잘 예측합니다 (새 기간).",
        (
            "error with zero attention, 1e-4 halved every epoch, against softmax",
            "zero attention의 오차 (1e-4를 epoch마다 절반으로, softmax 대비)",
        ),
        f"superiority (one-sided, Holm), identity and zero in two schedules; {REGISTERED}",
        WHERE.replace("1e-4", "1e-4 halved every epoch, and constant 1e-5"),
        None,
    ),
    Claim(
        "registered-etth2",
        "09_elsewhere",
        "PatchTST forecasts as well without attention (ETTh2, unseen months).",
        "PatchTST는 attention 없이도 뒤지지 않게 예측합니다 (ETTh2, 새 기간).",
        MEAN,
        RULE,
        WHERE.replace("ETTh1", "ETTh2"),
        None,
    ),
    Claim(
        "content-unused",
        "02_attention_perturbation",
        "A trained PatchTST uses its attention for mixing alone, not for content (unseen months).",
        "학습된 PatchTST는 attention을 mixing에만 쓰고 content에는 쓰지 않습니다 (새 기간).",
        (
            "error with the average matrix of each head in place of attention",
            "attention을 head별 평균 행렬로 바꾼 뒤의 오차 변화",
        ),
        EQUAL + f"; {REGISTERED}",
        WHERE,
        None,
        target=UNSEEN,
    ),
    Claim(
        "other-series",
        "09_elsewhere",
        "PatchTST forecasts as well without attention (four other series, not registered).",
        "PatchTST는 attention 없이도 뒤지지 않게 예측합니다 (다른 시계열 4개, 사전 등록하지 않음).",
        ZERO_OVER,
        OVER,
        SERIES,
        None,
        target="other series",
    ),
)

# -- numbers and statements


ENDS = {"": "difference", ".low": "low", ".high": "high"}
NUMBERS = {
    **{f"registered-without.mean-of-4{end}": (
        "change", lambda f, column=column: f.compared("registered-without", "mean of 4", column))
        for end, column in ENDS.items()},
    "registered-without.p": (
        "weight",
        lambda f: f.row("registered-without", "mean of 4").p,
    ),
}
STATEMENTS = {
    "registered-none-excluded": lambda f: (
        not (t := f.outcomes["registered-without"].found.comparisons)[
            t.family == "P1"
        ].confirmed.any()
    ),
    "registered-loss-shown": lambda f: bool(
        (t := f.outcomes["registered-without"].found.comparisons)[
            t.family == "P1 contrast"
        ].confirmed.all()
        and (t.difference > 0).all()
    ),
    "registered-halves-attention-alone": lambda f: (
        (t := f.outcomes["registered-halves"].found.comparisons)[t.confirmed].model.tolist()
        == ["attention only"]
    ),
}
