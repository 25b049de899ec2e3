"""Files of answers as other projects' scripts write them, from `score` to the figures or to what is wrong with them."""

from __future__ import annotations

from pathlib import Path

from harness.store import Store
from tests.benchmarks.conftest import write_jsonl
from tests.cases.running import figures, judge_at, mmhal, said, score
from tests.harness.fault_server import FaultServer

GOOD = "Analysis: fine.\nRating: 4"


def test_answers_to_other_questions_under_the_same_ids_are_said_and_stay_recorded(tmp_path: Path) -> None:
    data = mmhal(tmp_path / "d", 3)
    asked = ["Question 0?", "<image>\nQuestion 1?", "Is there a dog?\nAnswer with yes or no."]
    rows = [{"question_id": n, "prompt": prompt, "text": "It is."} for n, prompt in enumerate(asked)]
    write_jsonl(data / "answers.jsonl", rows)
    with FaultServer(lambda prompt, nth: GOOD) as server:
        result = score("mmhal", data, judge_at(server))
    assert figures(result)["n_scored"] == 3
    assert "1 of 3 rows of the file say that another question was asked" in said(result)
    assert "1 of 3 rows" in str(Store(data / "r.sqlite").evaluations()[-1].info["notes"])
