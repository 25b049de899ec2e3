"""One row of preference data, in any of the layouts in use, as prompt, chosen and rejected answer, and images.

Columns of other names are called ours first (``SYNONYMS``, and ``--columns``); then the first of ``LAYOUTS`` whose
columns are all there reads the row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aligners.pairs.chat_templates import question_of
from aligners.pairs.layouts import LAYOUTS, Preference
from aligners.pairs.messages import Said
from aligners.pairs.rows import BadRow, NoPreference, Place, Row, given, id_of, says_something, text_of
from aligners.pairs.written_out import read_out
from harness.protocols.conversation import MARK

SYNONYMS = {
    "y_win": "chosen", "win": "chosen", "y_lose": "rejected", "lose": "rejected", "reject": "rejected",
    "query": "question", "response": "chosen", "rejected_response": "rejected",
    "messages": "conversations", "chosen_conversations": "conversations", "chosen_messages": "conversations",
    "rejected_messages": "rejected_conversations", "reject_conversations": "rejected_conversations",
    "img_path": "image", "image_path": "image", "rejected_image": "rejected_images",
}  # fmt: skip
"""Columns of published data sets and of other trainers by what they are called here."""
FIELDS = (
    "question", "chosen", "rejected", "image", "images", "idx", "prompt", "conversations", "rejected_conversations",
    "instruction", "input", "system", "history", "completions", "output_1", "output_2", "preference", "prefix", "text",
)  # fmt: skip
"""What ``--columns`` may name."""
READ = {*FIELDS, *SYNONYMS, "id", "image_id", "context", "rejected_images"}
"""Columns that are read; the others are the data's own."""
QUESTIONS = ("question", "prompt", "instruction")
"""Columns of which one asks."""
UNREAD = ("videos", "audios", "video", "audio", "tools")


@dataclass(frozen=True)
class Wording:
    """What the user says about the rows: other names of columns, a question for rows without one.

    ``unwrap``: take the question out of prompts that hold a chat template.
    """

    columns: Mapping[str, str]
    question: str = ""
    unwrap: bool = False


def read_row(row: Row, place: Place, wording: Wording) -> Preference:
    """``row`` as one preference. Raises BadRow where it cannot be trained on, NoPreference where it prefers nothing."""
    if "reject" in row and row.get("correct") is True:  # HA-DPO's own training skips these as well
        raise NoPreference(place, "the answer was correct (HA-DPO): nothing is preferred.")
    made = _renamed(row, place, wording.columns)
    made = read_out({**made, **_packed_text(made, place)}, place)
    if wording.question and not any(made.get(name) is not None for name in QUESTIONS):
        made["question"] = wording.question
    if kind := next((name for name in UNREAD if given(made, name)), None):  # a mark may say that there is none
        raise BadRow(place, f"{kind}: only texts and images are trained on (--columns ={kind} leaves the column out).")
    layout = next((each for each in LAYOUTS if all(made.get(name) is not None for name in each.columns)), None)
    if layout is None:
        raise _unknown(row, made, place)
    _require_one_question(made, place)
    read = layout.read(made, place)
    read = replace(
        read,
        prompt=_prompt(read.prompt, made, place, wording),
        images=_images(made, place),
        id=id_of(made.get("idx", made.get("id")), place),
    )
    return _prefixed(read, row, made, place)


def _renamed(row: Row, place: Place, columns: Mapping[str, str]) -> dict[str, Any]:
    """``row`` under our names: the user's first, then those of ``SYNONYMS`` that name nothing else here."""
    made = {name: value for name, value in row.items() if value is not None}
    for ours, theirs in columns.items():
        if theirs not in row:
            found = ", ".join(sorted(map(str, row)))
            raise BadRow(place, f"--columns {ours}={theirs}: no such column; found {found}.")
        made.pop(theirs, None)
    for theirs, ours in SYNONYMS.items():
        if theirs in made and made.get(ours) is None:
            made[ours] = made.pop(theirs)
    return made | {ours: row[theirs] for ours, theirs in columns.items() if ours and row[theirs] is not None}


def _packed_text(row: Row, place: Place) -> Row:
    """RLHF-V's column ``text``."""
    packed = row.get("text")
    if "chosen" in row or not isinstance(packed, str | dict):
        return {}
    try:
        packed = json.loads(packed) if isinstance(packed, str) else packed
    except (ValueError, RecursionError) as error:
        raise BadRow(place, "column text is not JSON, and there is no column chosen.", f" ({error})") from error
    if not isinstance(packed, Mapping):
        raise BadRow(place, "column text holds no question, chosen and rejected.")
    return {name: packed.get(name) for name in ("question", "chosen", "rejected")}


