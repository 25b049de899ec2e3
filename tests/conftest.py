"""Set up before any test module is imported."""

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"  # no test downloads anything; without this an absent name is retried for long

import pytest

import harness  # noqa: F401  installs the torchvision shim, before transformers asks for torchvision
from tests.needs import leave_out


@pytest.hookimpl(trylast=True)  # after -k and -m have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the tests that need what is not here, one is skipped with the reason, for all of them."""
    if left_out := leave_out(items):
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """What collecting has imported stays for good: a garbage collection need not go through it each time."""
    gc.collect()
    gc.freeze()
