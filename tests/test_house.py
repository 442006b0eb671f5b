"""The house keeps its order: where imports point, what figures and chapters weigh."""

import ast
import json
import tomllib
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from packaging.requirements import Requirement
from PIL import Image

from tsattn import figures

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tsattn"
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# An import points back along this line. A new room is put where all that it imports stands before.
ORDER = ["settings", "data", "models", "runs", "tokenizers", "floors", "progress", "checkpoints",
         "step", "training", "interventions", "attention_maps", "latent_space", "measures",
         "provenance", "ledger", "numbers",
         "sweep", "statistics", "codebook_rule", "preregistered",
         "registered_rates", "registered_dose", "compare", "by_embedding", "claims", "text",
         "anchors", "figures", "own_series", "chapter", "slides", "harmless", "folders",
         "explore", "site", "kernels", "report", "bench", "__main__"]


# -- imports


def sources():
    """Name of each module, dotted below ``tsattn`` ("models.attention", "data"), and its source."""
    names = {path: ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
             for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix("__init__").rstrip("."): path.read_text()
            for path, name in sorted(names.items())}


def imported(module, source, modules):
    """The modules of the package that ``source`` imports, at the top or within a function."""
    package = any(name.startswith(f"{module}.") for name in modules) or not module
    inside = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name.partition(".")[2] for a in node.names
                        if a.name.split(".")[0] == "tsattn")
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                above = inside[:len(inside) - node.level + 1]
                origin = ".".join(filter(None, [*above, node.module]))
            elif (node.module or "").split(".")[0] == "tsattn":
                origin = node.module.partition(".")[2]
            else:
                continue
            for alias in node.names:
                full = f"{origin}.{alias.name}".lstrip(".")
                yield full if full in modules else origin


def test_no_import_runs_upwards():
    modules, place = sources(), {room: i for i, room in enumerate(ORDER)}
    for module, source in modules.items():
        room = module.split(".")[0]
        assert not room or room in place, (
            f"tsattn/{room} has no place: put it into ORDER, behind all that it imports.")
        later = {other for other in imported(module, source, modules)
                 if room and place.get(other.split(".")[0], -1) > place[room]}
        assert not later, f"{module} imports {later}: imports point back along ORDER only."


def test_the_map_of_the_rooms_names_every_room():
    import tsattn
    rooms = {name.split(".")[0] for name in sources()} - {""}
    assert not (missing := [room for room in rooms if f"{room} " not in tsattn.__doc__]), (
        f"the docstring of tsattn/__init__.py says nothing of {missing}")


# -- weight


def test_figures_and_chapters_are_light():
    size = sum(path.stat().st_size for path in (ROOT / "figures").rglob("*") if path.is_file())
    assert size <= 8e6, f"figures/ has {size / 1e6:.1f} MB, at most 8"
    heavy = [path.name for path in CHAPTERS if path.stat().st_size > 1e6]
    assert not heavy, f"{heavy}: more than 1 MB"


def test_a_saved_figure_is_light_and_its_text_is_text(tmp_path):
    with plt.rc_context():
        figures.style()
        fig, ax = plt.subplots(figsize=(10, 5))
        ax.plot([1, 3, 2], color=figures.COLORS["softmax"])
        ax.set_title("Test error")
        figures.save(fig, "error", tmp_path)
        plt.close(fig)
    svg = (tmp_path / "error.svg").read_text()
    assert ">Test error</text>" in svg
    picture = Image.open(tmp_path / "error.png")
    assert picture.mode == "P" and picture.info["dpi"] == pytest.approx((110, 110), abs=0.1)
    assert 1000 < picture.width <= 1200, "10 inches at 110 dpi, cut to what is drawn"
    blue = tuple(int(figures.COLORS["softmax"][i:i + 2], 16) for i in (1, 3, 5))
    nearest = min(max(abs(a - b) for a, b in zip(blue, rgb, strict=True))
                  for _, rgb in picture.convert("RGB").getcolors())
    assert nearest <= 8, "the colours of the five attentions survive"


def test_a_name_that_looks_like_mathematics_is_drawn_as_it_stands(tmp_path):
    fig, axes = plt.subplots(2)
    with plt.rc_context({"svg.fonttype": "none"}):
        axes[0].set_title(r"$\frac{a$.csv, 24 steps ahead")
        axes[1].set(ylabel="$W_P$", yscale="log", ylim=(0.1, 10))
        figures.save(fig, "names", tmp_path)
    plt.close(fig)
    svg = (tmp_path / "names.svg").read_text()
    assert r">$\frac{a$.csv, 24 steps ahead</text>" in svg
    assert "$W_P$</text>" not in svg and "10^{-1}}$</text>" not in svg


def test_names_in_korean_and_japanese_are_drawn(tmp_path):
    with plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")  # Glyph 51204 missing from font(s)
        figures.style()
        fig, ax = plt.subplots()
        ax.set_title("전력 수요: −1.5 % (電力, でんき)", weight="bold")
        ax.set_ylabel("기온")
        figures.save(fig, "names", tmp_path)
        plt.close(fig)


# -- chapters


def filled(source):
    """Largest number of values put into the text of one ``Markdown(...)`` call of a cell."""
    plain = "\n".join("" if line.lstrip().startswith(("%", "!")) else line
                      for line in source.splitlines())
    calls = [node for node in ast.walk(ast.parse(plain)) if isinstance(node, ast.Call)
             and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Markdown"]
    return max((sum(isinstance(node, ast.FormattedValue) for node in ast.walk(call))
                for call in calls), default=0)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_cells_hold_no_sentences_and_no_long_lines(path):
    for i, cell in enumerate(json.loads(path.read_text())["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert max(map(len, source.splitlines()), default=0) <= 100, f"cell {i}: a long line"
            assert filled(source) <= 2, f"cell {i}: write the sentence in a Markdown cell"


# -- what is installed


def test_what_is_installed_is_what_is_declared():
    """Every pin of requirements.txt lies in the range of pyproject.toml, and has its reason."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [Requirement(r) for group in [project["dependencies"],
                                             *project["optional-dependencies"].values()]
                for r in group]
    ranges = {r.name: r.specifier for r in declared if r.name != "tsattn"}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert all("  # " in line for line in lines), "one reason per line, after two blanks and #"
    pins = [Requirement(line.partition("#")[0]) for line in lines if not line.startswith("-e .")]
    for pin in pins:
        version = str(pin.specifier).removeprefix("==")
        assert pin.name in ranges, f"{pin.name} is in requirements.txt, not in pyproject.toml"
        assert ranges[pin.name].contains(version), f"{pin}: pyproject.toml wants {ranges[pin.name]}"
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["cluster"], *extras["site"], *extras["dev"]]
    installed = {pin.name for pin in pins} | {"tsattn"}
    assert not (missing := {Requirement(r).name for r in needed} - installed), (
        f"{missing} of pyproject.toml is not in requirements.txt, the one file a reader installs")
