"""Conversations in the spellings in use (role/content, from/value, content in parts) as turns of text and images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aligners.pairs.rows import BadRow, Place, says_something, text_of, well_formed
from aligners.pairs.written_out import CONTENT, PARTS, ROLE, parts_of, type_of
from harness.protocols.conversation import MARK, OTHER_MARK, Image, Role, Turn, marked

ROLES: Mapping[str, Role] = {
    "system": "system", "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
CALLS = ("tool_calls", "function_call")
"""Parts of messages that are no texts."""
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Where a message has thoughts beside its text; those of earlier turns are left out, as templates do."""


@dataclass(frozen=True)
class Picture:
    """An image's place in a turn; ``value`` is the image as the data has it, None for the next of the row's images."""

    value: Any = None


@dataclass(frozen=True)
class Said:
    """One message: texts (which may hold ``<image>``) and places of images; ``thoughts``: the key of those beside."""

    role: Role
    parts: tuple[str | Picture, ...]
    thoughts: str = ""

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def empty(self) -> bool:
        """Whether it says and shows nothing."""
        return not says_something(self.text) and not any(isinstance(part, Picture) for part in self.parts)


def conversation(value: Any, name: str, place: Place) -> tuple[Said, ...]:
    """The messages of ``value``: a text (the user's), one message or a list of them. Raises BadRow."""
    if isinstance(value, str):
        return (Said("user", (text_of(value, name, place),)),)
    messages = [value] if isinstance(value, Mapping) else value
    if not isinstance(messages, list | tuple) or not messages:
        raise BadRow(place, f"{name}: expected a text or messages, found {type(value).__name__}", f" ({value!r:.80}).")
    return tuple(_message(message, name, place) for message in messages)


def answer(value: Any, name: str, place: Place) -> str:
    """The text of an answer: a text, or one message of the assistant, read or not. Raises BadRow."""
    if isinstance(value, Mapping) or (isinstance(value, list | tuple) and any(isinstance(m, Mapping) for m in value)):
        said = conversation(value, name, place)
        if [message.role for message in said] != ["assistant"]:
            roles = ", ".join(message.role for message in said)
            raise BadRow(place, f"{name}: expected one message of the assistant, found {roles}.")
        value = said[0]
    if isinstance(value, Said):
        if any(isinstance(part, Picture) for part in value.parts):
            raise BadRow(place, f"{name} holds an image; only texts are trained on.")
        if key := value.thoughts:
            raise BadRow(place, f"{name} has {key}, which is not trained on: write it into the text, or take it out.")
        value = value.text
    return text_of(value, name, place)


def spoken(value: Any, name: str, place: Place) -> Any:
    """``value`` as the assistant's where it is one message: LLaVA-RLHF names the model that said it (``llava``)."""
    if not isinstance(value, Mapping):
        return value
    content = next((value[key] for key in CONTENT if key in value), None)
    if content is None:
        raise BadRow(place, f"{name}: a message without a text (one of {', '.join(CONTENT)}).")
    return {ROLE[0]: "assistant", CONTENT[0]: content}


def _message(message: Any, name: str, place: Place) -> Said:
    if not isinstance(message, Mapping):
        raise BadRow(place, f"{name}: expected messages, found a {type(message).__name__} in the list.")
    role = next((message[key] for key in ROLE if key in message), None)
    if role is None:
        found = ", ".join(map(str, message))
        raise BadRow(place, f"{name}: a message without {' or '.join(ROLE)}: it has {found or 'nothing'}.")
    if not isinstance(role, str) or role not in ROLES:
        raise BadRow(place, f"{name}: a message of {role!r}: expected one of {', '.join(ROLES)}.")
    content = next((message[key] for key in CONTENT if key in message), None)
    if isinstance(content, str):
        content = parts_of(content, name, place)
    if any(message.get(key) for key in CALLS):
        raise BadRow(place, f"{name}: a message with calls of tools; only texts and images are trained on.")
    thoughts = next((key for key in THOUGHTS if message.get(key)), "")
    if isinstance(content, str):
        return Said(ROLES[role], (well_formed(content.strip(), name, place),), thoughts)
    if not isinstance(content, list | tuple):
        raise BadRow(place, f"{name}: the {role}'s content is a {type(content).__name__}: expected a text or parts.")
    return Said(ROLES[role], tuple(_part(part, name, place) for part in content), thoughts)


