"""Judges' replies that are no verdict: noise, beginnings, and near misses never become a number."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from benchmarks.common.chair import built_in_synonyms
from benchmarks.common.object_replies import read_objects, read_objects_officially, read_objects_tolerantly
from benchmarks.common.official import Prompt
from benchmarks.common.ratings import read_rating
from benchmarks.common.taggers import LexiconTagger
from benchmarks.mmhal import read_rating_officially
from benchmarks.object_halbench import ObjectHalBench, Resources
from harness.evaluation.judge import judge_answers
from harness.judges.replay import ReplayJudge
from harness.protocols.benchmark import BENCHMARKS, Sample
from harness.protocols.model import Answer
from harness.store import Store
from tests.benchmarks.conftest import write_json, write_jsonl
from tests.benchmarks.test_hallusion_bench import ROW
from tests.benchmarks.test_llava_bench import question, write_data
from tests.benchmarks.test_mm_vet import row as mm_vet_row
from tests.benchmarks.test_mmhal import row as mmhal_row

ALPHABET = "abc 0123456789.,:;*#[]{}()\"'\\/-\n\t\x00\u2028éß中🦊\ud800"


def noise(count: int) -> list[str]:
    draw = random.Random(0)
    texts = ["".join(draw.choices(ALPHABET, k=draw.randrange(80))) for _ in range(count)]
    return texts + [draw.randbytes(60).decode(errors="replace") for _ in range(count)]


def test_noise_is_no_rating() -> None:
    for text in noise(1000):
        assert read_rating(text) is None, text
        assert read_rating_officially(text) == 0, text


def test_noise_is_a_list_of_objects_only_if_it_is_json() -> None:
    for text in noise(1000):
        for read in (read_objects, read_objects_officially, read_objects_tolerantly):
            found = read(text)
            assert found is None or all(isinstance(name, str) for name in found), text
        if read_objects(text) is not None:
            assert text.strip().endswith("]")


def test_the_beginning_of_a_reply_is_the_reply_or_nothing() -> None:
    rated = "It says a little.\n\n**Rating: 4**, somewhat informative, no hallucination"
    assert {read_rating(rated[:n]) for n in range(len(rated) + 1)} == {None, 4}
    listed = json.dumps(["dog", "dining table", "wine glass"])
    for n in range(len(listed)):
        assert read_objects(listed[:n]) is None and read_objects_tolerantly(listed[:n]) is None


def test_long_replies_are_read_in_no_time() -> None:
    for text in (
        "rating " * 50_000,
        "[" * 200_000,
        '["a",' * 50_000,
        "Rating: " + "1" * 4000,
        "rating:" + " " * 200_000,
    ):
        assert read_rating(text) is None
        assert read_objects_tolerantly(text) is None


def test_recorded_replies_are_read_as_far_as_the_official_code_would_ask(tmp_path: Path) -> None:
    """Nine unreadable replies, then a list: the official code asks up to a hundred times."""
    write_jsonl(tmp_path / "q.jsonl", [{"question": "Describe.", "image_id": 0}])
    write_jsonl(tmp_path / "ground_truth.jsonl", [{"image_id": 0, "instances": ["dog"], "captions": []}])
    write_jsonl(tmp_path / "replies.jsonl", [{"id": 0, "reply": r} for r in [*["()"] * 9, '["dog", "cat"]']])
    for parser, ours in (("strict", 1), ("tolerant", 0)):  # "()" names no object
        benchmark = ObjectHalBench(tagger="lexicon", parser=parser)  # type: ignore[arg-type]
        samples, judge = benchmark.load(tmp_path).samples, ReplayJudge(str(tmp_path / "replies.jsonl"))
        store = Store(tmp_path / "r.sqlite")
        (judged,) = judge_answers(store, benchmark, samples, {"0": Answer("A dog and a cat.")}, judge)
        counts = judged.verdict.counts
        assert (judged.verdict.error, counts["hallucinated"], counts["official_hallucinated"]) == (None, ours, 1)


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        ('The objects are ["dog", "cat"].', ["dog", "cat"]),
        ('["dog"], as said: ["dog"]', ["dog"]),
        ('["dog"]\n\nCaption: "A cat"\nOutput: ["cat"]', None),
        ('["dog"]\nI left out what is not there (["tree"]).', None),
        ("Output: []\nNot counted: [1]", []),
    ],
)
def test_of_several_lists_that_differ_none_is_read(reply: str, names: list[str] | None) -> None:
    assert read_objects_tolerantly(reply) == names


def test_officially_a_list_may_hold_anything_json_has() -> None:
    """The official code puts each into "a {x}": numbers, null and lists become what Python writes of them."""
    reply = '["dog", 2, 2.50, null, true, {"cat": 1}, ["car"]]'
    assert read_objects_officially(reply) == ["dog", "2", "2.5", "None", "True", "{'cat': 1}", "['car']"]
    assert read_objects(reply) is None
    assert read_objects_officially('{"dog": 1, "cat": 2}') == ["dog", "cat"]
    for crashes in ("3", "null", "true"):
        assert read_objects_officially(crashes) is None


FORMS = {
    "object_halbench": "JSON list of strings",
    "mmhal": '"Rating: n"',
    "mm_vet": "one number from 0.0 to 1.0",
    "llava_bench": "two numbers from 1 to 10",
    "hallusion_bench": "correct, incorrect or unclear",
}


@pytest.mark.parametrize("name", FORMS)
def test_a_question_that_is_asked_again_names_the_form_that_the_reply_lacked(name: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "obj_halbench_300_with_image.jsonl", [{"question": "Describe.", "image_id": 0}])
    write_jsonl(tmp_path / "ground_truth.jsonl", [{"image_id": 0, "instances": ["dog"], "captions": []}])
    write_json(tmp_path / "response_template.json", [mmhal_row("other")])
    write_json(tmp_path / "mm-vet.json", {"v1_0": mm_vet_row("ocr")})
    write_json(tmp_path / "HallusionBench.json", [ROW])
    write_data(tmp_path, [question(0)], None)
    benchmark = BENCHMARKS.get(name)()
    (sample,) = benchmark.load(tmp_path).samples
    first, again, third = (benchmark.judge_prompt(sample, "A dog runs over grass.", n) for n in (0, 1, 2))
    assert first is not None and again is not None and third is not None
    added = again.prompt.removeprefix(first.prompt)
    assert again.prompt.startswith(first.prompt) and third.prompt == again.prompt
    assert "could not be read" in added and FORMS[name] in " ".join(added.split())


def test_the_official_prompt_of_object_halbench_is_asked_again_as_it_is(tmp_path: Path) -> None:
    resources = Resources(built_in_synonyms(), LexiconTagger(), Prompt("{question} {answer}", "official-0", True))
    sample = Sample("0", "Describe.", resources=resources)
    first, again = (ObjectHalBench().judge_prompt(sample, "A dog runs over grass.", n) for n in (0, 1))
    assert first == again and first is not None and first.prompt == "Describe. A dog runs over grass."
