"""Where a model's raw answer becomes the text that is scored: the one place, whatever route the answer came by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from harness.protocols.model import Answer
from harness.protocols.reasoning import spoken_by_all


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
    """Answers as they are scored, by sample id, with their thoughts and what is to be said of them all."""

    answers: Mapping[str, Answer]
    thoughts: Mapping[str, str]
    notes: tuple[str, ...]


def scored_answers(answers: Mapping[str, Answer], settings: ScoringSettings = LEAVE_OUT) -> ScoredAnswers:
    """Raw ``answers`` without their thoughts. One that ends inside them is a failed sample."""
    given = {id_: answer for id_, answer in answers.items() if answer.text is not None}
    if settings.reasoning == "keep":
        return ScoredAnswers(answers, {}, _notes(answers, 0))
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
    return ScoredAnswers(scored, thoughts, _notes(answers, len(thoughts)))


def _notes(answers: Mapping[str, Answer], thinking: int) -> tuple[str, ...]:
    """What a reader of the figures should know of how the answers came about."""
    count, cut = len(answers), sum(answer.cut for answer in answers.values())
    notes = []
    if cut:
        notes.append(f"{cut} of {count} answers ({100 * cut / count:.1f} %) reached the token limit and are cut")
    if thinking:
        notes.append(f"the thoughts of {thinking} of {count} answers are left out of scoring")
    adapted = dict.fromkeys(text for answer in answers.values() for text in answer.adapted)
    return (*notes, *(f"not sent to the model as the protocol has it: {text}" for text in adapted))
