import ast
import os
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

# Tests run side by side, one per core; what each of them starts keeps to one core too. Before
# PyTorch is imported, which counts its threads then.
os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch  # noqa: E402

from tsattn.data import DataUnavailable, files  # noqa: E402


def pytest_collection_modifyitems(items):
    """Whoever asks for the real data set gets the marker ``data``; it cannot be forgotten."""
    for item in items:
        if "etth1" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(autouse=True, scope="session")
def one_thread_and_nothing_of_a_readers_own(tmp_path_factory):
    """What has been trained in this checkout and not recorded changes no test."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tsattn.ledger.OWN", tmp_path_factory.mktemp("own") / "my-results")
        yield


@pytest.fixture(scope="session")
def etth1():
    """Name of the real data set; skips the test where it can be neither found nor downloaded."""
    try:
        files.find("ETTh1")
    except DataUnavailable as error:
        pytest.skip(str(error))
    return "ETTh1"


@pytest.fixture(scope="session")
def facts():
    """The numbers and statements of the report."""
    from tsattn.claims import Facts
    from tsattn.ledger import Ledger

    return Facts(Ledger(record=True))


@pytest.fixture
def save(tmp_path):
    """Writes a table as a CSV file and returns its path."""
    def save(table, name="mine.csv", **how):
        table.to_csv(tmp_path / name, index=False, **how)
        return str(tmp_path / name)

    return save


def moving(rng, *shape, horizon=96):
    """Errors of overlapping windows [*shape]: moving sums of ``horizon`` steps, of variance 1."""
    sums = rng.standard_normal((*shape[:-1], shape[-1] + horizon)).cumsum(-1)
    return (sums[..., horizon:] - sums[..., :-horizon]) / np.sqrt(horizon)


def defined(path):
    """What a chapter imports, its functions and its constants."""
    names = {}
    for cell in nbformat.read(path, as_version=4).cells:
        tree = ast.parse(cell.source if cell.cell_type == "code" else "")
        tree.body = [n for n in tree.body
                     if isinstance(n, (ast.Import, ast.ImportFrom, ast.FunctionDef))
                     or isinstance(n, ast.Assign) and ast.unparse(n.targets[0]).isupper()
                     and len(ast.unparse(n.targets[0])) > 1]  # a single letter is of a formula
        exec(compile(tree, path.name, "exec"), names)
    return SimpleNamespace(**names)