def _require_one_question(row: Row, place: Place) -> None:
    """Raise BadRow where two columns ask different things, of which one would be left out."""
    asked = {name: text for name in QUESTIONS if isinstance(text := row.get(name), str) and text.strip()}
    if len({"".join(text.replace(MARK, "").split()) for text in asked.values()}) > 1:
        names = list(asked)
        raise BadRow(
            place, f"columns {' and '.join(names)} ask different things: expected one of them. Leave one out with "
            f"--columns ={names[-1]}."
        )  # fmt: skip


def _unknown(row: Row, made: Row, place: Place) -> BadRow:
    missing = [name for name in ("question", "chosen", "rejected") if made.get(name) is None]
    known = "; ".join(f"{', '.join(layout.columns)} ({layout.written_by})" for layout in LAYOUTS)
    found = ", ".join(sorted(map(str, row)))
    return BadRow(
        place,
        f"no {', '.join(missing) or 'layout has these columns'}. Expected columns image, question, chosen, rejected, "
        f"idx, or one of: {known}; found {found}. Other names: --columns chosen=NAME,...",
    )


def _prompt(said: tuple[Said, ...], row: Row, place: Place, wording: Wording) -> tuple[Said, ...]:
    """``said`` after the columns ``system`` and ``history``, its last question free of a chat template."""
    before: list[Said] = []
    if (system := given(row, "system")) is not None:
        if said and said[0].role == "system":
            raise BadRow(place, "a column system and a system message: expected one of them.")
        before.append(Said("system", (text_of(system, "system", place),)))
    history = given(row, "history")
    for turn in history if isinstance(history, list | tuple) else () if history is None else (None,):
        if not isinstance(turn, list | tuple) or len(turn) != 2:
            raise BadRow(place, "history: expected pairs of question and answer.")
        before.append(Said("user", (text_of(turn[0], "history", place),)))
        before.append(Said("assistant", (text_of(turn[1], "history", place),)))
    if not said or not says_something(said[-1].text.replace(MARK, "")):
        raise BadRow(place, "question is empty.")
    last = said[-1]
    if len(last.parts) == 1 and isinstance(last.parts[0], str):
        last = Said(last.role, (question_of(last.parts[0], place, unwrap=wording.unwrap),))
    return (*before, *said[:-1], last)


def _images(row: Row, place: Place) -> tuple[Any, ...]:
    """The row's images: ``images`` or ``image``, one or a list; a number of Visual Genome's or COCO's by its file."""
    several, one, other = (_listed(given(row, name)) for name in ("images", "image", "rejected_images"))
    if several and one and several != one:
        raise BadRow(
            place, "a column images and another in image: expected one of them, or the same in both. Leave one out "
            "with --columns =image."
        )  # fmt: skip
    images = several or one
    if None in images or "" in images:
        raise BadRow(place, f"images: one of {len(images)} is empty (null).")
    if other and other != images:
        raise BadRow(
            place, "rejected_images differ from images; pairs about the same images are trained on. If they are no "
            "part of these, leave their column out with --columns =NAME."
        )  # fmt: skip
    if not images and row.get("image_id") is not None:
        return ({"image_id": row["image_id"]},)
    return images


def _listed(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _prefixed(read: Preference, row: Row, made: Row, place: Place) -> Preference:
    """``read`` with what both answers begin with.

    SENTINEL's ``context`` is that by its layout (y_win, y_lose, or converted for LLaMA-Factory), followed by a blank,
    and its answers are sentences inside a longer one; its own training leaves out the end of such answers as well. In
    other layouts a context may be anything, so the user says.
    """
    if (prefix := given(made, "prefix")) is not None:
        return replace(read, prefix=text_of(prefix, "prefix", place) + " ", ends=False)
    context = given(row, "context") if "context" in made else None
    if context is None:
        return read
    if not {"y_win", "win", "instruction"} & row.keys():
        if not context:
            return read
        raise BadRow(
            place, "column context: set --columns prefix=context if both answers begin with it (it is given, not "
            "trained on), or --columns =context to leave it out."
        )  # fmt: skip
    return replace(read, prefix=text_of(context, "context", place) + " ", ends=False)


def parse_columns(text: str) -> dict[str, str]:
    """``chosen=y_win,rejected=y_lose`` as our names and the data's; ``=NAME`` leaves a column out.

    Raises ValueError.
    """
    columns = {}
    for assignment in filter(None, text.split(",")):
        ours, equals, theirs = (part.strip() for part in assignment.partition("="))
        if not equals or not theirs or (ours and ours not in FIELDS):
            raise ValueError(
                f"columns={assignment}: expected OURS=THEIRS with OURS one of {', '.join(FIELDS)}, as in "
                "chosen=y_win,rejected=y_lose"
            )
        columns[ours] = theirs
    return columns
