from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.lmms import _verdict
from harness.util.json_safe import json_safe, json_text


def test_anything_becomes_json() -> None:
    value = {1: {math.nan, 2.0}, "a": (np.float32(0.5), np.arange(2)), "b": Path("x"), ("c", 1): b"y", "d": True}
    found = json_safe(value)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert sorted(found.pop("1"), key=str) == [2.0, None]
    assert found == {"a": [0.5, [0, 1]], "b": "x", "('c', 1)": "b'y'", "d": True}
    assert json_safe([math.inf, math.nan], undefined=False) == ["inf", "nan"]


def test_a_value_that_holds_itself_has_an_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert json.dumps(json_safe(endless))


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, "é", None, {"b": (2.5,)}]}, {"a": math.nan, "b": {1}}, np.arange(2), Path("x"),
        {None: 1, True: 2, 3: 4, 2.5: 5},
    ],
)  # fmt: skip
def test_the_text_is_that_of_the_safe_value(value: Any) -> None:
    assert json_text(value, ensure_ascii=False) == json.dumps(json_safe(value), ensure_ascii=False)


def test_what_a_filter_of_lmms_eval_gives_is_kept_as_words() -> None:
    row = {"target": np.array([1]), "filtered_resps": [(math.nan, {2: np.bool_(True)})], "acc": 1.0}
    verdict = _verdict(row, ["acc", "f1"])
    assert verdict.details == {"target": [1], "filtered": [["nan", {"2": True}]]}
    assert verdict.counts == {"acc": 1.0, "scored_acc": 1.0}
