"""The tidy table of comparisons, against the ledger's own rows."""

import html
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tsattn import compare, runs
from tsattn.compare import CELL, comparisons, disturbed, versus
from tsattn.ledger import Ledger
from tsattn.settings import ROOT, make
from tsattn.statistics import block_error


@pytest.fixture(scope="module")
def ledger():
    return Ledger(record=True)


@pytest.fixture(scope="module")
def table(ledger):
    return comparisons(ledger)


def test_every_row_is_what_its_runs_say(ledger, table):
    runs = ledger.read("runs").set_index("run_id")
    assert len(table) > 290
    for row in table.itertuples():
        of = runs.loc[row.run_ids.split()]
        compared, softmax = of[:row.seeds], of[row.seeds:]
        assert set(softmax.attention) == {"softmax"} and len(compared) == row.seeds
        assert compared.test_mse.mean() == pytest.approx(row.mse, rel=1e-5)
        assert row.change == pytest.approx(row.mse / row.reference_mse - 1, rel=1e-4, abs=1e-9)
        assert (of[[c for c in CELL if c in of]].nunique() <= 1).all(), row
        assert row.low <= row.change <= row.high or np.isnan(row.low)


def test_the_intervals_by_hand(ledger):
    def errors(a):
        runs = [make("paper", attention=a, seed=s, learning_rate=1e-4) for s in range(2021, 2026)]
        return runs, np.stack([ledger.window_errors(s) for s in runs]).astype(float)

    (base, b), (zero, z) = errors("softmax"), errors("zero")
    row = versus(ledger, base, {"zero": zero}).iloc[0]
    seeds, weeks = stats.sem((z - b).mean(1)), block_error((z - b).mean(0), 432)
    df = (seeds**2 + weeks**2) ** 2 / (seeds**4 / 4 + weeks**4 * 432 / b.shape[1])
    half = stats.t.ppf(0.975, df) * np.hypot(seeds, weeks) / b.mean()
    change = z.mean() / b.mean() - 1
    assert [row.change, row.low, row.high] == pytest.approx([change, change - half, change + half])
    here = stats.t.ppf(0.975, 4) * seeds / b.mean()
    assert row.high_here - row.change == pytest.approx(here)
    t = change * b.mean() / np.hypot(seeds, weeks)
    assert row.p == pytest.approx(2 * stats.t.sf(t, df))
    assert row.verdict == "undecided" and row.reference == "softmax"


def test_nothing_to_compare_gives_nothing(ledger, tmp_path):
    softmax = [make("paper")]
    for table in (comparisons(Ledger(tmp_path)), versus(ledger, [], {"zero": softmax}),
                  versus(ledger, softmax, {"zero": []}),
                  versus(Ledger(tmp_path), softmax, {"zero": softmax})):
        assert table.empty and {"variant", "change", "p", "verdict", "run_ids"} <= set(table)
    assert {"dataset", "settings"} <= set(comparisons(Ledger(tmp_path)))


def test_disturbed_models_are_one_family_each_against_itself():
    changes = pd.DataFrame([dict(run_id=f"r{i}", intervention=kind, change=mean + 0.001 * i)
                            for kind, mean in (("removed", 0.2), ("zeroed", 0.0), ("mean", 0.015))
                            for i in (-1, 0, 1)])
    found = disturbed(changes).set_index("variant")
    assert found.change.to_dict() == pytest.approx({"removed": 0.2, "zeroed": 0, "mean": 0.015})
    half = stats.t.ppf(0.975, 2) * 0.001 / 3**0.5
    assert (found.high - found.change).to_numpy() == pytest.approx([half] * 3)
    assert (found.change - found.low).to_numpy() == pytest.approx([half] * 3)
    assert found.p["removed"] < found.p["mean"] < 0.05 < found.p["zeroed"]
    assert found.p_equal["zeroed"] < 0.05 < found.p_equal["mean"]
    assert found.run_ids["mean"] == "r-1 r0 r1" and (found.seeds == 3).all()
    one = disturbed(changes[changes.run_id == "r0"])
    assert one.low.isna().all() and one.p.isna().all() and one.change.notna().all()
    assert disturbed(changes[:0]).empty


def test_a_selection_gives_the_runs_that_it_was_made_of_and_the_line_under_a_figure_so_many(ledger):
    table = compare.runs(ledger)
    assert table.feed_forward.dtype == bool and table.split.notna().all()
    for asked in (runs.evidence()["rolling origin ETTh1"], runs.attentions(learning_rate=1e-4),
                  [s for of in runs.codebook().values() for s in of]):
        chosen = table[table.run_id.isin([s.run_id for s in ledger.complete(asked)])]
        found = table.query(compare.selection(table, chosen))
        assert len(chosen) > 10 and set(found.run_id) == set(chosen.run_id)
    twice = pd.concat([chosen[:1], chosen[:1].assign(run_id="another-file")])
    assert set(twice.query(compare.selection(twice, twice[:1])).run_id) == {chosen.run_id.iloc[0]}
    assert len(twice.query(compare.selection(table, twice))) == 2
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shown = [o.data["text/html"] for c in nbformat.read(path, 4).cells
                 for o in c.get("outputs", []) if "runs behind it" in o.get("data", {}).get(
                     "text/html", "")]
        for line in map(html.unescape, shown):
            query = re.search(r'query\("(.*)"\)', line)[1]
            assert f"The {len(table.query(query))} runs behind it" in line, path.name
