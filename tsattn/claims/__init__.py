"""Each claim of the report, exactly once: its statement, in words the rule, the number shown.

A chapter decides it (``Chapter.claim``); README, site and slides print what ``judge`` finds in
``numbers`` and decide nothing themselves.
"""

from __future__ import annotations

import pandas as pd

from .. import numbers
from ..ledger import Ledger
from ..statistics import MARGIN
from .rules import (
    ABOUT_ZERO,
    EQUAL,
    NOT_RUN,
    NOT_WORSE,
    SINGLED_OUT,
    THIS_SPLIT,
    UNSEEN,
    Claim,
    Found,
    Number,
)

# What numbers show, in English and Korean.
ALONE = ("error of attention alone, against the whole model",
         "attention만 있는 모델의 오차 (전체 모델 대비)")
EVENT_WEIGHT = ("weight of event patches; 1 is the weight of every patch under uniform attention",
                "event patch의 가중치 (균등한 attention이 1)")
MEAN = ("mean error of four replacements, against softmax",
        "네 가지 대체 attention의 평균 오차 (softmax 대비)")
ZERO = ("error with zero attention, against softmax", "zero attention의 오차 (softmax 대비)")
ZERO_96 = ("error with zero attention at 96 hours, against softmax",
           "96시간에서 zero attention의 오차 (softmax 대비)")
ZERO_OVER = ("mean error with zero attention, against softmax",
             "zero attention의 평균 오차 (softmax 대비)")
# Rules.
BETTER = "superiority (two-sided, Holm), four replacements"
BETTER_EACH = "superiority (two-sided, Holm in each horizon), four replacements at four horizons"
OVER = f"the interval of the mean over them (random effects) lies below +{MARGIN:.0%}"
REGISTERED = "registered before the first run on these months"
REGISTERED_CONTRAST = (
    f"{NOT_WORSE}, four replacements; {REGISTERED}. That the registered contrast of their mean "
    "shows a loss of any size is said beside it; the words are ours")
# Where.
MACHINE = "state machine, 96 steps ahead"
ONE_ROW = "ETTh1, 96 hours ahead, learning rate 1e-4"
SERIES = "electricity price and demand, exchange rates, illness; learning rate 1e-4"
UNSEEN_MONTHS = "ETTh1, 96 hours ahead, learning rate 1e-4; the 4 months after the standard test"

