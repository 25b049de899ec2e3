"""The one reading of yes and no: first words, denials, stated answers, and what is there or is not."""

from __future__ import annotations

import json

import pytest

from benchmarks.common.yes_no import read_yes_no
from tests.shared import shared

DOG = "Is there a dog in the image?\nAnswer the question using a single word or phrase."
SEE = "Can you see a dog in this image? Please answer only with yes or no."
SIGN = "Is there a stop sign in the image?"
TWO = "Are there two umbrellas in this image?"
TOUCH = "Is there direct contact between the dog and ground in this image?"
SKY = "Is the sky sunny in this image?"
MEDALS = "According to the image, did the United States win 42 more gold medals than Norway?"


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
        ("Definitely.", "yes"),
        ("Of course, yes", "yes"),
        ("The answer is no.", "no"),
        ("The dog lies on the grass, so the answer is **Yes**.", "yes"),
        ("Answer: No", "no"),
        ("Is there a dog in the image? No, there is not.", "no"),
        ("\tYes\r\nIt stands there.", "yes"),
        ("No\nExplanation: it is a cat", "no"),
        ("No there is not", "no"),
        ("The answer is no because it is a cat", "no"),
        ("**Answer:**\n**No**", "no"),
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
        ("The dog is not in the image.", DOG, "no"),
        ("A dog is visible.", DOG, "yes"),
        ("I cannot see a dog", DOG, "no"),
        ("I can't see the picture", DOG, None),
        ("There are three.", DOG, "yes"),
        ("There is a dog", SEE, "yes"),
        ("I cannot see a dog", SEE, "no"),
        ("There is a cat.", SEE, None),
        ("There is a stop sign", SIGN, "yes"),
        ("There is no stop sign", SIGN, "no"),
        ("There is no sign of a dog", DOG, None),
        ("There is a cat.", DOG, None),
        ("There is a cat, but no dog", DOG, None),
        ("There is no cat.", DOG, None),
        ("There are two umbrellas", TWO, "yes"),
        ("There are two.", TWO, "yes"),
        ("There are three umbrellas", TWO, None),
        ("There are twenty-two umbrellas", TWO, None),
        ("There are no umbrellas", TWO, "no"),
        ("There is direct contact.", TOUCH, "yes"),
        ("There is no direct contact", TOUCH, "no"),
        ("There is a gap", TOUCH, None),
        ("There is no gap between them", TOUCH, None),
        ("There is a sunny sky", SKY, None),
        ("There is no sky", SKY, "no"),
        ("There is no chart", "According to the chart, is A larger?", None),
        ("The chart is not shown", "According to the chart, is A larger?", None),
        ("There is no chart", "Is there a chart in this image?", "no"),
        ("No dogs in sight", DOG, "no"),
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


@pytest.mark.parametrize(
    "answer",
    [
        "I cannot answer. No figure was given.",
        "I cannot answer, no figure was given.",
        "The answer: no image was shared",
        "There is no image.",
        "The image is not shown",
        "I don't see the figure",
        "There is no doubt about the medals",
        "There is not enough information about the medals",
        "The medals are not shown clearly",
        "There are no medals other than these",
        "No image was shared",
        "**No** picture is attached",
        "No one can tell",
        "No-one can tell",
        "No matter what, there's a dog",
        "No surprise: yes",
        "Absolutely not enough to say",
    ],
)
def test_doubt_says_nothing_to_any_kind_of_question(answer: str) -> None:
    assert [read_yes_no(answer, question) for question in (TOUCH, SKY, MEDALS)] == [None] * 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("The image does not show a cat but a dog", None),
        ("There are no animals but a dog", None),
        ("There's not only a dog", None),
        ("There is no dog, just a dog's toy", None),
        ("The dog is not here but in the background", None),
        ("Not here but in the background", None),
        ("No objects other than the dog are visible", None),
        ("No cat is visible", None),
        ("Definitely not a cat", None),
        ("There is a hot dog", None),
        ("There is no hot dog", None),
        ("There is a dog house", None),
        ("There is a picture of a dog", None),
        ("There is no brown dog", None),
        ("There is a dog or a cat", None),
        ("There is a dog bed", None),
        ("There is a dog-shaped cloud", None),
        ("There is a dog?", None),
        ("There is almost a dog", None),
        ("There is no dog on the left", None),
        ("No dog with a collar is visible", None),
        ("There is no dog that isn't brown", None),
        ("The dog is not in the house", None),
        ("The dog is not here to bite", None),
        ("There is no dog in this image of a garden", "no"),
        ("There is no dog that I can see", "no"),
        ("There is no dog. There are two dogs.", None),
        ("I don't see a dog, I see two", None),
        ("There is no dog in the image, but there is a cat", "no"),
        ("There is no dog, but there is one on the right", None),
        ("There is no dog, but there are two dogs", None),
        ("There is a man with a brown dog sitting by him", "yes"),
        ("There is a group of dogs", "yes"),
        ("No dog", "no"),
        ("No dogs are visible.", "no"),
        ("**No** dog is present in the image", "no"),
        ("Definitely not a dog", "no"),
        ("There is no dog visible", "no"),
        ("The answer: no dog", "no"),
    ],
)
def test_a_sentence_that_limits_or_turns_its_denial_answers_nothing(answer: str, said: str | None) -> None:
    assert read_yes_no(answer, DOG) == said


def test_it_is_not_shown_answers_only_what_is_there() -> None:
    assert [read_yes_no("It is not shown", each) for each in (DOG, SKY, MEDALS)] == ["no", None, None]


def test_a_compound_noun_is_asked_for_as_a_whole() -> None:
    asked = "Is there a hot dog in the image?"
    answers = ("There is a hot dog", "There is no hot dog", "There is a dog")
    assert [read_yes_no(answer, asked) for answer in answers] == ["yes", "no", None]


@pytest.mark.needs("reference")
def test_no_doubt_is_read_as_an_answer_to_any_question_of_two_benchmarks() -> None:
    """1,129 questions of HallusionBench and 14,216 of AMBER."""
    figures = json.loads(shared("data/hallusion_bench/HallusionBench.json").read_text())
    queries = json.loads(shared("data/amber/query_all.json").read_text())
    asked = [row["question"] for row in figures] + [row["query"] for row in queries[1004:]]
    assert len(asked) == 1129 + 14216
    doubts = ("There is no image.", "No figure was given", "I don't see it clearly", "There is no information")
    assert [(doubt, each) for each in set(asked) for doubt in doubts if read_yes_no(doubt, each)] == []