def _part(part: Any, name: str, place: Place) -> str | Picture:
    """{"type": "text", "text": ...}, {"type": "image"} with or without the image, {"type": "image_url", ...}; or with
    all of it in "value" (LLaMA-Factory)."""
    kind = type_of(part)
    if kind in PARTS and part.get("value") is not None:
        part = {**part, kind: part["value"]}
    if kind == "text" and isinstance(part.get("text"), str):
        return well_formed(part["text"], name, place)
    if kind == "image":
        given = [part[key] for key in ("image", "url", "path", "base64") if part.get(key) is not None]
        return Picture(given[0] if given else None)
    if kind == "image_url":
        url = part.get("image_url")
        return Picture(url.get("url") if isinstance(url, Mapping) else url)
    given_as = part.get("type") if isinstance(part, Mapping) else None
    raise BadRow(place, f"{name}: a part of type {given_as!r}: expected text or image.")


def turns(
    said: Sequence[Said], images: Sequence[Any], opened: Callable[[Any], Image], place: Place
) -> tuple[Turn, ...]:
    """``said`` with ``images`` at their places, or before the first question where it marks none.

    ``opened`` makes an Image of an image as the data has it. A system message that says nothing is left out, as an
    empty column is. Raises BadRow: the counts differ, the last turn is not the user's, a system message is not the
    first, an earlier turn is empty.
    """
    said = [message for message in said if message.role != "system" or not message.empty]
    if not said or said[-1].role != "user":
        last = f"a message of the {said[-1].role}" if said else "nothing"
        raise BadRow(place, f"the prompt ends with {last}: expected the user's question.")
    if any(message.role == "system" for message in said[1:]):
        raise BadRow(place, "a system message stands after others: expected it first.")
    if empty := next((message for message in said if message.empty), None):
        raise BadRow(place, f"a message of the {empty.role} is empty.")
    other = next(
        (found for m in said for part in m.parts if isinstance(part, str) and (found := OTHER_MARK.search(part))), None
    )
    if other:
        raise BadRow(place, f"the prompt holds {other[0]}, which would be read as text: mark images by {MARK}.")
    marks = sum(_marks(message) for message in said)
    if images and any(isinstance(part, Picture) and part.value is not None for m in said for part in m.parts):
        raise BadRow(place, "images stand in the messages and in a column as well: expected one of them.")
    if marks == 0 and images:
        first = next(index for index, message in enumerate(said) if message.role == "user")
        before = tuple(Picture(image) for image in images)
        said = [*said[:first], Said("user", (*before, *said[first].parts)), *said[first + 1 :]]
    elif marks != len(images):
        raise BadRow(place, f"the prompt has {marks} places for images ({MARK}), the row has {len(images)} images.")
    rest = iter(() if marks == 0 else images)
    return tuple(Turn(message.role, tuple(_joined(_content(message, rest, opened)))) for message in said)


def _marks(message: Said) -> int:
    """Places of the row's images in a message."""
    return sum(part.count(MARK) if isinstance(part, str) else part.value is None for part in message.parts)


def _content(message: Said, rest: Iterator[Any], opened: Callable[[Any], Image]) -> Iterator[str | Image]:
    for part in message.parts:
        if isinstance(part, str):
            yield from marked(part, [opened(next(rest)) for _ in range(part.count(MARK))])
        else:
            yield opened(next(rest) if part.value is None else part.value)


def _joined(content: Iterator[str | Image]) -> Iterator[str | Image]:
    """Texts that follow each other as one."""
    text = ""
    for part in content:
        if isinstance(part, str):
            text += part
            continue
        if text:
            yield text
        yield part
        text = ""
    if text:
        yield text
