"""Files of answers: the harness's own and those of the official scripts, as they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.models.replay import ReplayModel
from harness.models.responses import read_responses
from harness.protocols.benchmark import Decoding, Sample

QUESTIONS = [{"question": "What is it?", "image_id": 7}, {"question": "Where?", "image_id": 8}]
ASKED = [Sample("0", "What is it?"), Sample("1", "Where?")]


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


OFFICIAL = {
    "amber.json": json.dumps([{"id": 0, "response": "a dog"}, {"id": 1, "response": "Yes"}]),
    "amber indented.json": json.dumps([{"id": 0, "response": "a dog"}, {"id": 1, "response": "Yes"}], indent=4),
    "llava.jsonl": lines(
        {"question_id": 0, "prompt": "?", "text": "a dog", "answer_id": "x", "model_id": "m", "metadata": {}},
        {"question_id": 1, "prompt": "?", "text": "Yes", "answer_id": "y", "model_id": "m", "metadata": {}},
    ),
    "object_halbench.jsonl": lines(
        {**QUESTIONS[0], "answer": "a dog", "metainfos": {}}, {**QUESTIONS[1], "answer": "Yes", "metainfos": {}}
    ),
    "mmhal.json": json.dumps(
        [
            {**QUESTIONS[0], "gt_answer": "x", "model_answer": "a dog"},
            {**QUESTIONS[1], "gt_answer": "y", "model_answer": "Yes"},
        ],
        indent=2,
    ),
    "mm_vet.json": json.dumps({"0": "a dog", "1": "Yes"}),
    "mm_vet indented.json": json.dumps({"0": "a dog", "1": "Yes"}, indent=1),
    "other names.jsonl": lines({"id": 0, "answer": "a dog", "query": "?"}, {"question_id": 1, "response": "Yes"}),
    "named so.json": lines({"id": 0, "response": "a dog"}, {"id": "1", "response": "Yes"}),
    "with a mark.json": "\ufeff" + json.dumps([{"id": 0, "response": "a dog"}, {"id": 1, "response": "Yes"}]),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_files_of_answers_are_read_as_they_come(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(OFFICIAL[name], encoding="utf-8")
    found = read_responses(tmp_path / name)
    assert found.answers == {"0": "a dog", "1": "Yes"}
    found.check(ASKED)
    answers = dict(ReplayModel(tmp_path / name).generate(ASKED, Decoding()))
    assert [answers[i].text for i in (0, 1)] == ["a dog", "Yes"]


REFUSED = {
    "a list": (lines({"id": 0, "response": ["a dog"]}), "line 1: the response is a list, not a text"),
    "none": (
        lines({"id": 0, "response": "x"}, {"id": 1, "response": None}),
        "line 2: the response is null, not a text",
    ),
    "not a number": ('{"id": 0, "response": NaN}\n', "line 1: the response is a number, not a text"),
    "none in an array": (json.dumps([{"id": 0, "response": None}]), "row 1: the response is null, not a text"),
    "twice": (
        lines({"id": 1, "response": "x"}, {"id": "1", "response": "y"}),
        "line 2: the id '1' was answered before",
    ),
    "two layouts": (lines({"id": 0, "response": "x", "question_id": 1, "text": "x"}), "line 1: it has two ids"),
    "two answers": (lines({"id": 0, "response": "x", "question_id": 0, "text": "y"}), "line 1: it has two ids"),
    "a key twice": ('{"id": 0, "response": "Yes", "response": "No"}\n', "line 1: the key 'response' is given twice"),
    "an id twice in an object": ('{\n"0": "Yes",\n"0": "No"}', "the key '0' is given twice"),
    "a text beside it": (
        lines({"id": 0, "response": "x", "text": "y"}),
        "line 1: it has two answers ('response' and 'text')",
    ),
    "an answer beside it": (
        lines({"id": 0, "response": "x", "answer": ["x"]}),
        "line 1: it has two answers ('response' and 'answer')",
    ),
    "a reference beside it": (  # VLMEvalKit's
        lines({"index": 0, "question": "What is it?", "answer": "A dog.", "prediction": "A cat."}),
        "line 1: it has two answers ('answer' and 'prediction')",
    ),
    "a fraction": (lines({"id": 0.5, "response": "x"}), "line 1: the id 0.5 is neither text nor a whole number"),
    "a truth": (lines({"id": True, "response": "x"}), "line 1: the id True is neither"),
    "no row": ("[1]", "row 1: expected"),
    "an answer to nothing": (lines({"answer": "x"}), 'line 1: expected {"id": ..., "response": "text"}, found the'),
    "two ids": (lines({"id": 0, "question_id": 1, "answer": "x"}), "line 1: expected"),
    "two answers of other names": (lines({"id": 0, "answer": "x", "model_answer": "y"}), "line 1: expected"),
    "a value": ("3\n", "line 1: expected"),
    "half": ('[{"id": 0,', "not valid JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_answer_is_refused_with_its_row(name: str, tmp_path: Path) -> None:
    text, said = REFUSED[name]
    (tmp_path / "answers.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"answers\.jsonl") as caught:
        read_responses(tmp_path / "answers.jsonl")
    assert said in str(caught.value)


def test_rows_known_by_their_place_must_ask_the_question_in_that_place(tmp_path: Path) -> None:
    (tmp_path / "part.jsonl").write_text(lines({**QUESTIONS[1], "answer": "there"}))
    with pytest.raises(DataError, match=r"part.jsonl line 1: it asks 'Where\?', and question 0 of the data is 'What"):
        list(ReplayModel(tmp_path / "part.jsonl").generate(ASKED, Decoding()))


def test_a_row_may_ask_with_the_mark_of_the_image_or_without_the_benchmarks_ending(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines({"question": "<image>\nWhat is it?", "answer": "a dog"}))
    read_responses(tmp_path / "a.jsonl").check([Sample("0", "What is it?\nAnswer in a word.")])


def test_answers_to_other_questions_under_the_same_ids_are_said(tmp_path: Path) -> None:
    """LLaVA numbers the questions of every benchmark from 0, so that the ids of one file fit the data of another."""
    rows = [{"question_id": n, "text": "a dog", "prompt": q} for n, q in enumerate(("<image>\nWhat is it?", "Who?"))]
    (tmp_path / "a.jsonl").write_text(lines(*rows))
    (note,) = read_responses(tmp_path / "a.jsonl").asked_otherwise(ASKED)
    assert note.startswith("1 of 2 rows") and "for 1 it is 'Who?' and not 'Where?'" in note
    assert read_responses(tmp_path / "a.jsonl").asked_otherwise(ASKED[:1]) == []
    with pytest.warns(UserWarning, match=r"a\.jsonl: 1 of 2 rows of the file say"):
        list(ReplayModel(tmp_path / "a.jsonl").generate(ASKED, Decoding()))


SPLITS = ("random", "popular")
POPE = [Sample(f"{split}:{i}", f"Is there a {split} {i}?\nIn a word.") for split in SPLITS for i in (1, 2)]


@pytest.mark.parametrize("order", [("random", "popular"), ("popular", "random"), ("popular",)], ids=str)
@pytest.mark.parametrize("layout", ["LLaVA's", "POPE's"])
def test_rows_with_numbers_of_their_own_belong_to_the_splits_whose_questions_they_ask(
    order: tuple[str, ...], layout: str, tmp_path: Path
) -> None:
    asked = [f"Is there a {split} {i}?" for split in order for i in (1, 2)]
    rows: list[Any] = [
        {"question_id": n, "prompt": q + "\nAnswer the question.", "text": f"to {q}"} if layout == "LLaVA's"
        else {"question": q, "answer": f"to {q}"} for n, q in enumerate(asked)
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text(lines(*rows))
    if layout == "LLaVA's":  # which ends its questions as the benchmark does
        samples = [Sample(s.id, s.prompt.replace("In a word.", "Answer the question.")) for s in POPE]
    else:
        samples = POPE
    found = read_responses(tmp_path / "a.jsonl").placed(samples)
    assert found.answers == {f"{split}:{i}": f"to Is there a {split} {i}?" for split in order for i in (1, 2)}


@pytest.mark.parametrize("change", ["one left out", "another order", "two splits alike", "no question"])
def test_rows_that_ask_something_else_are_given_to_no_sample(change: str, tmp_path: Path) -> None:
    asked, samples = ["Is there a popular 1?", "Is there a popular 2?"], POPE
    if change == "one left out":
        asked = asked[:1]
    elif change == "another order":
        asked.reverse()
    elif change == "no question":
        asked, samples = ["", ""], POPE[:2]
    else:
        samples = [Sample(s.id, s.prompt.replace("random", "popular")) for s in POPE]
    (tmp_path / "a.jsonl").write_text(lines(*({"question": q, "answer": "yes"} for q in asked)))
    assert read_responses(tmp_path / "a.jsonl").placed(samples).answers.keys() == {str(n) for n in range(len(asked))}


ALIKE = [Sample(str(i), "Describe the image.", group=f"COCO_val2014_{i + 7:012d}.jpg") for i in range(3)]
"""Questions that only their images differ by."""


@pytest.mark.parametrize("named", ["image_id", "image_path", "id", "question_id"])
@pytest.mark.parametrize("left_out", [0, 1])
def test_rows_in_any_order_are_placed_by_the_image_or_the_number_that_they_say(
    named: str, left_out: int, tmp_path: Path
) -> None:
    """Several processes, each with a part of the questions, leave their rows one part after the other."""
    values: list[Any] = ["0", 1, "2"] if "image" not in named else [7, "val2014/COCO_val2014_000000000008.jpg", "0009"]
    rows = [{"question": s.prompt, "answer": f"to {s.id}", named: v} for s, v in zip(ALIKE, values, strict=True)]
    (tmp_path / "a.jsonl").write_text(lines(*rows[left_out:][::-1]))
    found = read_responses(tmp_path / "a.jsonl").placed(ALIKE)
    assert found.answers == {s.id: f"to {s.id}" for s in ALIKE[left_out:]}


@pytest.mark.parametrize(("image", "said"), [(99, "is none of the data's"), (7, "is answered before")])
def test_a_row_about_another_image_is_refused(image: int, said: str, tmp_path: Path) -> None:
    rows = [{"question": ALIKE[0].prompt, "answer": "x", "image_id": each} for each in (7, image)]
    (tmp_path / "a.jsonl").write_text(lines(*rows))
    with pytest.raises(DataError, match=rf"line 2: the question 'Describe .* about the image '{image}' {said}"):
        read_responses(tmp_path / "a.jsonl").placed(ALIKE)


def test_a_row_about_another_image_than_the_question_in_its_place_is_no_answer_to_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines({"question": ALIKE[0].prompt, "answer": "x", "image_id": 8}))
    with pytest.raises(DataError, match=r"line 1: it asks .* about 8, and question 0 .* about COCO_val2014_0+7\.jpg"):
        list(ReplayModel(tmp_path / "a.jsonl").generate(ALIKE, Decoding()))


@pytest.mark.parametrize("named", ["images/{}.jpg", "https://example.org/{}_o.jpg"])
def test_images_that_the_data_name_otherwise_leave_rows_to_the_questions_in_their_order(
    named: str, tmp_path: Path
) -> None:
    """MMHal-Bench's images have an id, an address and often a number for a name."""
    samples = [Sample(str(i), q, group=f"5b18b{i}") for i, q in enumerate(("What is it?", "Where?", "Who?", "Who?"))]
    rows = [{"question": s.prompt, "answer": f"to {s.id}", "image": named.format(s.id)} for s in samples]
    (tmp_path / "a.jsonl").write_text(lines(*rows))
    found = read_responses(tmp_path / "a.jsonl").placed(samples)
    found.check(samples)
    assert found.answers == {s.id: f"to {s.id}" for s in samples}
    (tmp_path / "b.jsonl").write_text(lines(*rows[::-1]))
    with pytest.raises(DataError, match="line 1: it asks 'Who"):
        read_responses(tmp_path / "b.jsonl").placed(samples[::-1]).check(samples)


