"""A question whose image is not there is a failed answer: no model is asked it without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from harness.errors import DataError
from harness.evaluation.absent import absent_images, check_images
from harness.evaluation.generate import generate
from harness.evaluation.resolve import load
from harness.models.replay import ReplayModel
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image
from harness.protocols.model import Answer, Model
from harness.store import Store
from tests.harness.evaluation.test_score import Echo, Grades


@dataclass(frozen=True, kw_only=True)
class Texts(Grades):
    """Questions without images belong to it."""

    image_optional: ClassVar[bool] = True


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "r.sqlite")


def test_what_lacks_its_image_is_not_asked_and_says_which_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "here.png").write_bytes(b"not looked at")
    here, gone = Image(path=tmp_path / "here.png"), Image(path=tmp_path / "gone.png")
    samples = [Sample("a", "?", here), Sample("b", "?", gone), Sample("c", "?", Image()), Sample("d", "? ?")]
    model = Echo()
    answers = generate(store, model, samples, Decoding())
    assert model.asked == ["a", "d"]
    assert answers["b"].error == f"its image is not there: {tmp_path / 'gone.png'}"
    assert answers["c"].error == "the data hold no image for this question"


def test_an_answer_stored_without_the_image_is_not_taken_for_one_about_it(store: Store) -> None:
    """Earlier versions asked so: the key of a question without image is that of one whose image is missing."""
    generate(store, Echo(), [Sample("a", "What?")], Decoding())
    assert generate(store, Echo(), [Sample("a", "What?", Image())], Decoding())["a"].text is None


def test_a_benchmark_says_whether_its_questions_may_have_no_image(tmp_path: Path) -> None:
    assert set(absent_images(load(Grades(), tmp_path).samples)) == {"a", "b", "c"}
    assert absent_images(load(Texts(), tmp_path).samples) == {}


def test_missing_images_are_named_before_a_model_is_loaded_and_all_of_them_refused(tmp_path: Path) -> None:
    (tmp_path / "0.png").touch()
    samples = [Sample(str(i), "?", Image(path=tmp_path / f"{i}.png")) for i in range(6)]
    with pytest.warns(
        UserWarning,
        match=r"shapes: 5 of 6 samples have no image \(its image is not there: \S*/1.png; .*3.png; \.\.\.\)",
    ):
        check_images("shapes", samples)
    with pytest.raises(DataError, match=r"5 of 5 samples have no image .* check --data-dir.* \(\S+ holds 0.png\)"):
        check_images("shapes", samples[1:])


def test_recorded_answers_are_about_images_that_need_not_be_here(store: Store, tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"id": "a", "response": "one"}\n{"id": "b", "response": "two"}\n')
    samples = [Sample(i, "the same question", Image(path=tmp_path / "gone.png")) for i in "ab"]
    for _ in range(2):
        answers = generate(store, ReplayModel(tmp_path / "answers.jsonl"), samples, Decoding())
        assert [answers[i].text for i in "ab"] == ["one", "two"], "each its own, also of one question"


def test_equal_questions_are_asked_once_and_all_are_answered(store: Store, tmp_path: Path) -> None:
    """POPE asks 8,910 questions, of which 5,043 differ."""
    for name in ("x.png", "y.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "copy.png").write_bytes(b"x.png")
    asked = [("a", "dog?", "x"), ("b", "dog?", "y"), ("c", "dog?", "x"), ("d", "cat?", "x"), ("e", "dog?", "copy")]
    samples = [Sample(id_, prompt, Image(path=tmp_path / f"{name}.png")) for id_, prompt, name in asked]
    seen: list[tuple[int, int]] = []
    model = Echo()
    answers = generate(
        store, model, samples, Decoding(), progress=lambda step, done, of, note="": seen.append((done, of))
    )
    assert {id_: answer.text for id_, answer in answers.items()} == {"a": "a", "c": "a", "e": "a", "b": "b", "d": "d"}
    assert model.asked == ["a", "b", "d"] and seen == [(3, 5), (4, 5), (5, 5)]
    again = Echo()
    assert generate(store, again, samples, Decoding()) == answers and again.asked == []


def test_an_answer_is_stored_before_the_next_is_waited_for(store: Store) -> None:
    """A kill loses nothing that was answered, however slow the model."""

    class Slow(Model):
        name = spec = key = "slow"

        def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
            for position in range(len(samples)):
                assert store.count("generation") == position
                yield position, Answer("yes")

    generate(store, Slow(), [Sample(str(i), f"question {i}") for i in range(5)], Decoding())
    assert store.count("generation") == 5
