"""What the report says by name: written by the chapters, looked up by the texts."""

import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tsattn import chapter, claims, numbers, runs, text
from tsattn.claims import CLAIMS, Facts
from tsattn.ledger import RESULTS, Ledger
from tsattn.settings import ROOT
from tsattn.slides import story

SAID = numbers.read(Ledger(record=True))
RUN_IDS = [runs.toy("state-machine", attention="softmax", seed=s).run_id for s in runs.FEW_SEEDS]


def test_a_name_is_computed_in_one_place_and_used_by_a_text():
    assert len(SAID) and Facts(Ledger(record=True)).said.index.is_unique
    assert set(SAID.chapter) <= {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    texts = [*text.texts().values(),
             *((ROOT / "tsattn" / "slides" / f"deck.{lang}.md").read_text("utf-8")
               for lang in story.LANGUAGES)]
    used = set(re.findall(r"[\w.-]+", "\n".join(texts)))
    lost = [name for name in SAID.index if not used & {name, *(
        f"{name}.{part}" for part in ("low", "high", "detectable", "seeds"))}]
    assert not (set(lost) - set(CLAIMS)), "no text says this number: do not compute it"


@pytest.mark.parametrize("name", sorted(set(SAID.chapter)))
def test_the_executed_chapter_gives_what_the_report_says(name, tmp_path, monkeypatch):
    """Its code cells, run here on the recorded rows; no figure is saved."""
    monkeypatch.setattr(chapter.Chapter, "show", lambda *_, **__: None)
    names = {"display": lambda *_: None}
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))["cells"]
    for cell in (c for c in cells if c["cell_type"] == "code"):
        source = "".join(cell["source"])
        if "parameters" in cell["metadata"].get("tags", []):
            source += f"\nresults_dir, figures_dir = {str(RESULTS)!r}, {str(tmp_path)!r}"
            source += "\ntrain_minutes = 0"
        exec(compile(source, name, "exec"), names)
    plt.close("all")
    found = numbers.gather(SAID[:0], tmp_path, [name])
    expected = SAID[SAID.chapter == name]
    pd.testing.assert_frame_equal(found, expected, rtol=1e-8, check_dtype=False)


def test_a_number_is_looked_up_with_its_interval_and_a_statement_by_name():
    said = pd.DataFrame([
        dict(name="a", value=0.1, low=0.05, high=np.nan, detectable=0.2, form="times", seeds=3),
        dict(name="a.high", value=7.0, form="count"), dict(name="b", value=0.0, form="holds"),
        dict(name="c", form="holds")]).set_index("name")
    assert numbers.number(said, "a") == (0.1, "times")
    assert numbers.number(said, "a.low") == (0.05, "times")
    assert numbers.number(said, "a.detectable") == (0.2, "share")
    assert numbers.number(said, "a.high") == (7.0, "count"), "a name comes before a part"
    assert numbers.number(said, "a.seeds") == (3.0, "count")
    assert numbers.number(said, "b") is None and numbers.number(said, "a.form") is None
    assert numbers.holds(said, "b") is False
    assert all(numbers.holds(said, name) is None for name in ("a", "c", "d"))


def test_a_chapter_hands_on_numbers_with_the_runs_that_they_rest_on(tmp_path):
    c = chapter.start("paper", name="05_x", results_dir=RESULTS, figures_dir=tmp_path)
    c.number("one", 0.1 + 0.2, -1, 1, rows=RUN_IDS)
    c.number("two", np.float64(2), form="count")
    c.number("nothing", np.nan, form="weight")
    c.holds("of nothing", True, "Rows that are missing say nothing.", pd.DataFrame({"run_ids": []}))
    c.holds("true", np.bool_(True), "It is so.", pd.DataFrame({"run_id": RUN_IDS[:2] * 2}))
    found = c.claim("events-without", "no", 12, 11, 13, "times", RUN_IDS)
    assert (found.verdict, found.number.low, found.seeds) == ("no", 11, 3)
    row = pd.Series(dict(change=0.02, low=0, high=0.04, detectable=0.03, run_ids=" ".join(RUN_IDS)))
    c.compared("three", row)
    found = c.claim("periods", "cannot tell", 0.02, 0, 0.04, rows=row, detectable=0.03,
                    notes=(claims.LOST, f"{claims.HERE}yes"))
    assert (found.lost, found.split_verdict, found.few_blocks, found.detectable) == (
        True, "yes", False, 0.03)
    with pytest.raises(ValueError, match="one: rests on 4 runs, 3 of which are recorded"):
        c.number("one", 1, rows=[*RUN_IDS, "another"])
    with pytest.raises(ValueError, match="form 'percent' must be one of change, "):
        c.number("one", 1, form="percent")
    c.end()
    said = numbers.gather(SAID[:0], tmp_path, ["05_x", "06_without_numbers"])
    assert list(said.index) == ["one", "two", "true", "events-without", "three", "periods"]
    assert said.value["one"] == 0.3 and said.seeds["one"] == 3 and said.seeds["true"] == 2
    assert said.digest["one"] == said.digest["three"] != said.digest["true"]
    assert said.words["true"] == "It is so." and said.words["events-without"] == "no"


def test_an_executed_chapter_replaces_what_it_said_before_and_no_other(tmp_path):
    row = dict(form="count", seeds=None, words="", digest="", low=None, high=None)
    before = pd.DataFrame([row | dict(name=name, value=1.0, chapter=c) for name, c in
                           (("a", "01_a"), ("b", "02_b"), ("c", "02_b"))]).set_index("name")
    new = row | dict(name="b", value=2.0, chapter="02_b")
    numbers.save([new], numbers.file(tmp_path, "02_b"))
    assert numbers.gather(before, tmp_path, ["02_b"]).value.to_dict() == {"a": 1, "b": 2}
    numbers.save([new | dict(name="a")], numbers.file(tmp_path, "02_b"))
    with pytest.raises(ValueError, match=r"a: is computed twice \(01_a, 02_b\)"):
        numbers.gather(before, tmp_path, ["02_b"])
