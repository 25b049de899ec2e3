"""Prompts that already hold a chat template: they would be trained on inside the model's own."""

from __future__ import annotations

import re

from aligners.pairs.rows import BadRow, Place, text_of

WRAPPED = (
    re.compile(r"(?s).*?\bUSER:\s*(?P<question>.+?)\s*ASSISTANT:\s*"),  # Vicuna, as mDPO's data have it
    re.compile(r"(?s).*?<\|im_start\|>user\n(?P<question>.+?)<\|im_end\|>\s*<\|im_start\|>assistant\s*"),
    re.compile(r"(?s).*?\[INST\]\s*(?P<question>.+?)\s*\[/INST\]\s*"),
    re.compile(r"(?s).*?<start_of_turn>user\n(?P<question>.+?)<end_of_turn>\s*<start_of_turn>model\s*"),
    re.compile(r"(?s).*?### ?(?:Human|Instruction):\s*(?P<question>.+?)\s*### ?(?:Assistant|Response):\s*"),
)


def question_of(text: str, place: Place, *, unwrap: bool) -> str:
    """``text``, or with ``unwrap`` the question inside its template.

    Raises BadRow for a text that ends where an answer begins and is not unwrapped, or holds several turns.
    """
    wrapped = next((match for pattern in WRAPPED if (match := pattern.fullmatch(text))), None)
    if wrapped is None:
        return text
    if not unwrap:
        raise BadRow(
            place, "the prompt holds a chat template (it ends where the assistant's answer begins); the model's own "
            "would be put around it. Set unwrap_prompts=true to take the question out of it."
        )  # fmt: skip
    asked = wrapped["question"]
    if any(mark in asked for mark in ("USER:", "ASSISTANT:", "<|im_", "[INST]", "<start_of_turn>", "###")):
        raise BadRow(place, "the prompt holds a chat template of several turns: give them as messages.")
    return text_of(asked, "question", place)
