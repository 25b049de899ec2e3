"""How the base model is trained: what it is shown, what is asked of it, how fast it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tinyworld.language import ROLL_CALL, mentions, short_questions
from tinyworld.llava import make_model, make_processor
from tinyworld.llava_training import (
    CAREFUL,
    Words,
    cells_shown,
    conversation,
    draw_kind,
    encode,
    learning_rate,
    look_loss,
)
from tinyworld.scenes import COLORS, OBJECTS, Scene, Thing

SCENE = Scene("street", (Thing("car", "red", (0, 4)), Thing("dog", "blue", (8,))), seed=1)


def test_a_cell_shows_an_object_and_its_colour_or_nothing() -> None:
    car, dog = [OBJECTS.index("car"), COLORS.index("red")], [OBJECTS.index("dog"), COLORS.index("blue")]
    empty = [len(OBJECTS), -100]
    assert cells_shown([SCENE])[0].tolist() == [car, empty, empty, empty, car, empty, empty, empty, dog]


def test_one_that_sees_nothing_guesses_among_the_words() -> None:
    """Image tokens of zeros: log 26 for what stands there, of 25 objects or none, and log 4 for its colour."""
    model, processor = make_model(), make_processor()
    for parameter in model.model.multi_modal_projector.parameters():
        torch.nn.init.zeros_(parameter)
    pixels = torch.zeros(1, 3, 96, 96)
    loss = look_loss(model, processor.tokenizer.get_vocab(), pixels, cells_shown([SCENE]))
    assert loss.item() == pytest.approx(np.log(26) + np.log(4), rel=1e-5)


def test_of_a_roll_call_the_names_are_given_and_the_colours_learned() -> None:
    tokenizer = make_processor().tokenizer
    names = set(tokenizer.convert_tokens_to_ids(list(OBJECTS)))
    _, labels = encode(Words(tokenizer), [(ROLL_CALL, "car red. kite no.")], names)
    assert tokenizer.convert_ids_to_tokens([label for label in labels if label != -100]) == [
        "red", ".", "no", ".", "</s>",
    ]  # fmt: skip


def test_a_text_is_tokenised_once_to_what_the_tokenizer_makes_of_it() -> None:
    tokenizer, asked = make_processor().tokenizer, []

    def counted(text: str, **options: Any) -> Any:
        asked.append(text)
        return tokenizer(text, **options)

    words = Words(counted)
    expected = tokenizer("Is there a car in this image?", add_special_tokens=False)["input_ids"]
    assert [words.ids("Is there a car in this image?") for _ in range(2)] == [expected, expected]
    assert len(asked) == 1


def test_answers_are_true_until_the_model_has_learned_to_look() -> None:
    rng = np.random.default_rng(0)
    early = {draw_kind(CAREFUL * share, rng) for share in np.linspace(0, 0.99, 200)}
    assert early == {"roll call", "true questions"}
    assert "caption" in {draw_kind(CAREFUL, rng) for _ in range(50)}
    for _ in range(50):
        for question, answer in conversation(SCENE, "true questions", 0.7, rng):
            if question.startswith("Is there a"):
                assert (answer == "Yes") == (mentions(question)[0] in ("car", "dog"))
    assert {asked.kind for asked in short_questions(SCENE, 200, rng)} > {"existence", "state", "number"}


def test_the_learning_rate_rises_stays_and_falls() -> None:
    """Of 1000 steps 30 of warm-up, then the highest until the last 40 %, of which half is left after 800."""
    assert [learning_rate(step, 1000) for step in (14, 29, 600, 800, 1000)] == pytest.approx([0.5, 1, 1, 0.5, 0])
