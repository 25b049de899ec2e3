"""The tiny model and its pairs, ready to be aligned."""

from __future__ import annotations

from pathlib import Path

import pytest

from aligners.training.config import AlignConfig
from tests.aligners.training.runs import Bench


@pytest.fixture
def bench(llava: Path, pairs_file: Path, session_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("DAMA_HOME", str(session_home))
    config = AlignConfig(
        model=str(llava), data=str(pairs_file), epochs=2, lr=2e-3, micro_batch=16, checkpoint_every=0, device="cpu",
        warmup=0.25,  # before the first step all gaps are 0 but for rounding: its rate is 0
    )  # fmt: skip
    return Bench(config, tmp_path)
