"""The one reading of yes and no: first words, denials, stated answers, and what is there or is not."""

from __future__ import annotations

import pytest

from benchmarks.common.yes_no import read_yes_no

DOG = "Is there a dog in the image?\nAnswer the question using a single word or phrase."
TWO = "Are there two umbrellas in this image?"
TOUCH = "Is there direct contact between the dog and ground in this image?"
SKY = "Is the sky sunny in this image?"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes.", "yes"),
        (" **no**, there is none", "no"),
        ("_No_", "no"),
        ("YES!", "yes"),
        ("Yes, there is.", "yes"),
        ("Yes, is there anything else?", "yes"),
        ("Yes. No cat is seen.", "yes"),
        ("\u201cNo\u201d, I think", "no"),
        ("\ufeffNO", "no"),
        ("No-one is there", "no"),
        ("Nope.", "no"),
        ("Yeah", "yes"),
        ("Not visible", "no"),
        ("Not at all.", "no"),
        ("Definitely not.", "no"),
        ("Of course, yes", "yes"),
        ("The answer is no.", "no"),
        ("The dog lies on the grass, so the answer is **Yes**.", "yes"),
        ("Answer: No", "no"),
        ("Is there a dog in the image? No, there is not.", "no"),
        ("\tYes\r\nIt stands there.", "yes"),
    ],
)
def test_what_says_yes_or_no_is_read_whatever_was_asked(answer: str, said: str) -> None:
    assert [read_yes_no(answer, question) for question in ("", "?", DOG, TWO, SKY)] == [said] * 5


@pytest.mark.parametrize(
    "answer",
    [
        *("", "Nothing", "Yesterday", "Maybe", "Not", "Not sure", "Not visible enough to say", "I think yes", "1. Yes"),
        *("No idea", "No way to tell.", "No doubt, there is a dog", "No image was provided", "No longer"),
        *("(yes) or no", "Yes/No", "Yes and no", "The answer is yes or no", "Yes. The answer is no."),
        *("It is unclear. No evidence.", "It is not clear", "I cannot see any", "Certainly! I can help."),
        *(
            "There may be a dog",
            "There is a chance of a dog",
            "There are not enough details",
            "There is nothing like it",
        ),
        *("There is no way to tell", "Yes\0", "\x1b[31mNo"),
    ],
)
def test_what_says_neither_or_both_is_not_guessed(answer: str) -> None:
    assert read_yes_no(answer) is None and read_yes_no(answer, DOG) is None


@pytest.mark.parametrize(
    ("answer", "question", "said"),
    [
        ("There is a dog.", DOG, "yes"),
        ("There are two dogs and a cat", DOG, "yes"),
        ("There appears to be a dog on the bench.", DOG, "yes"),
        ("I can see a dog", DOG, "yes"),
        ("There is.", DOG, "yes"),
        ("There is no dog.", DOG, "no"),
        ("There isn\u2019t one", DOG, "no"),
        ("There are no cats or dogs", DOG, "no"),
        ("There is none.", DOG, "no"),
        ("I don't see a dog in this image", DOG, "no"),
        ("The image does not contain a dog.", DOG, "no"),
        ("The image shows no dog", DOG, "no"),
        ("The dog is not visible.", DOG, "no"),
        ("There is a cat.", DOG, None),
        ("There is a cat, but no dog", DOG, None),
        ("There is no cat.", DOG, None),
        ("There are two umbrellas", TWO, "yes"),
        ("There are two.", TWO, "yes"),
        ("There are three umbrellas", TWO, None),
        ("There are no umbrellas", TWO, "no"),
        ("There is direct contact.", TOUCH, "yes"),
        ("There is no direct contact", TOUCH, "no"),
        ("There is a gap", TOUCH, None),
        ("There is no gap between them", TOUCH, None),
        ("There is a sunny sky", SKY, None),
        ("There is no sky", SKY, "no"),
        ("There are no clouds", SKY, None),
        ("There is no dog.", "", "no"),
        ("There are two dogs.", "", "yes"),
        ("There is no dog.", "?", "no"),
    ],
)
def test_a_sentence_on_what_is_there_answers_a_question_about_the_same_thing(
    answer: str, question: str, said: str | None
) -> None:
    assert read_yes_no(answer, question) == said