CLAIMS: dict[str, Claim] = {claim.id: claim for claim in (
    Claim("registered-without", "01_attention_replacement",
          "PatchTST forecasts as well without attention (ETTh1 at 1e-4, unseen months).",
          "PatchTST는 attention 없이도 뒤지지 않게 예측합니다 (ETTh1, 1e-4, 새 기간).",
          MEAN, REGISTERED_CONTRAST, UNSEEN_MONTHS, scorecard=True),
    Claim("other-series-average", "09_elsewhere",
          "A plain average of the tokens does as well as attention (four other series, not "
          "registered).",
          "token의 단순 평균은 attention에 뒤지지 않습니다 (다른 시계열 4개, 사전 등록하지 않음).",
          ("mean error with mean attention, against softmax",
           "mean attention의 평균 오차 (softmax 대비)"),
          OVER, SERIES, target="other series", scorecard=True),
    Claim("periods", "09_elsewhere",
          "PatchTST forecasts as well without attention (five two-month periods of ETTh1, not "
          "registered).",
          "PatchTST는 attention 없이도 뒤지지 않게 예측합니다 (ETTh1의 두 달짜리 기간 5개, 사전 "
          "등록하지 않음).",
          ZERO_OVER, OVER, "ETTh1, 96 hours ahead, learning rate 1e-4; a rolling origin",
          scorecard=True),
    Claim("patchtst-without", "01_attention_replacement",
          "PatchTST forecasts as well without attention (ETTh1, standard test months).",
          "PatchTST는 attention 없이도 뒤지지 않게 예측합니다 (ETTh1, 표준 test 기간).",
          ZERO, NOT_WORSE + ", four replacements", ONE_ROW),
    Claim("itransformer-better", "01_attention_replacement",
          "iTransformer forecasts better without attention (ETTh1, as in the paper's table: width "
          "512).",
          "iTransformer는 attention이 없을 때 더 잘 예측합니다 (ETTh1, 논문의 표와 같은 설정: "
          "width 512).",
          ZERO_96, BETTER_EACH,
          "ETTh1, 96 to 720 hours ahead, learning rate 1e-4 halved every epoch", scorecard=True),
    Claim("trained-unused", "02_attention_perturbation",
          "A trained PatchTST does not use its attention.",
          "학습된 PatchTST는 attention을 사용하지 않습니다.",
          ("error after removing attention from the trained model",
           "학습된 모델에서 attention을 제거한 뒤의 오차 변화"),
          EQUAL, ONE_ROW, target=THIS_SPLIT, scorecard=True),
    Claim("feed-forward-more", "02_attention_perturbation",
          "A trained PatchTST needs its feed-forward networks more than its attention.",
          "학습된 PatchTST에는 attention보다 feed-forward network가 더 필요합니다.",
          ("error after removing feed-forward minus that after removing attention",
           "feed-forward를 제거한 오차와 attention을 제거한 오차의 차이"),
          "superiority (two-sided t test over seeds)", ONE_ROW, target=THIS_SPLIT, scorecard=True),
    Claim("position", "03_positional_encoding",
          "The positional encoding of a trained PatchTST can be zeroed.",
          "학습된 PatchTST의 positional encoding은 0으로 바꿔도 됩니다.",
          ("error after zeroing it", "0으로 바꾼 뒤의 오차 변화"), EQUAL, ONE_ROW,
          target=THIS_SPLIT, scorecard=True),
    Claim("one-token", "04_patch_length",
          "One token is enough: the error does not grow with the patch length (at 1e-3 only).",
          "token 하나면 충분합니다: patch가 길어져도 오차는 늘지 않습니다 (1e-3에서만).",
          ("error with one token, against 21", "token 1개의 오차 (21개 대비)"),
          NOT_WORSE + ", softmax", "ETTh1, 96 hours ahead, learning rate 1e-3 only",
          scorecard=True),
    Claim("event-weights", "05_toy_dataset",
          "The patches that carry the information get almost no attention (toy series).",
          "정보를 담은 patch는 attention을 거의 받지 못합니다 (toy series).",
          EVENT_WEIGHT, f"the interval lies below {ABOUT_ZERO:g}", MACHINE, target="new seeds",
          scorecard=True),
    Claim("linear-embedding", "06_where_attention_works",
          "A linear embedding leaves attention nothing to work on.",
          "linear embedding은 attention이 쓸 정보를 남기지 않습니다.",
          ("error of softmax on recall, predicting zero being 100 %",
           "recall에서 softmax의 오차 (0을 예측하면 100 %)"),
          "no where softmax's interval lies below that of every replacement",
          "recall of 4 pairs, linear embedding", target="new seeds", scorecard=True),
    Claim("codebook", "08_codebook",
          "A discrete codebook makes attention matter.",
          "discrete codebook을 쓰면 attention이 중요해집니다.",
          ("change of what attention saves, RQ-VAE against linear, in points of linear's error "
           "without attention (state machine)",
           "RQ-VAE를 썼을 때 attention이 줄이는 오차의 변화 (linear 대비, linear의 zero attention "
           "오차에 대한 %p, state machine)"),
          "four conditions: a larger gap than with decoded patches and with an mlp, softmax not "
          "worse than with linear by 1 %, ahead of fixed attention, ahead of a random codebook. "
          "Not shown where none meets them: on two of the three series one could hardly have",
          "state machine, recall with keys of parities, ETTh1 at 1e-4", target="new seeds",
          scorecard=True),
    Claim("registered-halves", "01_attention_replacement",
          "Either half of PatchTST, attention or feed-forward networks, forecasts as well as both "
          "(unseen months).",
          "PatchTST의 두 절반인 attention과 feed-forward network는 어느 하나만으로도 뒤지지 않게 "
          "예측합니다 (새 기간).",
          ALONE, f"{NOT_WORSE}, attention alone and zero attention; {REGISTERED}", UNSEEN_MONTHS),
    Claim("registered-itransformer", "09_elsewhere",
          "iTransformer forecasts better without attention in both schedules (unseen months).",
          "iTransformer는 두 학습 schedule 모두에서 attention이 없을 때 더 잘 예측합니다 (새 "
          "기간).",
          ("error with zero attention, 1e-4 halved every epoch, against softmax",
           "zero attention의 오차 (1e-4를 epoch마다 절반으로, softmax 대비)"),
          f"superiority (one-sided, Holm), identity and zero in two schedules; {REGISTERED}",
          UNSEEN_MONTHS.replace("1e-4", "1e-4 halved every epoch, and constant 1e-5")),
    Claim("registered-etth2", "09_elsewhere",
          "PatchTST forecasts as well without attention (ETTh2, unseen months).",
          "PatchTST는 attention 없이도 뒤지지 않게 예측합니다 (ETTh2, 새 기간).",
          MEAN, REGISTERED_CONTRAST, UNSEEN_MONTHS.replace("ETTh1", "ETTh2")),
    Claim("content-unused", "02_attention_perturbation",
          "A trained PatchTST uses its attention for mixing alone, not for content (unseen "
          "months).",
          "학습된 PatchTST는 attention을 mixing에만 쓰고 content에는 쓰지 않습니다 (새 기간).",
          ("error with the average matrix of each head in place of attention",
           "attention을 head별 평균 행렬로 바꾼 뒤의 오차 변화"),
          f"{EQUAL}; {REGISTERED}", UNSEEN_MONTHS, target=UNSEEN),
    Claim("other-series", "09_elsewhere",
          "PatchTST forecasts as well without attention (four other series, not registered).",
          "PatchTST는 attention 없이도 뒤지지 않게 예측합니다 (다른 시계열 4개, 사전 등록하지 "
          "않음).",
          ZERO_OVER, OVER, SERIES, target="other series"),
    Claim("patchtst-without-talk-rate", "01_attention_replacement",
          "PatchTST at the talk's learning rate forecasts as well without attention.",
          "발표의 learning rate에서 PatchTST는 attention 없이도 뒤지지 않게 예측합니다.",
          ZERO, NOT_WORSE + ", four replacements", "ETTh1, 96 hours ahead, learning rate 1e-3"),
    Claim("rate-matters-more", "01_attention_replacement",
          "The learning rate matters more than attention.",
          "learning rate가 attention보다 더 중요합니다.",
          ("error at 1e-3, against 1e-4", "1e-3에서의 오차 (1e-4 대비)"),
          "the least that 1e-3 costs is more than the most that any replacement costs",
          "ETTh1, 96 hours ahead, softmax"),
    Claim("attention-alone", "01_attention_replacement",
          "Attention without any feed-forward network forecasts as well as the whole PatchTST.",
          "feed-forward network 없이 attention만 있어도 PatchTST 전체만큼 잘 예측합니다.",
          ALONE, NOT_WORSE, ONE_ROW),
    Claim("linear-model", "01_attention_replacement",
          "A linear model forecasts as well as PatchTST.",
          "linear model은 PatchTST만큼 잘 예측합니다.",
          ("error of a linear model, against PatchTST", "linear model의 오차 (PatchTST 대비)"),
          NOT_WORSE, "ETTh1, 96 hours ahead, each at the learning rate that validation prefers"),
    Claim("itransformer-small-steps", "01_attention_replacement",
          "iTransformer trained in small steps forecasts better without attention.",
          "작은 step으로 학습한 iTransformer는 attention이 없을 때 더 잘 예측합니다.",
          ZERO, BETTER, "ETTh1, 96 hours ahead, constant learning rate 1e-5"),
    Claim("itransformer-own-training", "09_elsewhere",
          "iTransformer, each variant trained as validation prefers, forecasts better without "
          "attention.",
          "validation이 고른 방법으로 각각 학습해도 iTransformer는 attention이 없을 때 더 잘 "
          "예측합니다.",
          ZERO, BETTER, "ETTh1, 96 hours ahead"),
    Claim("itransformer-etth2", "09_elsewhere",
          "iTransformer forecasts better without attention on ETTh2.",
          "ETTh2에서도 iTransformer는 attention이 없을 때 더 잘 예측합니다.",
          ZERO_96, BETTER_EACH,
          "ETTh2, 96 to 720 hours ahead, learning rate 1e-4 halved every epoch"),
    Claim("average-suffices", "02_attention_perturbation",
          "What a trained PatchTST uses of its attention is an average over the tokens.",
          "학습된 PatchTST가 attention에서 사용하는 것은 token들의 평균입니다.",
          ("error with the average in place of attention",
           "attention을 평균으로 바꾼 뒤의 오차 변화"),
          "two parts: averaging gives back some of what removal costs; the rest is within the "
          "margin", ONE_ROW, target=THIS_SPLIT),
    Claim("events-not-singled-out", "05_toy_dataset",
          "Attention does not single out the patches that carry the information (toy series).",
          "attention은 정보를 담은 patch에 더 집중하지 않습니다 (toy series).",
          EVENT_WEIGHT, f"the interval lies below {SINGLED_OUT:g}", MACHINE, target="new seeds"),
    Claim("events-without", "05_toy_dataset",
          "Removing attention does not hurt the forecast of events (toy series).",
          "attention을 제거해도 event 예측은 나빠지지 않습니다 (toy series).",
          ("error on events after removing a trained attention",
           "학습된 attention을 제거한 뒤 event에서의 오차"),
          "no where the factor's interval lies above 1.01", MACHINE, target="new seeds"),
    Claim("others-pairs", "09_elsewhere",
          "In 2,214 pairs of others a Transformer encoder forecasts better than an MLP encoder.",
          "다른 연구자들의 2,214쌍에서 Transformer encoder는 MLP encoder보다 더 잘 예측합니다.",
          ("error of the Transformer encoder, against the MLP encoder",
           "Transformer encoder의 오차 (MLP encoder 대비)"),
          "superiority: the interval over 12 data sets as clusters leaves out zero",
          "TimeRecipe: 12 data sets, four embeddings; whole encoders, not attention alone",
          target="other data sets"),
)}

