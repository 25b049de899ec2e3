"""From raw answers and raw replies to what is scored: thoughts left out, cut ones counted, the raw text kept."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harness.chat.settings import ChatSettings
from harness.evaluation.generate import generate
from harness.evaluation.score import evaluate
from harness.evaluation.spoken import ScoringSettings, scored_answers
from harness.judges.openai import OpenAIJudge
from harness.protocols.benchmark import Decoding
from harness.protocols.model import Answer
from harness.store import EvaluationRecord, Store
from harness.store.migrations import migrate
from harness.util.options import build
from tests.harness.evaluation.test_score import SUBJECT, Echo, Grades, Scripted
from tests.harness.fakes import Recorded
from tests.harness.fault_server import Fault, FaultServer, completion, http

GRADED: dict[tuple[str, int], str | None] = {("Yes", 0): "4", ("No", 0): "2", ("<think>hm</think>Yes", 0): "1"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "r.sqlite")


def graded(store: Store, answers: dict[str, Answer], judge: Any = None, **how: Any) -> EvaluationRecord:
    benchmark = Grades()
    data = benchmark.load(Path())
    return evaluate(store, benchmark, data, answers, judge or Scripted(dict(GRADED)), subject=SUBJECT, **how)


def test_thoughts_are_left_out_of_scoring_and_kept_and_one_cut_inside_them_fails(store: Store) -> None:
    given = {
        "a": Answer("<think>No?</think>Yes"),
        "b": Answer("<think>a dog, no", cut=True),
        "c": Answer("No", reasoning="I see none."),
    }
    record = graded(store, given)
    assert (record.metrics["grade"]["value"], record.n_scored, record.n_failed) == (3.0, 2, 1)
    rows = {verdict.sample_id: verdict for verdict in store.verdicts(record.id)}
    assert (rows["a"].answer, rows["a"].details["thoughts"]) == ("Yes", "No?")
    assert (rows["b"].error or "").startswith("no answer: it ends inside its thoughts, cut at the token limit")
    assert (rows["c"].answer, rows["c"].details["thoughts"]) == ("No", "I see none.")
    assert record.info["notes"][:2] == [
        "1 of 3 answers (33.3 %) reached the token limit and are cut",
        "the thoughts of 3 of 3 answers are left out of scoring",
    ]


def test_the_raw_answer_is_scored_where_that_is_asked_for_under_a_version_of_its_own(store: Store) -> None:
    given = {"a": Answer("<think>hm</think>Yes")}
    keep = build(ScoringSettings, {"reasoning": "keep"}, "scoring")
    plain, raw = graded(store, given), graded(store, given, scoring=keep)
    assert (plain.metrics["grade"]["value"], raw.metrics["grade"]["value"]) == (4.0, 1.0)
    assert (plain.version, raw.version) == ("1", "1 reasoning=keep")
    assert len(store.evaluations()) == 2, "neither replaces the other"
    assert "notes" not in raw.info


def test_answers_are_stored_raw_with_what_came_beside_the_text(store: Store) -> None:
    given = {"a": Answer("<think>hm", None, 3, 0.5, cut=True, reasoning="r", adapted=("x",)), "b": Answer("Yes")}
    samples = [sample for sample in Grades().load(Path()).samples if sample.id in given]
    generate(store, Recorded(given), samples, Decoding())
    assert generate(store, Echo(key="recorded"), samples, Decoding()) == given, "from the store"


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Answers were stored without details before; they are as good as they were."""
    with contextlib.closing(sqlite3.connect(tmp_path / "old.sqlite")) as old:
        migrate(old, 2)
        old.execute("INSERT INTO generation VALUES ('m', 'q', 'Yes', NULL, 2, 0.5, 'then')")
        old.commit()
    assert Store(tmp_path / "old.sqlite").answers("m", ["q"]) == {"q": Answer("Yes", tokens=2, seconds=0.5)}


def judge_at(server: FaultServer, **settings: Any) -> OpenAIJudge:
    return OpenAIJudge(f"judge@{server.url}", settings=ChatSettings(first_wait=0.001, tries=2, **settings))


def test_a_judge_that_thinks_is_read_after_its_thoughts(store: Store) -> None:
    with FaultServer(lambda prompt, nth: "<think>2, or 3?\n6</think>\n\n4") as server:
        record = graded(store, {"a": Answer("Yes")}, judge_at(server))
        again = graded(store, {"a": Answer("Yes")}, judge_at(server))
    assert record.metrics["grade"]["value"] == again.metrics["grade"]["value"] == 4.0
    assert len(server.calls) == 1, "and its raw reply is stored"


CUT: dict[str, tuple[dict[str, Any], str]] = {
    "in the text": ({"content": "<think>A first guess is\n2"}, "the reply ends inside its thoughts"),
    "apart from it": ({"content": None, "reasoning_content": "A first guess is 2"}, "thoughts"),
    "unseen": ({"content": ""}, "before any text"),
    "without a mark": ({"content": "2"}, "is cut at its token limit"),
}


