"""What the tables of costs are made into."""

import pandas as pd
import pytest

from tsattn.analysis import cost
from tsattn.claims.facts import Facts
from tsattn.ledger import Ledger
from tsattn.numbers import UnknownName

CODE = dict(source="a", python="3", torch="2", numpy="2", cpu="x")


def test_the_power_is_that_of_the_last_three_points():
    sizes = [1, 2, 4, 8]
    curves = pd.DataFrame(dict(grows="d_model", value=sizes, attention="zero",
                               step_ms=[99, 4 * 3, 16 * 3, 64 * 3]))
    assert cost.power(curves.sample(frac=1, random_state=0), "d_model", "zero") == pytest.approx(2)


def test_tables_of_another_version_or_processor_are_not_of_the_same_code():
    one = pd.DataFrame([CODE, CODE])
    assert cost.same_code(one, pd.DataFrame([CODE]))
    assert not cost.same_code(one, pd.DataFrame([CODE, CODE | {"source": "b"}]))
    assert not cost.same_code(one, pd.DataFrame([CODE | {"cpu": "y"}]))


def test_steps_are_compared_with_the_peer_in_the_usual_order(tmp_path):
    ledger = Ledger(tmp_path)
    rows = [dict(attention=a, profile="smoke", step_ms=ms, peer_step_ms=30.0, ratio=2.0,
                 peak_mb=50.0, peer_peak_mb=100.0) for a, ms in (("zero", 10.0), ("softmax", 20.0))]
    ledger.record("bench_steps", rows, ["attention", "profile"])
    table = cost.steps(ledger, "smoke")
    assert table.times.to_dict() == {"softmax": 1.5, "zero": 3.0} and (table.memory == 0.5).all()
    assert list(table.index) == ["softmax", "zero"] and cost.steps(ledger).empty


@pytest.mark.parametrize("name", ["cost.ms.softmax", "cost.twice-length.zero", "cost.growth-mb",
                                  "cost.without-masks.zero", "cost.minutes.softmax"])
def test_what_is_not_measured_has_no_number(name, tmp_path):
    with pytest.raises(UnknownName, match=name):
        Facts(Ledger(tmp_path)).number(name)


@pytest.mark.parametrize("name", ["cost.faster-than-peer", "cost.ratios-agree",
                                  "cost.products-and-masks-bring-most",
                                  "cost.channels-proportional"])
def test_of_what_is_not_measured_nothing_holds(name, tmp_path):
    with pytest.raises(UnknownName, match=name):
        Facts(Ledger(tmp_path)).holds(name)
