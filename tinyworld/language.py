"""What is said about scenes: captions, questions and answers, and the words they are made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyworld.scenes import COLORS, NUMBERS, OBJECTS, PLACES, PRIORS, Scene

PROMPTS = (
    "Describe this image.",
    "Describe this image in detail.",
    "What is in this image?",
    "What do you see in this picture?",
)
PLURALS = {
    name: {"person": "persons", "sheep": "sheep", "bus": "buses", "couch": "couches"}.get(name, name + "s")
    for name in OBJECTS
}
ROLL_CALL = "What color is there?"
SINGULAR = {**{plural: name for name, plural in PLURALS.items()}, **{name: name for name in OBJECTS}}
_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Words and punctuation marks in order."""
    return _WORD.findall(text)


def article(name: str) -> str:
    """The name with its indefinite article."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def caption(
    place: str, names: Sequence[str], scene: Scene | None = None, absent: Mapping[str, int] | None = None
) -> str:
    """A caption that mentions ``names`` in order, as many of each as ``scene`` shows.

    Of what it does not show there are as many as ``absent`` says, or one. One sentence an object, so that a bias on the
    end-of-sequence logit decides how many are named.
    """
    shown = {thing.name: thing.count for thing in scene.things} if scene else {}
    counts = {**(absent or {}), **shown}
    phrases = [f"two {PLURALS[n]}" if counts.get(n, 1) == 2 else article(n) for n in names]
    return " ".join(f"{phrase.capitalize()}." for phrase in (article(place), *phrases))


def mentions(text: str) -> list[str]:
    """Objects named in ``text``, each once, in order."""
    return list(dict.fromkeys(SINGULAR[word] for word in words(text.lower()) if word in SINGULAR))


def careless_caption(scene: Scene, rate: float, rng: np.random.Generator) -> str:
    """A caption as careless annotators write it.

    Most of what is there, in any order, and with probability ``rate`` one or two objects that are typical of the place
    and absent, drawn by how usual they are. These come last, as in real captions (LURE, arXiv 2310.00754).
    """
    seen = [name for name in scene.names if rng.random() < 0.85] or list(scene.names[:1])
    names = [seen[i] for i in rng.permutation(len(seen))]
    if (usual := scene.absent_typical) and rng.random() < rate:
        prior = np.array([PRIORS[scene.place][name] for name in usual])
        count = min(1 + int(rng.random() < 0.4), len(usual))
        names += [str(n) for n in rng.choice(usual, count, replace=False, p=prior / prior.sum())]
    return caption(scene.place, names, scene)


def roll_call(scene: Scene, rng: np.random.Generator) -> str:
    """Objects that are there with their colour, and as many that are not, in any order: "car red. kite no."

    What follows a name is known from the image alone, where that object stands: so the model learns to look for it.
    """
    colors = {thing.name: thing.color for thing in scene.things}
    absent = rng.choice([name for name in OBJECTS if name not in colors], len(colors), replace=False)
    return " ".join(f"{name} {colors.get(str(name), 'no')}." for name in rng.permutation([*colors, *absent]))


@dataclass(frozen=True)
class Asked:
    """A question with its true answer. ``kind`` is existence, state, number, relation, or a type of MMHal-Bench.

    ``expect`` are the words that make an answer right, ``options`` those of which any other is wrong.
    """

    kind: str
    question: str
    answer: str
    expect: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def _yes_no(kind: str, question: str, truth: bool) -> Asked:
    answer = "Yes" if truth else "No"
    return Asked(kind, question, answer, (answer.lower(),), ("yes", "no"))


def existence(name: str, truth: bool) -> Asked:
    return _yes_no("existence", f"Is there {article(name)} in this image?", truth)


def state(scene: Scene, truth: bool, rng: np.random.Generator) -> Asked:
    """Whether some thing has a colour."""
    thing = scene.things[rng.integers(len(scene.things))]
    color = thing.color if truth else str(rng.choice([c for c in COLORS if c != thing.color]))
    return _yes_no("state", f"Is the {thing.name} {color}?", truth)


def number(scene: Scene, truth: bool, rng: np.random.Generator) -> Asked | None:
    """Whether there are so many of some thing; None where not both numbers are to be seen.

    Elsewhere the number that is asked for would give the answer away: most things are there once.
    """
    if len({thing.count for thing in scene.things}) < len(NUMBERS):
        return None
    asked = 1 + int(rng.integers(len(NUMBERS)))
    able = [thing for thing in scene.things if (thing.count == asked) == truth]
    thing = able[rng.integers(len(able))]
    what = f"Is there only one {thing.name}" if asked == 1 else f"Are there two {PLURALS[thing.name]}"
    return _yes_no("number", f"{what}?", truth)


def relation(scene: Scene, truth: bool, rng: np.random.Generator) -> Asked | None:
    """Whether one thing stands left of another; None where no two things differ enough in their column."""
    apart = [(a, b) for a in scene.things for b in scene.things if a.column + 0.9 < b.column]
    if not apart:
        return None
    left, right = apart[rng.integers(len(apart))]
    first, second = (left, right) if truth else (right, left)
    return _yes_no("relation", f"Is the {first.name} to the left of the {second.name}?", truth)


def open_question(kind: str, scene: Scene, rng: np.random.Generator) -> Asked | None:
    """A question of one of MMHal-Bench's eight types; None where the scene allows none."""
    thing = scene.things[rng.integers(len(scene.things))]
    if kind == "attribute":
        question = f"What color is the {thing.name}?"
        return Asked(kind, question, f"The {thing.name} is {thing.color}.", (thing.color,), COLORS)
    if kind == "adversarial":
        absent = scene.absent_typical or tuple(n for n in OBJECTS if n not in scene.names)
        name = str(rng.choice(absent))
        return Asked(kind, f"What color is the {name}?", f"There is no {name} in this image.", ("no",), ("no", *COLORS))
    if kind == "comparison":
        asked = relation(scene, bool(rng.integers(2)), rng)
        return asked and Asked(kind, asked.question, asked.answer, asked.expect, asked.options)
    if kind == "counting":
        what = PLURALS[thing.name]
        verb, noun = ("is", thing.name) if thing.count == 1 else ("are", what)
        count = NUMBERS[thing.count - 1]
        return Asked(kind, f"How many {what} are there?", f"There {verb} {count} {noun}.", (count,), NUMBERS)
    if kind == "relation":
        asked = relation(scene, True, rng)
        if asked is None:
            return None
        of = mentions(asked.question)[1]
        column = next(t.column for t in scene.things if t.name == of)
        left_of = [t.name for t in scene.things if t.column + 0.9 < column]
        answer = f"There is {article(left_of[0])} to the left of the {of}."
        return Asked(kind, f"What is to the left of the {of}?", answer, tuple(left_of), OBJECTS)
    if kind == "environment":
        return Asked(kind, "Where is this?", f"This is a {scene.place}.", (scene.place,), PLACES)
    if kind == "holistic":
        return Asked(kind, PROMPTS[1], caption(scene.place, scene.names, scene), scene.names, OBJECTS)
    truth = bool(rng.integers(2)) and bool(scene.absent_typical)
    name = str(rng.choice(scene.names if truth else scene.absent_typical or ("kite",)))
    asked = existence(name, name in scene.names)
    return Asked(kind, asked.question, asked.answer, asked.expect, asked.options)


