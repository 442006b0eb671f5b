"""The house keeps its order: where imports point, what figures weigh."""

import ast
import itertools
import re
import tomllib
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image, ImageColor

import tsattn
from tsattn import figures

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tsattn"


# -- imports


def imported(path):
    """The rooms that a file imports, at its top or within a function."""
    below = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == below:
            yield from [node.module.split(".")[0]] if node.module else [a.name for a in node.names]


def test_no_import_runs_upwards():
    """The docstring of the package lists its rooms in their order."""
    order = re.findall(r"^(\w+) {2,}\S", tsattn.__doc__, re.M)
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "__init__":
            assert room in order, (
                f"tsattn/__init__.py says nothing of {room}: put it behind all that it imports.")
            later = {*imported(path)} - {*order[:order.index(room)], room}
            assert not later, f"{path} imports {later}: imports point back along that list only."


# -- weight


def test_figures_are_light():
    size = sum(path.stat().st_size for path in (ROOT / "figures").rglob("*") if path.is_file())
    assert size <= 8e6, f"figures/ has {size / 1e6:.1f} MB, at most 8"


def test_a_saved_figure_is_light_and_its_text_is_text_as_it_stands_in_any_script(tmp_path):
    with plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")  # Glyph 51204 missing from font(s)
        figures.style()
        fig, axes = plt.subplots(2, figsize=(10, 5))
        axes[0].plot([1, 3, 2], color=figures.COLORS["softmax"])
        axes[0].set_title(r"$\frac{a$.csv, 24 steps ahead")
        axes[1].set(ylabel="$W_P$", yscale="log", ylim=(0.1, 10))
        axes[1].set_title("전력 수요: −1.5 % (電力, でんき)", weight="bold")
        figures.save(fig, "names", tmp_path)
        plt.close(fig)
    svg = (tmp_path / "names.svg").read_text()
    assert r">$\frac{a$.csv, 24 steps ahead</text>" in svg
    assert "$W_P$</text>" not in svg and "10^{-1}}$</text>" not in svg
    picture = Image.open(tmp_path / "names.png")
    assert picture.mode == "P" and picture.info["dpi"] == pytest.approx((110, 110), abs=0.1)
    assert 1000 < picture.width <= 1200, "10 inches at 110 dpi, cut to what is drawn"
    blue = ImageColor.getrgb(figures.COLORS["softmax"])
    nearest = min(abs(np.subtract(blue, rgb)).max()
                  for _, rgb in picture.convert("RGB").getcolors())
    assert nearest <= 8, "the colours of the five attentions survive"


# -- what is installed


def test_what_is_installed_is_what_is_declared():
    """Every pin of requirements.txt lies in the range of pyproject.toml, and has its reason."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    ranges = {r.name: r.specifier for r in map(Requirement, itertools.chain(*groups.values()))}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert all("  # " in line for line in lines), "one reason per line, after two blanks and #"
    pins = [Requirement(line.partition("#")[0]) for line in lines if not line.startswith("-e .")]
    for pin in pins:
        assert pin.name in ranges, f"{pin.name} is in requirements.txt, not in pyproject.toml"
        assert ranges[pin.name].contains(str(pin.specifier).removeprefix("==")), (
            f"{pin}: pyproject.toml wants {ranges[pin.name]}")
    needed = itertools.chain(*(groups[g] for g in ("", "cluster", "site", "dev")))
    missing = {Requirement(r).name for r in needed} - {pin.name for pin in pins} - {"tsattn"}
    assert not missing, f"{missing} is not in requirements.txt, the one file a reader installs"
