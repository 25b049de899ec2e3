"""The layouts of preference data in use: of published data sets and of other trainers.

A layout is known by its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aligners.pairs.messages import Picture, Said, answer, conversation, spoken
from aligners.pairs.ratings import best_and_worst, preferred_of_two
from aligners.pairs.rows import BadRow, Place, Row, given, text_of


@dataclass(frozen=True)
class Preference:
    """One preference as a row has it: ``images`` are values still to be opened, in the order of their places.

    ``prefix`` is given to the model, not trained on; ``ends``: the answers end where their texts end. ``id`` is the
    data's, "" where it has none.
    """

    prompt: tuple[Said, ...]
    chosen: str
    rejected: str
    images: tuple[Any, ...] = ()
    prefix: str = ""
    ends: bool = True
    id: str = ""


@dataclass(frozen=True)
class Layout:
    """A layout: columns it is known by, who writes it, and what reads a row of it."""

    columns: tuple[str, ...]
    written_by: str
    read: Callable[[Row, Place], Preference]


def _of_question(row: Row, place: Place) -> Preference:
    """One question, or the prompt and both answers as conversations (TRL, and text prompts of every kind)."""
    asked = next(name for name in ("question", "prompt") if row.get(name) is not None)
    said = conversation(row[asked], asked, place)
    shared, chosen, rejected = _after_shared(row["chosen"], row["rejected"])
    if shared:  # the answers are whole conversations that begin with the prompt
        said = _same_prompt(said, conversation(shared, "chosen", place), asked, place)
    return _answered(said, chosen, rejected, place)


def _same_prompt(said: tuple[Said, ...], begun: tuple[Said, ...], asked: str, place: Place) -> tuple[Said, ...]:
    """The prompt that stands in ``asked`` and before both answers, once with fewer earlier messages or no images.

    Raises BadRow where one says what the other does not end with: taking either would lose something.
    """
    longer, shorter = (said, begun) if len(said) >= len(begun) else (begun, said)
    earlier, end = longer[: -len(shorter)], longer[-len(shorter) :]
    alike = [message for pair in zip(end, shorter, strict=True) if (message := _same_message(*pair)) is not None]
    if len(alike) < len(shorter):
        raise BadRow(place, f"{asked} is not what chosen and rejected begin with.")
    return (*earlier, *alike)


def _same_message(one: Said, other: Said) -> Said | None:
    """The message that both are, with the images where one has none; None if they are not the same."""
    if (one.role, one.text.strip()) != (other.role, other.text.strip()):
        return None
    shown = [said for said in (one, other) if any(isinstance(part, Picture) for part in said.parts)]
    return None if len(shown) == 2 and one.parts != other.parts else (shown or [one])[0]


def _of_answers(row: Row, place: Place) -> Preference:
    """TRL's implicit prompt: both conversations begin with it."""
    shared, chosen, rejected = _after_shared(row["chosen"], row["rejected"])
    if not shared:
        raise BadRow(
            place, "no question; nor do chosen and rejected begin with the same messages. If another column holds it: "
            "--columns question=NAME; data of descriptions alone: question=TEXT asks it of every row", f"; found "
            f"{', '.join(sorted(map(str, row)))}."
        )  # fmt: skip
    return _answered(conversation(shared, "chosen", place), chosen, rejected, place)


def _of_instruction(row: Row, place: Place) -> Preference:
    """Alpaca's: the instruction, and after it the input."""
    asked = {name: given(row, name) for name in ("instruction", "input")}
    said = [text_of(value, name, place) for name, value in asked.items() if value is not None]
    return _answered(conversation("\n".join(said), "instruction", place), row["chosen"], row["rejected"], place)


def _of_conversation(row: Row, place: Place) -> Preference:
    """A conversation up to the question and both answers (LLaMA-Factory), or with the chosen in it (ms-swift)."""
    said = conversation(row["conversations"], "messages", place)
    if row.get("chosen") is not None:
        return _answered(said, row["chosen"], row["rejected"], place)
    if said[-1].role != "assistant":
        raise BadRow(place, "messages end without an answer, and there is no column chosen.")
    return _answered(said[:-1], said[-1], row["rejected"], place)


def _of_two_conversations(row: Row, place: Place) -> Preference:
    """Two whole conversations that differ in their last answer (POVID, HA-DPO, ms-swift's rejected_messages)."""
    chosen = conversation(row["conversations"], "the chosen conversation", place)
    rejected = conversation(row["rejected_conversations"], "the rejected conversation", place)
    if chosen[:-1] != rejected[:-1]:
        raise BadRow(
            place, "the two conversations differ before their last answer; pairs of one prompt are trained on."
        )
    if (chosen[-1].role, rejected[-1].role) != ("assistant", "assistant"):
        raise BadRow(place, "a conversation does not end with the assistant's answer.")
    return _answered(chosen[:-1], chosen[-1], rejected[-1], place)


def _of_comparison(row: Row, place: Place) -> Preference:
    """LLaVA-RLHF's: two outputs and the number of the preferred one; a last answer in the conversation is neither's."""
    said = conversation(row["conversations"], "conversations", place)
    chosen, rejected = (spoken(each, "the output", place) for each in preferred_of_two(row, place))
    return _answered(said[:-1] if said[-1].role == "assistant" else said, chosen, rejected, place)


def _of_completions(row: Row, place: Place) -> Preference:
    """VLFeedback's and BPO's: several rated completions; the best is preferred to the worst."""
    asked = next((name for name in ("question", "prompt") if row.get(name) is not None), "question")
    chosen, rejected = best_and_worst(row["completions"], place)
    return _answered(conversation(row.get(asked), asked, place), chosen, rejected, place)


LAYOUTS = (
    Layout(("completions",), "VLFeedback, BPO: prompt and rated completions", _of_completions),
    Layout(("conversations", "output_1", "output_2", "preference"), "LLaVA-RLHF", _of_comparison),
    Layout(("conversations", "rejected_conversations"), "POVID, ms-swift, LLaMA-Factory v1", _of_two_conversations),
    Layout(("question", "chosen", "rejected"), "RLAIF-V, RLHF-V, SPA-VL, SENTINEL", _of_question),
    Layout(("prompt", "chosen", "rejected"), "TRL", _of_question),
    Layout(("instruction", "chosen", "rejected"), "LLaMA-Factory's alpaca", _of_instruction),
    Layout(("conversations", "rejected"), "LLaMA-Factory's sharegpt, ms-swift", _of_conversation),
    Layout(("chosen", "rejected"), "TRL's implicit prompt: two conversations", _of_answers),
)  # fmt: skip


def _answered(said: tuple[Said, ...], chosen: Any, rejected: Any, place: Place) -> Preference:
    return Preference(said, answer(chosen, "chosen", place), answer(rejected, "rejected", place))


def _after_shared(chosen: Any, rejected: Any) -> tuple[Any, Any, Any]:
    """Of two lists of messages what they begin with alike, and the rest of both."""
    if not (_messages(chosen) and _messages(rejected)):
        return (), chosen, rejected
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _messages(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(message, Mapping) for message in value)
