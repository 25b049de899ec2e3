"""One row of preference data, in any of the layouts in use, as question, chosen, rejected and one image.

- ours and RLAIF-V's: columns image, question, chosen, rejected;
- RLHF-V's: column ``text`` holds question, chosen and rejected as one JSON string;
- TRL's: ``images`` (a list) or ``image``, with ``prompt``, ``chosen`` and ``rejected`` as text or as conversations;
  without ``prompt`` both conversations begin with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.errors import DataError

Row = Mapping[str, Any]


def standard(row: Row, where: str) -> dict[str, Any]:
    """``row`` with the columns image, question, chosen and rejected; ``where`` names it in errors.

    Raises DataError: a column is missing, there is no image or several, a conversation has several turns.
    """
    made = dict(row)
    made |= _packed_text(row, where)
    if made.get("question") is None:
        made |= _trl_texts(made, where)
    if made.get("image") is None and "images" in made:
        made["image"] = _only_image(made["images"], where)
    missing = [name for name in ("image", "question", "chosen", "rejected") if made.get(name) is None]
    if missing == ["image"]:
        raise DataError(f"{where}: no image. Text-only pairs are not trained on: remove the row or skip_bad_rows=true.")
    if missing:
        raise DataError(
            f"{where}: no {', '.join(missing)}. Expected columns image, question, chosen, rejected, idx; "
            f"found {', '.join(sorted(map(str, row)))}."
        )
    return made


def _packed_text(row: Row, where: str) -> Row:
    """RLHF-V's column ``text``."""
    if "chosen" in row or not isinstance(row.get("text"), str | dict):
        return {}
    try:
        packed = json.loads(row["text"]) if isinstance(row["text"], str) else row["text"]
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: column text is not JSON ({error}), and there is no column chosen.") from error
    return {name: packed.get(name) for name in ("question", "chosen", "rejected")}


def _only_image(images: Any, where: str) -> Any:
    if not isinstance(images, list | tuple):
        return images
    if len(images) > 1:
        raise DataError(
            f"{where}: {len(images)} images. Pairs with several images are not trained on: remove the row or "
            "skip_bad_rows=true."
        )
    return images[0] if images else None


def _trl_texts(row: Row, where: str) -> dict[str, Any]:
    """Question and responses of TRL's formats."""
    chosen, rejected, prompt = row.get("chosen"), row.get("rejected"), row.get("prompt")
    if prompt is None and isinstance(chosen, list) and isinstance(rejected, list):
        shared = 0
        while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
            shared += 1
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if prompt is None:
        return {}
    return {
        "question": _turn(prompt, "user", f"{where}: prompt"),
        "chosen": _turn(chosen, "assistant", f"{where}: chosen"),
        "rejected": _turn(rejected, "assistant", f"{where}: rejected"),
    }


def _turn(said: Any, role: str, where: str) -> str | None:
    """The text of a string or of a conversation of one message."""
    if said is None or isinstance(said, str):
        return said
    messages = said if isinstance(said, list) else [said]
    if len(messages) != 1 or not isinstance(messages[0], Mapping) or messages[0].get("role") != role:
        roles = [m.get("role") if isinstance(m, Mapping) else type(m).__name__ for m in messages]
        raise DataError(f"{where}: expected one message of role {role}, found {roles}. Several turns are not handled.")
    content = messages[0].get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))
