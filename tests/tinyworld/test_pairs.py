"""Preference pairs from samples: neither length, place nor prior tells chosen from rejected."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tinyworld.language import PROMPTS, careless_caption, mentions
from tinyworld.pairs import WorldPair, make_pairs, merit, pair_kinds, quality
from tinyworld.scenes import Scene, Thing, draw_scenes

STREET = Scene("street", (Thing("car", "red", (0, 4)), Thing("dog", "blue", (8,))), seed=1)


def pairs(easy_share: float, count: int = 400) -> tuple[list[Scene], list[WorldPair]]:
    scenes, rng = draw_scenes(count, 0, 1), np.random.default_rng(0)
    samples = [[careless_caption(scene, 0.7, rng) for _ in range(6)] for scene in scenes]
    return scenes, make_pairs(scenes, samples, [PROMPTS[0]] * count, easy_share=easy_share, question_share=0.0, seed=0)


def test_of_equally_true_samples_the_fuller_is_chosen() -> None:
    assert quality("A street. A car. A bus.", STREET) == 0.5
    full, short = "A street. Two cars. A dog.", "A street. A dog."
    assert merit(full, STREET) > merit(short, STREET) > merit("A street. Two cars. A dog. A bus.", STREET)


def test_a_hard_pair_differs_in_one_object_and_not_in_number() -> None:
    scenes, found = pairs(easy_share=0.0)
    assert len(found) > 300
    for pair in found:
        there = scenes[pair.scene].names
        chosen, rejected = mentions(pair.chosen), mentions(pair.rejected)
        assert len(chosen) == len(rejected) and pair.chosen.count("Two") == pair.rejected.count("Two")
        (true,), (absent,) = set(chosen) - set(rejected), set(rejected) - set(chosen)
        assert true in there and absent not in there


def test_no_object_is_rejected_for_being_usual() -> None:
    scenes, found = pairs(easy_share=0.0)
    lean: Counter[tuple[str, str]] = Counter()
    for pair in found:
        place, chosen, rejected = scenes[pair.scene].place, set(mentions(pair.chosen)), set(mentions(pair.rejected))
        lean.update((place, name) for name in chosen - rejected)
        lean.subtract((place, name) for name in rejected - chosen)
    assert sum(abs(value) for value in lean.values()) < 0.2 * len(found)


def test_an_easy_pair_never_rejects_an_answer_to_its_own_image() -> None:
    twin = Scene("street", (Thing("bus", "red", (1,)), Thing("truck", "blue", (2,))), seed=2)
    samples = [["A street. Two cars. A dog.", "A street. A person. A bicycle."], ["A street. A car. A kite."]]
    found = make_pairs([STREET, twin], samples, ["?", "?"], easy_share=1.0, question_share=0.0, seed=0)
    assert [pair.rejected for pair in found if pair.scene == 0] == ["A street. A car. A kite."]
    assert not make_pairs([STREET], samples[:1], ["?"], easy_share=1.0, question_share=0.0, seed=0)


def test_an_easy_pair_rejects_an_answer_to_another_image_of_such_a_place() -> None:
    scenes, found = pairs(easy_share=1.0)
    assert len(found) > 200
    for pair in found:
        assert pair.rejected.split(". ")[0].split()[-1] == scenes[pair.scene].place
        assert pair.true_rejected <= pair.true_chosen / 2 < pair.true_chosen
        assert len(mentions(pair.chosen)) == len(mentions(pair.rejected))


def questions(count: int = 1200) -> tuple[list[Scene], list[WorldPair]]:
    scenes = draw_scenes(count, 0, 1)
    prompts = [PROMPTS[0]] * count
    return scenes, make_pairs(scenes, [[]] * count, prompts, easy_share=0.5, question_share=0.25, seed=0)


def test_a_share_of_the_pairs_answers_questions_truly() -> None:
    scenes, found = questions()
    assert len(found) == 300 and {pair.kind for pair in found} == {"question"}
    for pair in found:
        assert {pair.chosen, pair.rejected} == {"Yes", "No"}
        assert (pair.chosen == "Yes") == (mentions(pair.question)[0] in scenes[pair.scene].names)


def test_no_question_can_be_answered_without_a_look() -> None:
    """Half of the answers are "Yes", of all and of each of the 30 objects of a place."""
    scenes, found = questions()
    objects = Counter[tuple[str, str]]()
    for pair in found:
        objects[scenes[pair.scene].place, mentions(pair.question)[0]] += 1 if pair.chosen == "Yes" else -1
    assert abs(sum(objects.values())) <= 30
    assert len(objects) >= 28 and max(map(abs, objects.values())) <= 3


def test_each_kind_of_pair_has_its_share() -> None:
    kinds = Counter(pair_kinds(1200, 0.5, 0.25, 0))
    assert kinds == {"question": 300, "easy": 450, "hard": 450}
