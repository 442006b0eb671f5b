"""Chapter 8: errors and gaps of embeddings from the ledger, and the chapter itself."""

import nbformat
import papermill
import pytest

from tsattn import by_embedding as embeddings
from tsattn.ledger import ROOT, Ledger


def test_errors_and_gains_by_hand(tmp_path):
    ledger = Ledger(tmp_path)
    named = embeddings.embedding_runs("recall-4", seeds=(1, 2))
    values = {("linear", "softmax"): 0.2, ("linear", "zero"): 0.4, ("mlp", "softmax"): 0.3,
              ("mlp", "zero"): 0.4}
    rows = [dict(run_id=s.run_id, windows=w, intervention="none", mse=values[e, a] * w / 10,
                 event_mse=9, zero_mse=2.0)
            for (e, a, _), s in named.items() if (e, a) in values for w in (5, 10)]
    ledger.record("toy_errors", rows, ["run_id", "windows"])
    table = embeddings.errors(ledger, named)
    error = table.set_index(["embedding", "attention", "seed"]).error
    assert len(error) == 8 and error["mlp", "softmax", 2] == 0.15, "on the most windows"
    assert set(table.run_id) <= {s.run_id for s in named.values()}
    gained = embeddings.gains(table)
    assert gained.gain["mlp"] == pytest.approx((1 - 3 / 4) - (1 - 2 / 4))
    assert embeddings.errors(Ledger(tmp_path / "none"), named).empty
    assert embeddings.gains(embeddings.errors(Ledger(tmp_path / "none"), named)).empty
    assert embeddings.attention(ledger, named).empty


@pytest.mark.chapter
def test_the_chapter_trains_its_tiny_runs_and_fills_itself_in(tmp_path):
    """Chapter 8 from an empty ledger, with embeddings of codes; only the RQ-VAE, slow, is out."""
    embeddings_ = ["linear", "mlp", "decoded", "code-init", "code", "random"]
    given = dict(profile="smoke", seeds=[2021], embeddings=embeddings_, dataset="state-machine",
                 windows=30, results_dir=str(tmp_path), figures_dir=str(tmp_path / "figures"))
    out = tmp_path / "out.ipynb"
    papermill.execute_notebook(ROOT / "notebooks" / "08_codebook.ipynb", out, given,
                               kernel_name="python3", progress_bar=False)
    ledger = Ledger(tmp_path)
    of = embeddings.codebook_runs("state-machine", "smoke", embeddings_, seeds=[2021])
    assert len(embeddings.errors(ledger, of)) == len(of) == 18
    runs = ledger.read("runs")
    assert set(runs.status) == {"complete"} and runs.code_perplexity.notna().sum() == 12
    said = "".join(str(cell.outputs) for cell in nbformat.read(out, 4).cells
                   if cell.cell_type == "code")
    assert "SMOKE PROFILE" in said and "**Not run yet" not in said
    assert {p.stem for p in (tmp_path / "figures").glob("*.png")} == {
        "08_gap", "08_codes", "08_conditions", "08_ladder", "08_attention"}
