"""Files of answers as other projects' scripts write them, from `score` to the figures or to what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

from harness.store import Store
from tests.benchmarks.conftest import write_jsonl
from tests.cases.running import figures, judge_at, mmhal, run, said, score
from tests.golden.test_golden import HERE
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


def test_numbers_of_another_file_are_said_to_be_placed_by_whole_parts_alone(tmp_path: Path) -> None:
    data = mmhal(tmp_path / "d", 3)
    rows = [{"question_id": n, "prompt": f"Question {n}?", "text": "It is."} for n in (7, 8)]
    write_jsonl(data / "answers.jsonl", rows)
    result = score("mmhal", data, ["--judge", "openai:m@http://127.0.0.1:9/v1"], code=2)
    assert "2 ids are not of mmhal: '7', '8'" in said(result) and "placed by what they ask only where" in said(result)


def test_captions_in_another_order_are_given_to_the_images_that_they_name(tmp_path: Path) -> None:
    """As RLAIF-V's script writes them, after several processes: the questions are alike, their images are not."""
    data, own = HERE / "chair_coco/data", HERE / "chair_coco/answers.jsonl"
    answers = [json.loads(line) for line in own.read_text().splitlines()]
    question = "Please describe this image in detail."
    write_jsonl(
        tmp_path / "mixed.jsonl",
        [{"question": question, "answer": row["response"], "image_id": int(row["id"])} for row in answers[::-1]],
    )
    settings = ["--set", "images=8", "--set", "tagger=lexicon", "--json", "--data-dir", data, "--db", tmp_path / "r.db"]
    found = [
        figures(run("score", "--benchmark", "chair_coco", "--responses", file, *settings))
        for file in (own, tmp_path / "mixed.jsonl")
    ]
    assert found[0]["metrics"] == found[1]["metrics"] and found[1]["n_scored"] == 8
