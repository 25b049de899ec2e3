"""What judges and models say: the readers of lists, yes and no, ratings, grades, scores and thoughts."""

from __future__ import annotations

import re

from aligners.pair_hardness.llm_splitter import read_pieces
from aligners.pair_hardness.rule_splitter import RuleSplitter
from benchmarks.common.object_replies import read_objects, read_objects_officially, read_objects_tolerantly
from benchmarks.common.ratings import read_rating
from benchmarks.common.yes_no import read_yes_no
from benchmarks.llava_bench import read_scores, read_scores_officially
from benchmarks.mm_vet import read_grade, read_grade_officially
from benchmarks.mmhal import read_rating_officially
from benchmarks.pope import read_officially
from harness.protocols.reasoning import spoken, spoken_by_all
from tests.fuzz import mutation
from tests.fuzz.target import Target

DIGIT = re.compile(r"\d")
OBJECTS = ('["man", "dog"]', "[]", "()", '```json\n["a red bus"]\n```', 'Objects: ["cat"]\nThat is all.', '{"a": 1}')
RATINGS = (
    "Rating: 5", "**Rating**: 4", "Rating (0-6): **6**/6", "<rating>1", "Why.\n\nRating: 3, not 2", "rating is 0",
    "Rating: 6\nRating: 5\nRating: 4\nRating: 3\nRating: 2\nRating: 1\nRating: 0", "N/A", "Rating: 5-6",
    '{"rating": 4.0, "why": "x"}', "The answer said\nRating: 6", "> Rating: 6\nRating: 2",
)  # fmt: skip
GRADES = (
    "0.7",
    "**0.7**",
    '{"grade": 0.5}',
    "Score: 1.0",
    "0.5/1",
    "1 out of 1",
    "0",
    "between 0.1 and 0.3",
    "70%",
    ".5",
)
SCORES = (
    "8 9",
    "8, 9\nBecause.",
    "[7.5 6]",
    "Assistant 1: 8\nAssistant 2: 9",
    "Scores: 8/10 and 9/10",
    "10,10",
    '{"assistant_1": 8, "assistant_2": 7}',
)
WORDS = (
    "Yes, there is.",
    "No.",
    "There are no dogs.",
    "yes",
    "There isn't a cat.",
    "Not at all",
    "The dog, no, the cat",
)
THOUGHTS = (
    "<think>hm</think>Yes", "<think>never ends", "ends</think>No", "<answer>0.7</answer>", "◁think▷a◁/think▷b",
    "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>y", "[THINK]a[/THINK]b", "yes",
)  # fmt: skip
PROSE = (
    "A man in a black and white shirt, e.g. a waiter, holds a cup while a dog sits by his side. There is no cat.",
    'The "red" bus (No. 5) stops; "two people" get on.)  It rains!\n\nA bird and a plane, with a kite.', "cat", "a, b",
)  # fmt: skip


def objects(reply: str) -> None:
    """Names come out of a list that is there; a reply without one names nothing."""
    for read in (read_objects, read_objects_tolerantly, read_objects_officially):
        names = read(reply)
        assert names is None or all(isinstance(name, str) for name in names)
        assert not names or any(mark in reply for mark in '["{')
    strict = read_objects(reply)
    assert strict is None or strict == read_objects_tolerantly(reply), "the tolerant reader reads what the strict does"


def rating(reply: str) -> None:
    """A rating is a whole number of the scale that the reply writes."""
    read = read_rating(reply)
    assert read is None or (type(read) is int and 0 <= read <= 6 and str(read) in reply)
    assert 0 <= read_rating_officially(reply) <= 6


def grade(reply: str) -> None:
    read = read_grade(reply)
    assert read is None or (0 <= read <= 1 and DIGIT.search(reply))
    read_grade_officially(reply)


def scores(reply: str) -> None:
    pair = read_scores(reply)
    assert pair is None or (all(1 <= score <= 10 for score in pair) and len(DIGIT.findall(reply)) >= 2)
    assert len(read_scores_officially(reply)) == 2


def yes_no(answer: str) -> None:
    """What is read is a word of the answer, or a sentence that stands for it."""
    words = answer.lower()
    for question in ("", "Is there a cat in the image?", "Is the cat black?"):
        said = read_yes_no(answer, question)
        stands = ("there", "see", "image", "picture", "photo", "scene", " is", " are", "ye", "yup", "of course", "n")
        assert said is None or said in words or any(cue in words for cue in stands)
        if len(answer.upper()) == len(answer):  # "ß" is two letters in capitals, so another word
            assert said is None or read_yes_no(answer.upper(), question) == said
    assert read_officially(answer) in ("yes", "no")


def thoughts(text: str) -> None:
    """Nothing is said that the text does not hold, and thoughts are not said."""
    said = spoken(text)
    assert len(said.text) + len(said.thoughts) <= len(text)
    assert not (said.unfinished and said.text)
    assert spoken_by_all({"a": (text, False), "b": ("c</think>d", True)}).keys() == {"a", "b"}


def pieces(text: str) -> None:
    """The pieces hold the words of the text, each once and in order."""
    (split,) = RuleSplitter().split([text])
    assert split
    assert re.findall(r"\w+", " ".join(split)) == re.findall(r"\w+", text) or not re.search(r"\w", text)


def listed_pieces(reply: str) -> None:
    read = read_pieces(reply)
    assert read is None or all(piece.strip() for piece in read)


def targets() -> list[Target]:
    """One a reader."""
    return [
        Target("object lists", OBJECTS, mutation.text, objects),
        Target("ratings", RATINGS, mutation.text, rating),
        Target("grades", GRADES, mutation.text, grade),
        Target("score pairs", SCORES, mutation.text, scores),
        Target("yes and no", WORDS, mutation.text, yes_no),
        Target("thoughts", THOUGHTS, mutation.text, thoughts),
        Target("rule splitter", PROSE, mutation.text, pieces, share=50),
        Target("split lists", OBJECTS, mutation.text, listed_pieces),
    ]