# Notes beside a verdict: some loss is shown, though not that it reaches the margin; some cell has
# too few separate weeks for its intervals; the verdict for these test months alone.
LOST, FEW_WEEKS, HERE = "loss shown", "few weeks", "here: "


def judge(ledger: Ledger, profile: str = "paper",
          said: pd.DataFrame | None = None) -> dict[str, Found]:
    """Every claim as its chapter has decided it, in order; "not run yet" where none has. ``said``:
    what is read instead of the ledger's ``numbers``."""
    said = numbers.read(ledger) if said is None else said
    return {i: decided(i, said if profile == "paper" else said[:0]) for i in CLAIMS}


def decided(name: str, said: pd.DataFrame) -> Found:
    """A claim that its chapter has decided, as ``said`` has it (``numbers.read``)."""
    if name not in said.index:
        return Found(NOT_RUN, claim=CLAIMS[name])
    row = said.loc[name]
    verdict, *notes = row.words.split("; ")
    here = next((n.removeprefix(HERE) for n in notes if n.startswith(HERE)), "")
    return Found(
        verdict, Number(row.value, row.low, row.high, row.form),
        0 if pd.isna(row.seeds) else int(row.seeds),
        float("nan") if row.detectable is None else row.detectable, split_verdict=here,
        few_blocks=FEW_WEEKS in notes, lost=LOST in notes, claim=CLAIMS[name])
