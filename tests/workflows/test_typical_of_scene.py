"""The sentence on why the base hallucinates in the embedded world."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.protocols.benchmark import Verdict
from harness.store import NewEvaluation, Store
from leaderboards.snapshot import Snapshot
from workflows.embedded import TRUTH
from workflows.report import typical_of_scene


@pytest.mark.parametrize(("scenes", "said"), [(4, "100 % (51-100) are"), (1, "100 % are")])
def test_a_share_of_all_objects_is_shown_with_its_open_end_and_that_of_one_scene_without(
    tmp_path: Path, scenes: int, said: str
) -> None:
    """A bus in each street that has none; 4 of 4 is from 51.01 % on (Wilson)."""
    ids = [str(i) for i in range(scenes)]
    rows = [json.dumps({"id": i, "place": "street", "objects": ["car"]}) for i in ids]
    (tmp_path / TRUTH).write_text("\n".join(rows) + "\n")
    store = Store(tmp_path / "r.sqlite")
    store.save_evaluation(
        NewEvaluation(
            key="base", run="base", model="hf:m", model_key="m", benchmark="object_halbench", alignment=None,
            settings={}, version="1", mode="plain", judge="none", data_key="d", data_dir=str(tmp_path),
            decoding={"eos_bias": 0.0}, n=scenes, n_scored=scenes, n_failed=0, info={}, metrics={},
        ),
        [(i, 0, i, "a car and a bus", Verdict({"hallucinated": 1.0})) for i in ids],
    )  # fmt: skip
    sentence = typical_of_scene(Snapshot(store))
    assert sentence == f"Of {scenes} objects that base hallucinated, {said} typical of the scene's place."
