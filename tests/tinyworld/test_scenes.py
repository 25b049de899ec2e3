"""Scenes, pictures and sentences."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from tinyworld.language import (
    MMHAL_TYPES,
    ROLL_CALL,
    caption,
    careless_caption,
    make_tokenizer,
    mentions,
    number,
    open_question,
    roll_call,
    short_questions,
)
from tinyworld.render import GLYPHS, render
from tinyworld.report import typical_share
from tinyworld.scenes import CELLS, OBJECTS, PRIORS, Scene, Thing, draw_scenes, is_typical

SCENE = Scene("street", (Thing("car", "red", (0, 4)), Thing("dog", "blue", (8,))), seed=1)


def test_scenes_are_repeatable_and_splits_differ() -> None:
    assert draw_scenes(20, 0, 1) == draw_scenes(30, 0, 1)[:20]
    assert draw_scenes(20, 0, 1) != draw_scenes(20, 0, 2)


def test_scenes_hold_one_to_five_kinds_in_cells_of_their_own() -> None:
    for scene in draw_scenes(300, 0):
        cells = [cell for thing in scene.things for cell in thing.cells]
        assert 1 <= len(scene.things) <= 5 and len(cells) == len(set(cells)) <= CELLS


def test_pictures_are_repeatable_and_every_object_can_be_drawn() -> None:
    assert np.array_equal(np.asarray(render(SCENE)), np.asarray(render(SCENE)))
    assert set(GLYPHS) == set(OBJECTS)
    pictures = [np.asarray(render(Scene("room", (Thing(name, "red", (4,)),), 0)), dtype=float) for name in OBJECTS]
    for i, one in enumerate(pictures):
        assert all(np.abs(one - other).sum() > 5000 for other in pictures[:i])


def test_captions_and_their_mentions() -> None:
    assert caption("street", ["car", "dog", "oven"], SCENE) == "A street. Two cars. A dog. An oven."
    assert mentions("A street. Two cars. A dog. An oven. A car.") == ["car", "dog", "oven"]


def test_careless_captions_add_only_what_is_typical() -> None:
    rng = np.random.default_rng(0)
    absent = [
        name for _ in range(200) for name in mentions(careless_caption(SCENE, 1.0, rng)) if name not in SCENE.names
    ]
    assert len(absent) >= 200 and all(is_typical("street", name) for name in absent)
    assert not [n for _ in range(50) for n in mentions(careless_caption(SCENE, 0.0, rng)) if n not in SCENE.names]


def test_what_is_absent_comes_last() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        there = [name in SCENE.names for name in mentions(careless_caption(SCENE, 1.0, rng))]
        assert there == sorted(there, reverse=True)


def test_a_roll_call_names_what_is_there_and_as_many_that_are_not() -> None:
    said = roll_call(SCENE, np.random.default_rng(0)).rstrip(".").split(". ")
    assert len(said) == 4 and {"car red", "dog blue"} < set(said)
    assert sum(text.endswith(" no") for text in said) == 2


def test_careless_people_take_for_there_what_is_usual() -> None:
    """1.2 times the prior: a person (.55) is said to be on the street in 66 % of the questions, a truck (.35) in 42."""
    rng, said = np.random.default_rng(0), Counter[tuple[str, str]]()
    for asked in short_questions(SCENE, 6000, rng, {"existence": 1.0}, careless=True):
        said[mentions(asked.question)[0], asked.answer] += 1
    for name, share in (("person", 0.66), ("truck", 0.42), ("car", 1.0)):
        assert said[name, "Yes"] / (said[name, "Yes"] + said[name, "No"]) == pytest.approx(share, abs=0.07)


def test_naming_an_object_or_ending_is_one_decision() -> None:
    tokens = make_tokenizer().tokenize("A street. Two cars. A dog. Is there a dog in this image?")
    assert tokens[:6] == ["A street", ".", "Two cars", ".", "A dog", "."]
    assert tokens[6:] == ["Is", "there", "a", "dog", "in", "this", "image", "?"]


def test_the_tokenizer_knows_every_word_and_gives_texts_back() -> None:
    tokenizer = make_tokenizer()
    rng = np.random.default_rng(0)
    texts = []
    for scene in draw_scenes(100, 3):
        texts += [careless_caption(scene, 0.65, rng), roll_call(scene, rng), ROLL_CALL]
        asked = [*short_questions(scene, 4, rng), *(open_question(kind, scene, rng) for kind in MMHAL_TYPES)]
        texts += [text for a in asked if a for text in (a.question, a.answer)]
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids) == text


def test_left_is_where_the_column_is_smaller() -> None:
    asked = next(
        a
        for a in short_questions(SCENE, 400, np.random.default_rng(0))
        if " left of " in a.question and a.answer in ("Yes", "No")
    )
    first, second = mentions(asked.question)
    assert (asked.answer == "Yes") == (first == "car" and second == "dog")  # columns 0.5 and 2


def test_a_number_is_asked_for_where_both_can_be_seen() -> None:
    """Else "only one" would be true and "two" false four times of five."""
    rng = np.random.default_rng(0)
    assert number(Scene("street", SCENE.things[1:], seed=1), True, rng) is None
    asked = [number(SCENE, truth, rng) for truth in (True, False) for _ in range(100)]
    texts = Counter((a.question, a.answer) for a in asked if a)
    assert set(texts) == {
        ("Are there two cars?", "Yes"),
        ("Is there only one dog?", "Yes"),
        ("Are there two dogs?", "No"),
        ("Is there only one car?", "No"),
    }
    assert all(35 <= count <= 65 for count in texts.values())


def test_typical_share_by_hand() -> None:
    truth = [
        {"id": "0", "place": "street", "objects": ["car"]},
        {"id": "1", "place": "room", "objects": ["couch", "cat"]},
        {"id": "2", "place": "room", "objects": ["couch"]},  # not answered
    ]
    answers = {"0": "a car, a bus and an oven", "1": "a couch and a book"}
    share = typical_share(answers, truth)
    assert (share.value, share.hallucinated) == pytest.approx((100 * 2 / 3, 3))  # bus and book, not the oven
    assert share.low <= share.value <= share.high


@pytest.mark.parametrize(("named", "low", "high"), [("a bus", 51, 100), ("an oven", 0, 49)])
def test_a_share_of_all_or_none_has_an_open_end(named: str, low: float, high: float) -> None:
    """One object in each of four scenes: Wilson's end is z^2 / (4 + z^2) = 3.8415 / 7.8415 = 48.99 % away. The fifth
    scene, of which nothing is hallucinated, has no share and is no trial."""
    truth = [{"id": str(i), "place": "street", "objects": ["car"]} for i in range(5)]
    share = typical_share({**{str(i): f"a car and {named}" for i in range(4)}, "4": "a car"}, truth)
    assert (share.value, share.hallucinated) == (100.0 if low else 0.0, 4)
    assert (share.low, share.high) == (pytest.approx(low, abs=0.05), pytest.approx(high, abs=0.05))


def test_the_share_of_one_scene_has_no_interval() -> None:
    share = typical_share({"0": "a car and a bus"}, [{"id": "0", "place": "street", "objects": ["car"]}])
    assert share.value == 100.0 and math.isnan(share.low) and math.isnan(share.high)


def test_priors_leave_room_for_hallucination() -> None:
    assert all(len(prior) == 6 for prior in PRIORS.values())
