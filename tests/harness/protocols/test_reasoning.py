"""Thoughts as published models write them, and what is left when they are left out."""

from __future__ import annotations

import pytest

from harness.protocols.reasoning import spoken, spoken_by_all

HARMONY = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("text", "said", "thought"),
    [
        ("A dog.\n", "A dog.\n", ""),
        ("2 < 3 and <b>think</b>", "2 < 3 and <b>think</b>", ""),
        ("<think>\nIs it 2? Rating: 2\n</think>\n\nRating: 4", "Rating: 4", "Is it 2? Rating: 2"),
        ("<think>\n\n</think>\n\nYes", "Yes", ""),
        ("Is it 2?</think>Rating: 4", "Rating: 4", "Is it 2?"),
        ("<think>a</think>Yes <think>b</think>", "Yes", "a\nb"),
        ("<thought>Rating: 2</thought>\nRating: 4", "Rating: 4", "Rating: 2"),
        ("<reasoning>\nRating: 2\n</reasoning>\n<answer>\nRating: 4\n</answer>", "Rating: 4", "Rating: 2"),
        ("<seed:think>hm</seed:think>Yes", "Yes", "hm"),
        ("◁think▷hm◁/think▷Yes", "Yes", "hm"),
        ("[THINK]hm[/THINK]Yes", "Yes", "hm"),
        ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Yes<|END_RESPONSE|>", "Yes", "hm"),
        ("<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>Yes<|end_of_solution|>", "Yes", "hm"),
        ("<|channel>thought\nhm<channel|>Yes", "Yes", "hm"),
        ("<unused94>thought\nhm<unused95>Yes", "Yes", "hm"),
        ("<thoughts>hm</thoughts>Yes", "Yes", "hm"),
        (f"{HARMONY}Yes", "Yes", "hm"),
        ("analysisIs it 2? Rating: 2assistantfinalRating: 4", "Rating: 4", "Is it 2? Rating: 2"),
        ("Analysis: the final word is the assistant's.", "Analysis: the final word is the assistant's.", ""),
        ("<think>hm</think><answer> Yes </answer>", "Yes", "hm"),
        ("<answer>Yes</answer>", "Yes", ""),
    ],
)
def test_what_is_said_is_read_without_the_thoughts(text: str, said: str, thought: str) -> None:
    read = spoken(text)
    assert (read.text, read.thoughts, read.unfinished) == (said, thought, False)


@pytest.mark.parametrize(
    "text",
    [
        "<think>Is it 2? Rating: 2",
        "<thought>\nRating: 2",
        "[THINK]hm",
        "<|channel|>analysis<|message|>hm",
        "<think>a</think><think>b",
        "<unused94>thought\nRating: 2",
    ],
)
def test_a_text_that_ends_inside_its_thoughts_says_nothing(text: str) -> None:
    assert (spoken(text).text, spoken(text).unfinished) == ("", True)


def test_thoughts_that_the_prompt_began_are_known_by_the_other_texts_of_the_model() -> None:
    """Such a model's template ends in <think>, so that a text that is cut inside them holds no mark at all."""
    whole, cut = ("hm</think>Yes", False), ("I see a dog and", True)
    read = spoken_by_all({"a": whole, "b": cut, "c": ("No", False)})
    assert [(said.text, said.unfinished) for said in read.values()] == [("Yes", False), ("", True), ("No", False)]
    assert spoken_by_all({"b": cut})["b"].text == "I see a dog and", "cut, and of a model that does not think"
