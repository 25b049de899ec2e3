"""The fingerprint of an evaluator: a pure function of a stored evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.evaluation.fingerprint import distinct, fingerprint
from harness.store import EvaluationRecord, Store
from tests.leaderboards.fakes import add, answers

PROMPT = {"name": "own-rating-1", "sha256": "0123456789abcdef", "source": "the project's own wording"}
GIVEN: dict[str, Any] = {
    "version": "mmhal-1 prompt=own-rating-1 parser=anchored-rating-5 tagger=lexicon-pluralizer attempts=2",
    "judge": "openai:gpt-4o",
    "decoding": {"num_beams": 1, "max_new_tokens": 512, "eos_bias": 0.0},
    "info": {"prompt": PROMPT, "unofficial": ["the judge's prompt: own-rating-1 (officially official-1a2b)"]},
}


@pytest.fixture
def record(tmp_path: Path) -> EvaluationRecord:
    store = Store(tmp_path / "r.sqlite")
    add(store, "base", answers([1, 2]), **GIVEN)
    return store.evaluations()[0]


def test_its_fields_are_read_off_version_judge_prompt_data_and_decoding(record: EvaluationRecord) -> None:
    assert fingerprint(record).record == {
        "key": fingerprint(record).key,
        "benchmark": "amber",
        "extraction": "mmhal-1 parser=anchored-rating-5 attempts=2",
        "rules": "plain",
        "judge": "openai:gpt-4o",
        "tagger": "lexicon-pluralizer",
        "prompt": "own-rating-1 0123456789ab",
        "data": "d",
        "decoding": "max_new_tokens=512 num_beams=1",
        "official": "rules",
        "differs": GIVEN["info"]["unofficial"],
        "official_data": False,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"version": GIVEN["version"].replace("rating-5", "rating-6")},
        {"version": GIVEN["version"].replace("lexicon-pluralizer", "nltk")},
        {"judge": "openai:gpt-4o-mini"},
        {"mode": "other rules"},
        {"data_key": "e"},
        {"decoding": {**GIVEN["decoding"], "max_new_tokens": 64}},
        {"info": {**GIVEN["info"], "prompt": {**PROMPT, "sha256": "f" * 16}}},
        {"info": {**GIVEN["info"], "unofficial": []}},
    ],
)
def test_whatever_changes_a_figure_changes_its_key(record: EvaluationRecord, change: dict[str, Any]) -> None:
    assert fingerprint(replace(record, **change)).key != fingerprint(record).key


@pytest.mark.parametrize(
    "change",
    [
        {"run": "another", "model": "hf:another", "n_scored": 1},
        {"decoding": {**GIVEN["decoding"], "eos_bias": -1.0}},
        {"info": {**GIVEN["info"], "notes": ["a note"], "loading": {"batch_size": 64}}},
    ],
)
def test_the_model_and_what_is_varied_of_it_are_no_part_of_it(record: EvaluationRecord, change: dict[str, Any]) -> None:
    assert distinct([record, replace(record, **change)]) == (fingerprint(record),)


def test_a_benchmark_with_a_prompt_for_each_category_has_all_of_them(record: EvaluationRecord) -> None:
    both = [PROMPT, {**PROMPT, "name": "a-rule", "sha256": "fedcba9876543210"}]
    assert (
        fingerprint(replace(record, info={"prompt": both})).prompt == "a-rule fedcba987654, own-rating-1 0123456789ab"
    )


def test_an_older_evaluation_has_what_its_version_says(record: EvaluationRecord) -> None:
    found = fingerprint(replace(record, info={}))
    assert (found.prompt, found.official, found.words["official figures"]) == ("own-rating-1", None, "unknown")