def test_an_image_that_several_questions_are_alike_about_places_no_row(tmp_path: Path) -> None:
    samples = [Sample(f"{split}:1", "Is there a dog?", group="7.jpg") for split in SPLITS]
    (tmp_path / "a.jsonl").write_text(lines({"question": "Is there a dog?", "answer": "x", "image": "7.jpg"}))
    assert read_responses(tmp_path / "a.jsonl").placed(samples).answers == {"0": "x"}


@pytest.mark.parametrize("spelled", ["{:012d}", "COCO_val2014_{:012d}.jpg"])
def test_numbers_with_zeros_and_files_of_images_spell_the_ids_of_images(spelled: str, tmp_path: Path) -> None:
    samples = [Sample(id_, "Describe the image.", group=id_) for id_ in ("7", "8", "9")]
    rows = [{"image_id": spelled.format(n), "caption": f"of {n}"} for n in (8, 7)]
    (tmp_path / "a.jsonl").write_text(lines(*rows))
    assert read_responses(tmp_path / "a.jsonl").placed(samples).answers == {"8": "of 8", "7": "of 7"}
    (tmp_path / "a.jsonl").write_text(lines(*rows, {"image_id": spelled.format(4), "caption": "of 4"}))
    assert spelled.format(8) in read_responses(tmp_path / "a.jsonl").placed(samples).answers, "not all are there"


