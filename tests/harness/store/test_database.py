"""What opening a results file imports."""

from __future__ import annotations

import importlib
import sys

import pytest

from harness.store.database import _without


def test_a_module_that_is_left_out_cannot_be_imported_within_and_can_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    with _without("tabnanny"), pytest.raises(ImportError):
        importlib.import_module("tabnanny")
    assert importlib.import_module("tabnanny") is sys.modules["tabnanny"]


def test_one_that_is_there_stays() -> None:
    with _without("json"):
        assert importlib.import_module("json") is sys.modules["json"]
