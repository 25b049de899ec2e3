"""The public reference data beside a checkout, for tests that compare with the official scorers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("DAMA_SHARED", Path(__file__).parents[1].parent / "shared"))


def shared(name: str) -> Path:
    """``ROOT/name``; skips the test where the reference data are not there."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"reference data {name} not found beside the checkout (set DAMA_SHARED to their folder)")
    return path
