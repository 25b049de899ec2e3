"""`show`: an answer with its question, what was found in it, and what the judge said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from cli import cli
from harness.protocols.benchmark import Sample, Verdict
from harness.protocols.judge import Reply
from harness.store import NewEvaluation, ReadReply, Store
from leaderboards.formats.run_view import Marked
from tests.leaderboards.fakes import example

EVALUATION: dict[str, Any] = {
    "key": "k", "run": "llava", "model": "hf:llava", "model_key": "m", "alignment": None,
    "benchmark": "object_halbench",
    "settings": {}, "version": "1", "mode": "plain", "judge": "openai:judge-2026", "data_key": "d", "data_dir": ".",
    "decoding": {"eos_bias": 0.0}, "n": 2, "n_scored": 2, "n_failed": 0, "metrics": {},
    "info": {"judging": {"asked": "openai:j", "endpoint": "http://x"}},
}  # fmt: skip


@pytest.fixture
def judged(tmp_path: Path) -> Store:
    """Two answers to one question, the second of 900 characters; of the first the judge's reply is known."""
    store = Store(tmp_path / "r.sqlite")
    store.save_samples("d", [Sample(i, "Describe this image in detail.") for i in ("0", "1")])
    reply = Reply('["dog", "cat"]', "judge-2026")
    store.save_reply("openai:j", "http://x", "abcdefghij", 0, 0, reply)
    details = {"mentions": ["dog", "cat"], "hallucinated": ["dog"]}
    verdicts = [
        ("0", 0, "0", "Two dogs and a cat.", Verdict({"mentions": 2.0}, details=details)),
        ("1", 0, "1", "cat " * 225, Verdict({"mentions": 1.0})),
    ]
    store.save_evaluation(NewEvaluation(**EVALUATION), verdicts, {("0", 0): [ReadReply.of(0, "abcdefghij", reply)]})
    return store


def show(store: Store, *options: str) -> Result:
    return CliRunner().invoke(cli, ["show", *options, "--db", str(store.path)], env={"COLUMNS": "200"})


def test_a_pipe_keeps_the_question_the_hallucinated_words_and_the_judges_reply(judged: Store) -> None:
    text = show(judged, "llava").stdout
    assert "Describe this image in detail." in text and "Two [[dogs]] and a cat." in text
    assert 'judge judge-2026, prompt abcdefgh: ["dog", "cat"]' in text


def test_a_terminal_with_colours_gets_no_brackets() -> None:
    console = Console(force_terminal=True, color_system="standard", width=80)
    with console.capture() as capture:
        console.print(Marked("A dog [[1]].", ["dog"]))
    assert "\x1b[" in capture.get() and "[[dog]]" not in capture.get()


def test_a_word_within_another_is_not_marked() -> None:
    """A catalogue is no cat, two cats are."""
    assert Marked("A catalogue of cats.", ["cat"]).parts == ["A catalogue of ", "cats", "."]


def test_a_sample_that_is_named_is_shown_whole_and_alone(judged: Store) -> None:
    text = show(judged, "llava", "--sample", "1").stdout
    assert "(900 characters)" not in text and text.count("cat") >= 225 and "Two" not in text
    assert "(900 characters)" in " ".join(re.split(r"[│\s]+", show(judged, "llava").stdout)), "across lines of a box"
    refused = show(judged, "llava", "--sample", "9")
    assert refused.exit_code == 2 and "'9'" in refused.output
    for count in ("-1", "1.5"):
        assert show(judged, "llava", "--samples", count).exit_code == 2, "not the last but one, and no part of one"
    assert show(judged, "llava", "--samples", "0").exit_code == 0


def test_json_has_the_replies_with_their_prompts_and_judges(judged: Store) -> None:
    first, second = json.loads(show(judged, "llava", "--json").stdout)["evaluations"][0]["samples"]
    reply = {"attempt": 0, "prompt": "abcdefghij", "judge": "judge-2026", "reply": '["dog", "cat"]', "error": None}
    assert (first["question"], first["replies"], first["reply"]) == (
        "Describe this image in detail.",
        [reply],
        '["dog", "cat"]',
    )
    assert second["replies"] == []


def test_of_verdicts_of_an_earlier_version_it_is_said_that_no_reply_was_recorded(judged: Store, tmp_path: Path) -> None:
    judged.write("UPDATE verdict SET replies = NULL WHERE judge_run = ?", [(0,)])
    assert "the judge's reply: not recorded" in show(judged, "llava").stdout
    (tmp_path / "without").mkdir()
    assert "not recorded" not in show(example(tmp_path / "without"), "base").stdout, "no judge scored it"


@pytest.mark.parametrize("kept", ['{"rating": 4, "reply": "Rating: 4"}', '{"replies": ["well", "Rating: 4"]}'])
def test_a_text_that_an_earlier_version_kept_among_the_details_is_shown(judged: Store, kept: str) -> None:
    judged.write("UPDATE verdict SET replies = NULL, details = ? WHERE sample_id = '0'", [(kept,)])
    assert "the judge's reply: Rating: 4" in show(judged, "llava", "--sample", "0").stdout