@pytest.mark.parametrize("kind", CUT)
def test_a_reply_cut_inside_its_thoughts_is_an_error_row_and_asked_for_again_next_time(kind: str, store: Store) -> None:
    message, expected = CUT[kind]
    choice = {"message": {"role": "assistant", **message}, "finish_reason": "length"}
    play = lambda prompt, nth: completion("", choices=[choice]) if nth == 0 else completion("5")
    with FaultServer(play) as server:
        cut = graded(store, {"a": Answer("Yes")}, judge_at(server))
        assert (cut.n_scored, cut.n_failed, cut.metrics["grade"]["value"], len(server.calls)) == (0, 1, None, 1)
        (reason,) = cut.info["failures"]
        assert expected in reason
        assert cut.info["notes"] == ["1 of 1 replies of the judge reached its token limit and are cut"]
        assert graded(store, {"a": Answer("Yes")}, judge_at(server)).metrics["grade"]["value"] == 5.0


def test_what_an_endpoint_does_not_take_is_learned_once_and_stays_recorded(store: Store) -> None:
    """OpenAI's reasoning models: no max_tokens, no temperature but 1."""

    def play(prompt: str, nth: int) -> str | Fault:
        call = server.calls[-1]
        if "max_tokens" in call:
            return refused("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                           "'max_completion_tokens' instead.", "max_tokens")  # fmt: skip
        if "temperature" in call:
            return refused("Unsupported value: 'temperature' does not support 0 with this model.", "temperature")
        return "4"

    with FaultServer(play) as server:
        record = graded(store, {"a": Answer("Yes"), "b": Answer("No")}, judge_at(server, concurrency=1))
        again = graded(store, {"a": Answer("Yes"), "b": Answer("No")}, judge_at(server, concurrency=1))
    assert record.n_scored == 2 and len(server.calls) == 3, "one call more than questions: there is no max_tokens here"
    assert record.info["notes"] == again.info["notes"]
    assert "temperature is left to the endpoint, which refuses 0" in record.info["notes"][-1]


def refused(message: str, parameter: str) -> Fault:
    error = {"message": message, "type": "invalid_request_error", "param": parameter, "code": "unsupported_parameter"}
    return http(400, json.dumps({"error": error}).encode())


def test_fields_beside_the_protocols_are_sent_and_keep_replies_and_columns_apart(store: Store) -> None:
    with FaultServer(lambda prompt, nth: "4" if nth == 0 else "2") as server:
        plain = graded(store, {"a": Answer("Yes")}, judge_at(server))
        less = graded(store, {"a": Answer("Yes")}, judge_at(server, extra_body={"reasoning_effort": "low"}))
        assert [call.get("reasoning_effort") for call in server.calls] == [None, "low"]
    assert (plain.judge, less.judge) == ("openai:judge", 'openai:judge {"reasoning_effort": "low"}')
    assert (plain.metrics["grade"]["value"], less.metrics["grade"]["value"]) == (4.0, 2.0)
    assert less.info["judging"]["variant"] == '{"reasoning_effort": "low"}'


def test_empty_answers_are_counted_and_said_whatever_the_route() -> None:
    answers = {str(i): Answer(" \n" if i < 3 else f"a dog {i}") for i in range(12)} | {"x": Answer(None, "failed")}
    scored = scored_answers(answers)
    assert scored.counts == {"n": 13, "empty": 3, "cut": 0, "same": 0}
    assert scored.notes == ("3 of 13 answers (23.1 %) are empty: what says nothing hallucinates nothing",)
    assert scored_answers({"a": Answer("<think>hm</think>")}).counts["empty"] == 1, "what is left after the thoughts"


def test_an_end_token_that_an_endpoint_leaves_in_its_text_is_not_scored_and_is_said() -> None:
    given = {"a": "Yes<|im_end|>", "b": "No.</s> \n", "c": "a <|im_end|> b", "d": "<think>hm</think>No<|im_end|>\n</s>"}
    scored = scored_answers({name: Answer(text) for name, text in given.items()})
    assert {name: answer.text for name, answer in scored.answers.items()} == {
        "a": "Yes", "b": "No.", "c": "a <|im_end|> b", "d": "No",
    }  # fmt: skip
    assert scored.counts["end_tokens"] == 3
    assert scored.notes[0].startswith("3 of 4 answers have the model's end token as text (</s>, <|im_end|>")
    raw = scored_answers({"a": Answer("Yes<|im_end|>")}, ScoringSettings(reasoning="keep"))
    assert raw.answers["a"].text == "Yes<|im_end|>" and "end_tokens" not in raw.counts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes<|im_end|>\n<|im_start|>user\nAre you sure?<|im_end|>", "Yes"),
        ("Yes<|eot_id|>assistant\n\nNo", "Yes"),
        ("Canberra<|eot_id|>\n\n---\n\nQuestion: What is 2 + 2?", "Canberra"),
        ("Yes<end_of_turn>\n<start_of_turn>user\nNo?", "Yes"),
        ("Yes.</s><s>[INST] And here? [/INST] No", "Yes."),
        ("Yes.</s></s> ", "Yes."),
        ("Yes.<|end|>\n", "Yes."),
        ("The <s>red</s> car", "The <s>red</s> car"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>Yes<|return|>", "Yes"),
        ("<end_of_turn>", ""),
    ],
)
def test_what_follows_the_end_of_a_turn_is_not_scored(text: str, said: str) -> None:
    assert scored_answers({"a": Answer(text)}).answers["a"].text == said


def test_answers_that_are_all_the_same_are_said() -> None:
    assert scored_answers({str(i): Answer("No.") for i in range(10)}).notes == ("all 10 answers are the same: 'No.'",)
    assert scored_answers({str(i): Answer("No.") for i in range(9)}).notes == ()
    assert scored_answers({str(i): Answer("") for i in range(20)}).counts["same"] == 0, "that they are empty is said"
