"""Texts that already hold a chat template, or tokens of one: they would be trained on inside the model's own."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence

from aligners.pairs.rows import BadRow, Place, text_of

WRAPPED: tuple[tuple[re.Pattern[str], tuple[tuple[str, ...], ...]], ...] = (
    (re.compile(r"\bUSER:"), (("ASSISTANT:",),)),  # Vicuna, as mDPO's data have it
    (re.compile(r"<\|im_start\|>user\n"), (("<|im_end|>", "<|im_start|>assistant"),)),
    (re.compile(r"\b(?:Human|User):"), (("<end_of_utterance>", "Assistant:"), ("Assistant:",))),
    (
        re.compile(r"<\|start_header_id\|>user<\|end_header_id\|>\n"),
        (("<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>"),),
    ),
    (re.compile(r"<\|user\|>\n"), (("<|end|>", "<|assistant|>"), ("<|assistant|>",))),  # Phi, GLM
    (re.compile(r"\[INST\]"), (("[/INST]",),)),
    (re.compile(r"<start_of_turn>user\n"), (("<end_of_turn>", "<start_of_turn>model"),)),
    (
        re.compile(r"### ?(?:Human|Instruction):"),
        (("### Assistant:",), ("###Assistant:",), ("### Response:",), ("###Response:",)),
    ),
)
"""What stands before the first question, and what the text ends with: one of several, in parts with blanks between."""
CONTROL = re.compile(
    r"<\|(?:im_(?:start|end|sep)|(?:start|end)_header_id|e(?:ot|om)_id|(?:begin|end)_of_text|(?:start|end)oftext|user|"
    r"assistant|system|end|eot)\|>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|<(?:bos|eos|end_of_utterance)>|"
    r"<｜(?:begin▁of▁sentence|end▁of▁sentence|User|Assistant)｜>"
)
"""Tokens by which chat templates in use begin and end turns."""
END = "</s>", "<s>"
"""The end of Llama's texts, which is struck-out text of a page where the beginning stands before it."""
PLACES = re.compile(r"<(?:bbox|ref-object)>")
"""What ms-swift fills with boxes and names of the column ``objects`` before it trains."""
SPEAKER = re.compile(r"(?:#{1,4} ?)?(?:Human|User|USER|Assistant|ASSISTANT|Response) ?:")
"""A label of who speaks, which a template writes before a turn."""


def question_of(text: str, place: Place, *, unwrap: bool) -> str:
    """``text``, or with ``unwrap`` the question inside its template.

    Raises BadRow for a text that ends where an answer begins and is not unwrapped, or holds several turns.
    """
    found = (_inside(text, before, after) for before, endings in WRAPPED for after in endings)
    asked = next(filter(None, found), None)
    if asked is None:
        return text
    if not unwrap:
        raise BadRow(
            place, "the prompt holds a chat template (it ends where the assistant's answer begins); the model's own "
            "would be put around it. Set unwrap_prompts=true to take the question out of it."
        )  # fmt: skip
    if control_token(asked) or any(mark in asked for mark in ("USER:", "ASSISTANT:", "Human:", "User:", "###")):
        raise BadRow(place, "the prompt holds a chat template of several turns: give them as messages.")
    return text_of(asked, "question", place)


def control_token(text: str) -> str:
    """The first token of a chat template that ``text`` holds; "" for none. What is its model's own, another may not
    know: it would be trained to spell it."""
    if found := CONTROL.search(text):
        return found[0]
    return END[0] if text.rstrip().endswith(END[0]) and END[1] not in text else ""


def begins_as_a_turn(question: str, *answers: str) -> str:
    """What all ``answers`` begin with that is no part of them: the question, who speaks, a bracket; else ""."""
    if all(answer.startswith(question) and not answer[len(question) :][:1].isalnum() for answer in answers):
        return "the question"
    if all(SPEAKER.match(answer) for answer in answers):
        return "a label of who speaks"
    return "the bracket of a JSON list of one text" if all(_is_list_of_one(answer) for answer in answers) else ""


def _is_list_of_one(answer: str) -> bool:
    """Whether a text is what JSON makes of a list with one text, as HA-DPO's answers are lists."""
    with contextlib.suppress(ValueError):
        value = json.loads(answer) if answer.startswith("[") and answer.endswith("]") else None
        return isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)
    return False


def _inside(text: str, before: re.Pattern[str], after: Sequence[str]) -> str:
    """What stands between ``before`` and the ``after`` that ``text`` ends with; "" where it does not."""
    rest = text.rstrip()
    for part in reversed(after):
        if not rest.endswith(part):
            return ""
        rest = rest.removesuffix(part).rstrip()
    start = before.search(rest)
    return rest[start.end() :].strip() if start else ""
