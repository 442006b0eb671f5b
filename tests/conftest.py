import pytest
import torch

from tsattn.data import DataUnavailable, files


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def etth1():
    """Name of the real data set; the test is skipped only where it can be neither found nor downloaded."""
    try:
        files.find("ETTh1")
    except DataUnavailable as error:
        pytest.skip(str(error))
    return "ETTh1"