def test_captions_are_placed_by_their_image_where_a_benchmark_numbers_its_questions_otherwise(tmp_path: Path) -> None:
    """Captions of the images 1 and 2 are no answers to the questions 1 and 2, which are about the images 2 and 3."""
    samples = [Sample(str(n), "Describe the image.", group=str(n + 1)) for n in range(3)]
    (tmp_path / "a.jsonl").write_text(lines(*({"image_id": n, "caption": f"of {n}"} for n in (2, 1, 9))))
    found = read_responses(tmp_path / "a.jsonl").placed(samples)
    assert found.answers == {"0": "of 1", "1": "of 2", "image 9": "of 9"}
    of_one_image = [Sample(str(n), "Is there a dog?", group="AMBER_1.jpg") for n in (1, 2)]
    assert read_responses(tmp_path / "a.jsonl").placed(of_one_image).answers.keys() == {"1", "2", "9"}


FAILED = {
    "an error": ({"id": 0, "response": "Yes", "error": "timeout"}, "line 1: it says that it failed ('timeout')"),
    "an error alone": ({"id": 0, "response": None, "error": {"code": 5}}, "line 1: it says that it failed"),
}


@pytest.mark.parametrize("name", FAILED)
def test_a_row_with_an_error_is_a_failed_answer_with_its_reason(name: str, tmp_path: Path) -> None:
    row, said = FAILED[name]
    (tmp_path / "a.jsonl").write_text(lines(row, {"id": 1, "response": "a", "error": None, "text": "a"}))
    model = ReplayModel(tmp_path / "a.jsonl")
    answers = dict(model.generate(ASKED, Decoding()))
    assert answers[0].text is None and said in (answers[0].error or "")
    assert answers[1].text == "a"
    (tmp_path / "b.jsonl").write_text(lines({"id": 1, "response": "a"}))
    assert ReplayModel(tmp_path / "b.jsonl").key != model.key, "a failed answer is not a missing one"
