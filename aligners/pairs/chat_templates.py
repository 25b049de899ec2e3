"""Prompts that already hold a chat template: they would be trained on inside the model's own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aligners.pairs.rows import BadRow, Place, text_of

WRAPPED: tuple[tuple[re.Pattern[str], tuple[tuple[str, ...], ...]], ...] = (
    (re.compile(r"\bUSER:"), (("ASSISTANT:",),)),  # Vicuna, as mDPO's data have it
    (re.compile(r"<\|im_start\|>user\n"), (("<|im_end|>", "<|im_start|>assistant"),)),
    (re.compile(r"\[INST\]"), (("[/INST]",),)),
    (re.compile(r"<start_of_turn>user\n"), (("<end_of_turn>", "<start_of_turn>model"),)),
    (
        re.compile(r"### ?(?:Human|Instruction):"),
        (("### Assistant:",), ("###Assistant:",), ("### Response:",), ("###Response:",)),
    ),
)
"""What stands before the first question, and what the text ends with: one of several, in parts with blanks between."""


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
    if any(mark in asked for mark in ("USER:", "ASSISTANT:", "<|im_", "[INST]", "<start_of_turn>", "###")):
        raise BadRow(place, "the prompt holds a chat template of several turns: give them as messages.")
    return text_of(asked, "question", place)


def _inside(text: str, before: re.Pattern[str], after: Sequence[str]) -> str:
    """What stands between ``before`` and the ``after`` that ``text`` ends with; "" where it does not."""
    rest = text.rstrip()
    for part in reversed(after):
        if not rest.endswith(part):
            return ""
        rest = rest.removesuffix(part).rstrip()
    start = before.search(rest)
    return rest[start.end() :].strip() if start else ""