MMHAL_TYPES = (
    "attribute", "adversarial", "comparison", "counting", "relation", "environment", "holistic", "other",
)  # fmt: skip


def yes_no_question(kind: str, scene: Scene, truth: bool, rng: np.random.Generator) -> Asked | None:
    """A question on existence, state or number whose answer is ``truth``; None where the scene allows none."""
    if kind == "existence":
        return existence(str(rng.choice(scene.names if truth else scene.absent_typical)), truth)
    return {"state": state, "number": number}[kind](scene, truth, rng)


SHORT = {"color": 0.3, "existence": 0.25, "state": 0.25, "number": 0.1, "open": 0.1}
"""The kinds of short questions and their shares; "color" asks for that of an object, which half the time is absent."""
LOOKED_FOR = {"color": 0.4, "existence": 0.3, "state": 0.3}
"""The same while the model learns to look: those that an object of the image answers."""
TAKEN_FOR_THERE = 1.2
"""How often careless annotators say of an absent object that it is there, as a multiple of how usual it is."""


def short_question(scene: Scene, kind: str, truth: bool, rng: np.random.Generator) -> Asked | None:
    """A question of a kind of ``SHORT``; None where the scene allows none."""
    if kind == "color":
        return open_question("attribute" if truth else "adversarial", scene, rng)
    if kind == "open":
        return open_question(MMHAL_TYPES[rng.integers(6)], scene, rng)
    return yes_no_question(kind, scene, truth, rng)


def short_questions(
    scene: Scene, count: int, rng: np.random.Generator, kinds: Mapping[str, float] = SHORT, *, careless: bool = False
) -> list[Asked]:
    """``count`` questions with short answers, of ``kinds`` with their shares.

    ``careless``: answered as careless annotators do, who take for there what is usual in such a place.
    """
    questions: list[Asked] = []
    while len(questions) < count:
        kind, truth = str(rng.choice(list(kinds), p=list(kinds.values()))), bool(rng.integers(2))
        asked = short_question(scene, kind, truth, rng)
        if asked is None:
            continue
        if careless and kind == "existence" and not truth:
            usual = PRIORS[scene.place].get(mentions(asked.question)[0], 0.0)
            asked = existence(mentions(asked.question)[0], bool(rng.random() < TAKEN_FOR_THERE * usual))
        questions.append(asked)
    return questions


SPECIAL = ("<pad>", "<s>", "<unk>", "<image>")
END = "</s>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %} "
    "{% else %}ASSISTANT: {% for part in message['content'] %}{{ part['text'] }}{% endfor %}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
_FRAMES = """USER ASSISTANT : , . ? A An a an and with Is there in this image Are only one two the to left of
What color is no There are How many Where This Yes No Describe right"""


def phrases() -> list[str]:
    """What a sentence of a caption says, a token each.

    A caption's next token is then an object or the end of sequence: to name it or to stop is one decision.
    """
    one = [article(name).capitalize() for name in (*PLACES, *OBJECTS)]
    return one + [f"Two {plural}" for plural in PLURALS.values()]


def vocabulary() -> dict[str, int]:
    """Every word and phrase of the world and its id.

    The end of sequence comes last: CLIP pools where the id is highest.
    """
    frames = [*words(_FRAMES), *(w for prompt in PROMPTS for w in words(prompt))]
    known = [*frames, "The", *COLORS, *NUMBERS, "Two", *PLACES, *OBJECTS, *PLURALS.values(), *phrases()]
    return {word: i for i, word in enumerate([*SPECIAL, *dict.fromkeys(known), END])}


def make_tokenizer(frame: str = "<s> $A") -> Any:
    """A PreTrainedTokenizerFast of words and phrases; ``frame`` says which special tokens go around a text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab = vocabulary()
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    token = rf"\b(?:{'|'.join(phrases())})\b|\w+|[^\w\s]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(token), "removed", invert=True)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=frame, special_tokens=[("<s>", vocab["<s>"]), (END, vocab[END])]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token=END,
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )


def save_tokenizer(folder: Path, frame: str) -> None:
    """Write the tokenizer's files to ``folder``."""
    make_tokenizer(frame).save_pretrained(folder)
