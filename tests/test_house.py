"""The house keeps its order: where imports point, how long files are, what figures weigh."""

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
         "provenance", "ledger", "numbers", "workers",
         "estimates", "sweep", "statistics", "codebook_rule", "preregistered",
         "registered_rates", "registered_dose", "compare", "by_embedding", "claims", "text",
         "anchors", "figures", "own_series", "chapter", "slides", "harmless", "folders",
         "explore", "site", "report", "bench", "__main__"]


# -- imports


def sources(package=PACKAGE):
    """Name of each module, dotted below ``tsattn`` ("models.attention", "data"), and its source."""
    paths = sorted(package.rglob("*.py"))
    parts = [path.relative_to(package).with_suffix("").parts for path in paths]
    names = [".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts]
    return {name: path.read_text() for name, path in zip(names, paths, strict=True)}


def imports(modules):
    """For each module those it imports, at the top or within a function: name -> set of names.

    ``modules`` is name -> source; a package is a module under which others stand.
    """
    packages = {""} | {name.rpartition(".")[0] for name in modules}

    def found(module, source):
        inside = module if module in packages else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names if a.name.split(".")[0] == "tsattn"]
                yield from (name.partition(".")[2] for name in names)
            elif isinstance(node, ast.ImportFrom):
                if node.level:
                    above = inside.split(".") if inside else []
                    above = above[:len(above) - node.level + 1]
                    origin = ".".join(above + (node.module.split(".") if node.module else []))
                elif (node.module or "").split(".")[0] == "tsattn":
                    origin = node.module.partition(".")[2]
                else:
                    continue
                for alias in node.names:
                    full = f"{origin}.{alias.name}".lstrip(".")
                    yield full if full in modules else origin

    return {name: set(found(name, source)) - {name, ""} for name, source in modules.items() if name}


def upward(graph, order):
    """A sentence for each import that does not point back along ``order``, and each new room."""
    place = {room: i for i, room in enumerate(order)}
    said = []
    for module, others in graph.items():
        room = module.split(".")[0]
        if room not in place:
            said.append(f"tsattn/{room} has no place: put it into ORDER of tests/test_house.py, "
                        "behind all that it imports.")
            continue
        for other in sorted(others):
            if place.get(other.split(".")[0], -1) > place[room]:
                said.append(f"{module} imports {other}, which comes later: "
                            "imports point back along ORDER only.")
    return sorted(set(said))


def circle(graph):
    """Modules that import each other round a circle, in order; empty if there are none."""
    done = set()

    def visit(module, path):
        if module in path:
            return path[path.index(module):] + [module]
        if module in done:
            return []
        for other in sorted(graph.get(module, ())):
            if found := visit(other, path + [module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := visit(module, []))), [])


def test_no_import_runs_upwards():
    assert not (said := upward(imports(sources()), ORDER)), "\n".join(said)


def test_no_circle():
    assert not (found := circle(imports(sources()))), " -> ".join(found)


def test_the_map_of_the_rooms_names_every_room():
    import tsattn
    rooms = {name.split(".")[0] for name in sources()} - {""}
    assert not (missing := [room for room in rooms if f"{room} " not in tsattn.__doc__]), (
        f"the docstring of tsattn/__init__.py says nothing of {missing}")


# -- length and weight


def test_models_are_short():
    lines = sum(len(path.read_text().splitlines()) for path in (PACKAGE / "models").glob("*.py"))
    assert lines <= 670, f"tsattn/models has {lines} lines, at most 670"


def test_figures_are_light():
    size = sum(path.stat().st_size for path in (ROOT / "figures").rglob("*") if path.is_file())
    assert size <= 8e6, f"figures/ has {size / 1e6:.1f} MB, at most 8"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_chapters_are_light(path):
    size = path.stat().st_size
    assert size <= 1e6, f"{path.name} has {size / 1e6:.1f} MB, at most 1"


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


def code(path):
    """The code cells of a notebook, as (number of the cell, source)."""
    cells = enumerate(json.loads(path.read_text())["cells"])
    return [(i, "".join(cell["source"])) for i, cell in cells if cell["cell_type"] == "code"]


def filled(source):
    """Largest number of values put into the text of one ``Markdown(...)`` call of a cell."""
    plain = "\n".join("" if line.lstrip().startswith(("%", "!")) else line
                      for line in source.splitlines())
    calls = [node for node in ast.walk(ast.parse(plain)) if isinstance(node, ast.Call)
             and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Markdown"]
    return max((sum(isinstance(node, ast.FormattedValue) for node in ast.walk(call))
                for call in calls), default=0)


def faults(cells):
    """A sentence for each cell of ``code`` that is too wide or assembles a sentence."""
    for i, source in cells:
        lines = source.splitlines()
        if (widest := max(map(len, lines), default=0)) > 100:
            yield f"cell {i} has a line of {widest} characters, at most 100"
        if (values := filled(source)) > 2:
            yield f"cell {i} puts {values} values into a sentence: write it in a Markdown cell"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_cells_hold_no_sentences(path):
    said = list(faults(code(path)))
    assert not said, f"{path.name}: " + "; ".join(said)


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
