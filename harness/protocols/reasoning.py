"""Reasoning models think before they speak: where a text becomes what is scored, of models under test and of judges.

The raw text is what is stored; what is scored of it is decided here, each time it is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key")

THOUGHTS = (
    (  # DeepSeek-R1, Qwen3, GLM, MiniMax, Seed-OSS; Gemini's endpoint, EXAONE; models trained after R1's recipe
        r"<(?:\w+:)?(?:think(?:ing)?|thoughts?|reasoning)>",
        r"</(?:\w+:)?(?:think(?:ing)?|thoughts?|reasoning)>",
    ),
    (r"◁think▷", r"◁/think▷"),  # Kimi-VL
    (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command A
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # Sky-T1, OpenThinker
    (r"<\|channel>thought\n?", r"<channel\|>"),  # Gemma 4
    (r"<unused94>(?:thought\n)?", r"<unused95>"),  # MedGemma 1.5
    (  # gpt-oss: everything before the final channel
        r"<\|channel\|>(?:analysis|commentary)\b[^<]*<\|message\|>",
        r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final\b[^<]*<\|message\|>",
    ),
    (r"\A\s*analysis(?=(?s:.*)assistantfinal)", r"assistantfinal"),  # gpt-oss behind a server that leaves out its marks
)
"""Marks around thoughts (beginning, end) as published models write them."""
OPEN_THOUGHT, CLOSED_THOUGHT = "<think>", "</think>"
"""Those that chat templates write into a prompt, and that ``model.thinking`` opens or closes there."""
WRAPPED = (
    (r"<answer>", r"</answer>"),
    (r"<response>", r"</response>"),
    (r"<\|begin_of_solution\|>", r"<\|end_of_solution\|>"),
    (r"<\|begin_of_box\|>", r"<\|end_of_box\|>"),
    (r"<\|START_RESPONSE\|>", r"<\|END_RESPONSE\|>"),
)
"""Marks around what is said after thoughts, left of it where a server takes the thoughts out itself."""
MARK = re.compile("|".join(mark for pair in THOUGHTS for mark in pair), re.IGNORECASE)
BEGINS = re.compile("(?:" + "|".join(begin for begin, _ in THOUGHTS) + ")$", re.IGNORECASE)
"""The end of a prompt whose template begins the thoughts."""
PARTS = frozenset({"<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|channel>", "<channel|>"})
"""Tokens that marks are put together from."""


@dataclass(frozen=True)
class Spoken:
    """A text without its thoughts.

    Args:
        text: what was said; the text as it came if it holds neither thoughts nor marks around the whole of it.
        thoughts: what was thought.
        unfinished: the text ends inside its thoughts: nothing was said.
        unopened: the thoughts were ended and not begun, as when the prompt began them.
    """

    text: str
    thoughts: str = ""
    unfinished: bool = False
    unopened: bool = False


def is_mark(token: str) -> bool:
    """Whether a special token of a tokeniser marks thoughts, or is part of such a mark."""
    return token in PARTS or MARK.fullmatch(token) is not None


def spoken(text: str) -> Spoken:
    """``text`` read by itself; ``spoken_by_all`` reads several of one model."""
    if not MARK.search(text):
        return Spoken(_unwrapped(text))
    thoughts: list[str] = []
    unopened = unfinished = False
    for begin, end in THOUGHTS:
        pattern = re.compile(f"{begin}(.*?){end}", re.DOTALL | re.IGNORECASE)
        last = max((found.end() for found in re.finditer(end, text, re.IGNORECASE)), default=0)
        head, tail = text[:last], text[last:]  # no beginning in the tail has an end, for which each would look
        thoughts += [found[1] for found in pattern.finditer(head)]
        text = pattern.sub("", head) + tail
        if ends := list(re.finditer(end, text, re.IGNORECASE)):
            thoughts.append(text[: ends[-1].start()])
            text, unopened = text[ends[-1].end() :], True
        if begun := re.search(begin, text, re.IGNORECASE):
            thoughts.append(text[begun.end() :])
            text, unfinished = "", True
    return Spoken(_unwrapped(text.strip()), "\n".join(t.strip() for t in thoughts if t.strip()), unfinished, unopened)


def spoken_by_all(texts: Mapping[Key, tuple[str, bool]]) -> dict[Key, Spoken]:
    """Texts of one model, each with whether it was cut at the token limit.

    Where thoughts that the prompt began are ended in one text, another one that was cut without such an end is still
    inside them, though nothing in it says so.
    """
    read = {key: spoken(text) for key, (text, _) in texts.items()}
    if not any(said.unopened for said in read.values()):
        return read
    return {
        key: Spoken("", said.text, unfinished=True) if texts[key][1] and not MARK.search(texts[key][0]) else said
        for key, said in read.items()
    }


def _unwrapped(text: str) -> str:
    """What is said within marks around the whole of ``text``; the text itself where there are none."""
    for begin, end in WRAPPED:
        if found := re.fullmatch(rf"\s*{begin}(.*?)(?:{end}\s*)?", text, re.DOTALL):
            return found[1].strip()
    return text
