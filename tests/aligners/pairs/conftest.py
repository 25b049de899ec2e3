from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(session_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images and pairs that were read before are kept there."""
    monkeypatch.setenv("DAMA_HOME", str(session_home))
