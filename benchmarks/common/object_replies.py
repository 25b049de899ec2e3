"""Reading the list of objects out of a judge's reply: strictly, tolerantly, and as the official script does.

Source: RLAIF-V `eval_gpt_obj_halbench.py` at 83d917b.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from benchmarks.common.replies import fields_of

PARSERS = {"strict": "strict-2", "tolerant": "tolerant-3"}
"""What stands in a benchmark's version for each way of reading."""
FIELD = "objects"
"""Of a reply that is a JSON object; another name will do where there is no other field."""


def first_readable(replies: Sequence[str], read: Callable[[str], list[str] | None]) -> list[str] | None:
    """The first reply that ``read`` can read; None if it can read none."""
    return next((names for reply in replies if (names := read(reply)) is not None), None)


def read_json_reply(reply: str) -> Any:
    """JSON of the whole reply, or of its last line where a list begins somewhere; raises ValueError otherwise."""
    try:
        return json.loads(reply)
    except (ValueError, RecursionError):
        if '["' not in reply:
            raise
        return json.loads(reply.strip().split("\n")[-1])


def read_objects(reply: str) -> list[str] | None:
    """The objects a judge lists; None unless the reply is a JSON list of strings."""
    try:
        read = read_json_reply(reply)
    except (ValueError, RecursionError):
        return None
    return read if _are_names(read) else None


def _are_names(read: Any) -> TypeGuard[list[str]]:
    return isinstance(read, list) and all(isinstance(name, str) for name in read)


def read_objects_tolerantly(reply: str) -> list[str] | None:
    """As ``read_objects``, else the list of a JSON object, else the one list in the reply, else [] for "()".

    None where the reply has several that differ: a judge may make up the next example, or speak of what it left out.
    """
    if (strict := read_objects(reply)) is not None:
        return strict
    if fields := fields_of(reply):
        names = fields.get(FIELD) if len(fields) > 1 else next(iter(fields.values()))
        return names if _are_names(names) else None
    if re.match(r"\s*[\[{]", reply) and _is_json(reply):  # something else than a list of strings, all of it
        return None
    found = [names for each in re.findall(r"\[[^\[\]]*\]", reply) if (names := read_objects(each)) is not None]
    if found:
        return found[-1] if all(names == found[-1] for names in found) else None
    return [] if reply.strip().strip("`").strip() == "()" else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def read_objects_officially(reply: str) -> list[str] | None:
    """REPRODUCE (official_*): any JSON is taken; of a dictionary its keys are read, of a string its letters, and what a
    list holds as Python writes it (null is "None", 2.0 is "2.0").

    None where the official code asks again, and where it crashes on what it took (a number or null by itself).
    """
    try:
        read = read_json_reply(reply)
        return [str(name) for name in read] if isinstance(read, list | dict | str) else None
    except (ValueError, RecursionError):  # a number of more digits than Python writes is no text there either
        return None
