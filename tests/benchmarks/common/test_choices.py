"""Which option an answer takes: a letter that is meant as one, or one option's text; nothing is guessed."""

from __future__ import annotations

import pytest

from benchmarks.common.choices import options_of, read_choice

ANIMALS = {"A": "a dog", "B": "a black cat", "C": "a cow", "D": "none"}


@pytest.mark.parametrize(
    "question",
    [
        "What is it?\nOptions: A: a dog, B: a black cat, C: a cow, D: none",
        "Hint: a letter, e.g., A, B, C, D.\nWhat is it?\nChoices:\n(A) a dog\n(B) a black cat\n(C) a cow\n(D)none",
        "Hint: give the letter, e.g., A, B, C, D.\nWhat is it?\n(A) a dog\n(B) a black cat\n(C) a cow\n(D) none",
        "Which options: are there?\nOptions:\nA. a dog\nB. a black cat\nC. a cow\nD. none",
    ],
)
def test_the_options_of_a_question_in_every_way_of_writing_them(question: str) -> None:
    assert options_of(question) == ANIMALS


def test_letters_and_commas_inside_the_options_begin_none() -> None:
    asked = "Which?\nOptions: A: from B to C, at once, B: vitamin A: a lot, C: x = 1, y = 2"
    assert options_of(asked) == {"A": "from B to C, at once", "B": "vitamin A: a lot", "C": "x = 1, y = 2"}
    assert options_of("Is it A or B?") == {} and options_of("Options: A: only one") == {}


TAKES_B = r"""
B
b
B.
(B)
b)
**B**
B: a black cat
(B) a black cat
B. It is a cat or a dog
B, since it is black
Option B
option b
Answer: B
The answer is B.
The correct answer is (B).
the answer is: B
So the correct option is B because of its tail.
Thus \boxed{B}
\boxed{\text{B}}
B is the correct answer
A black cat
a black cat.
The answer is B. The answer is B.
It is black. | B
It has paws. | Answer: B
B | A: no paws | C: no horns
"""
TAKES_NONE = """
A dog is seen
A cat
Because
Don't know
Cannot say
E
(F)
A or B
A, B
A/B
A and C
(A) or (B)
The answer is A or B.
The answer is A dog
The answer is not B.
The answer is B. | The answer is C.
A: a dog | B: a black cat
B | C
a dog or a cow
the options
Be sure
d'oh
...
"""


def lines(texts: str) -> list[str]:
    """The answers of a list, one a line; a bar is an end of a line."""
    return [line.replace(" | ", "\n") for line in texts.strip().splitlines()]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        *((each, "B") for each in lines(TAKES_B)),
        ("A", "A"),
        ("a", "A"),
        ("A: a dog", "A"),
        ("none", "D"),
        (" B\n", "B"),
    ],
)
def test_a_letter_or_the_text_of_one_option_is_read(answer: str, letter: str) -> None:
    assert read_choice(answer, ANIMALS) == letter


@pytest.mark.parametrize("answer", ["", *lines(TAKES_NONE)])
def test_several_none_and_words_that_begin_with_a_letter_are_not_read(answer: str) -> None:
    assert read_choice(answer, ANIMALS) is None


def test_a_letter_that_is_not_offered_is_none_and_so_is_a_text_that_two_options_have() -> None:
    assert read_choice("D", {"A": "1", "B": "2", "C": "3"}) is None
    assert read_choice("same", {"A": "same", "B": "same"}) is None
    assert read_choice("", {"A": "", "B": ""}) is None
