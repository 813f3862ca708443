"""Property tests try the same examples in every run; no test changes the next one's number of threads."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def number_of_threads() -> Iterator[None]:
    """Put the number of PyTorch's threads back, if a test is about PyTorch."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else None
    yield
    if torch is not None:
        torch.set_num_threads(before)
