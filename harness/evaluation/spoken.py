"""Where a model's raw answer becomes the text that is scored: the one place, whatever route the answer came by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.protocols.model import Answer
from harness.protocols.reasoning import spoken_by_all

ALIKE = 10
"""Answers from which on it is worth a word that all are the same: a model that does not look."""
SHOWN = 40
"""Characters of such an answer that are shown."""
_END = re.compile(
    r"(?:<eos>|<end_of_turn>|<end_of_utterance>|<｜end▁of▁sentence｜>"
    r"|<\|(?:im_end|eot_id|eom_id|end_of_text|endoftext|return)\|>)"
    r"(?=[ \t]{0,9}(?:\n|\Z|<(?:\||｜|/?s>|eos>|end_of_|start_of_)|\[INST\]|(?:assistant|user|system|human)\b))"
    r"|(?:</s>|<\|end\|>)(?=\s{0,9}(?:\Z|</?s>|<\|end\|>|\[INST\]))",
    re.IGNORECASE,
)
"""Tokens that end a model's turn, where an endpoint leaves them in its text or does not stop at them; within a sentence
they are spoken of."""


def without_end(text: str) -> str:
    """``text`` up to a token that ends a model's turn: what follows is another turn that it made up."""
    ended = _END.search(text)
    return text[: ended.start()].rstrip() if ended else text


@dataclass(frozen=True, kw_only=True)
class ScoringSettings:
    """How answers become the scored text (`--set scoring.KEY=VALUE`); part of an evaluation's version.

    Args:
        reasoning: ``leave_out`` scores what is said after the thoughts, ``keep`` the raw answer.
    """

    reasoning: Literal["leave_out", "keep"] = "leave_out"

    def of(self, version: str) -> str:
        """A benchmark's ``version`` with what these settings make different."""
        return version if self.reasoning == "leave_out" else f"{version} reasoning=keep"


LEAVE_OUT = ScoringSettings()


@dataclass(frozen=True)
class ScoredAnswers:
    """Answers as they are scored, by sample id, with their thoughts and what is to be said of them all.

    ``counts``: how many there are (``n``), how many of them are empty and cut, and whether all say the same; where any
    had an end token as text, how many (``end_tokens``).
    """

    answers: Mapping[str, Answer]
    thoughts: Mapping[str, str]
    counts: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def info(self) -> dict[str, Any]:
        """What is recorded with an evaluation."""
        return {"answers": dict(self.counts), **({"notes": list(self.notes)} if self.notes else {})}


def scored_answers(answers: Mapping[str, Answer], settings: ScoringSettings = LEAVE_OUT) -> ScoredAnswers:
    """Raw ``answers`` without their thoughts. One that ends inside them is a failed sample."""
    given = {id_: answer for id_, answer in answers.items() if answer.text is not None}
    if settings.reasoning == "keep":
        return _with_notes(answers, {})
    left = {id_: ended for id_, answer in given.items() if (ended := _END.search(answer.text or ""))}
    given |= {id_: replace(given[id_], text=without_end(given[id_].text or "")) for id_ in left}
    read = spoken_by_all({id_: (answer.text or "", answer.cut) for id_, answer in given.items()})
    scored = dict(answers)
    for id_, said in read.items():
        answer = given[id_]
        if said.unfinished:
            limit = ", cut at the token limit (--set decoding.max_new_tokens=N)" if answer.cut else ""
            scored[id_] = replace(answer, text=None, error=f"it ends inside its thoughts{limit}")
        else:
            scored[id_] = replace(answer, text=said.text)
    thoughts = {id_: read[id_].thoughts or given[id_].reasoning for id_ in read}
    thoughts = {id_: text for id_, text in thoughts.items() if text}
    return _with_notes(scored, thoughts, sorted({ended.group().strip() for ended in left.values()}), len(left))


def _with_notes(
    scored: Mapping[str, Answer], thoughts: Mapping[str, str], ends: Sequence[str] = (), ended: int = 0
) -> ScoredAnswers:
    """With what a reader of the figures should know of how the answers came about; ``ended`` have one of ``ends``."""
    texts = [answer.text.strip() for answer in scored.values() if answer.text is not None]
    counts = {
        "n": len(scored),
        "empty": sum(not text for text in texts),
        "cut": sum(answer.cut for answer in scored.values()),
        "same": int(len(texts) >= ALIKE and len(set(texts)) == 1 and texts[0] != ""),
    }
    said = {
        "cut": "reached the token limit and are cut",
        "empty": "are empty: what says nothing hallucinates nothing",
    }
    notes = [
        f"{counts[name]} of {len(scored)} answers ({100 * counts[name] / len(scored):.1f} %) {words}"
        for name, words in said.items()
        if counts[name]
    ]
    if counts["same"]:
        notes.append(f"all {len(texts)} answers are the same: {texts[0][:SHOWN]!r}")
    if ended:
        counts["end_tokens"] = ended
        notes.append(
            f"{ended} of {len(scored)} answers have the model's end token as text ({', '.join(ends)}), which is left "
            "out of scoring with what follows it: the endpoint should stop there and drop it (skip_special_tokens)"
        )
    if thoughts:
        notes.append(f"the thoughts of {len(thoughts)} of {len(scored)} answers are left out of scoring")
    adapted = dict.fromkeys(text for answer in scored.values() for text in answer.adapted)
    notes += [f"not sent to the model as the protocol has it: {text}" for text in adapted]
    return ScoredAnswers(scored, thoughts, counts, tuple(notes))
