"""Answers made elsewhere, read from JSONL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model
from harness.util.jsonl import iter_jsonl
from harness.util.options import content_key

EXPECTED = '{"id": ..., "response": "text"}'


def read_responses(path: Path) -> dict[str, str]:
    """The answers of a responses file by sample id: one ``{"id": ..., "response": text}`` a line.

    Ids compare as strings; further fields are ignored and blank lines skipped. A line that cannot be read, or an id
    given twice, raises a DataError naming file and line.
    """
    answers: dict[str, str] = {}
    for number, row in iter_jsonl(path, EXPECTED):
        where = f"{path} line {number}"
        sample_id, text = _id_and_text(row, where)
        if sample_id in answers:
            raise DataError(f"{where}: the id {sample_id!r} was answered before; keep one of the two.")
        answers[sample_id] = text
    return answers


def _id_and_text(row: Mapping[str, Any], where: str) -> tuple[str, str]:
    if "id" not in row or "response" not in row:
        raise DataError(f"{where}: expected {EXPECTED}.")
    sample_id, text = row["id"], row["response"]
    if isinstance(sample_id, bool) or not isinstance(sample_id, str | int):
        raise DataError(f"{where}: the id {sample_id!r} is neither text nor a whole number; expected {EXPECTED}.")
    if not isinstance(text, str):
        raise DataError(f"{where}: the response is {type(text).__name__}, not text; expected {EXPECTED}.")
    # JSON can spell half a surrogate pair, which no database takes.
    return str(sample_id), text.encode(errors="replace").decode()


def beyond_files(decoding: Decoding) -> str:
    """Why recorded answers cannot be those of ``decoding``; "" if they can."""
    if not decoding.eos_bias:
        return ""
    return (
        f"recorded answers cannot be given again with eos_bias={decoding.eos_bias:g}; leave --eos-bias out, or run the "
        "model as hf:."
    )


class ReplayModel(Model):
    """A Model whose answers stand in a file; a sample that is not in it gets an error for an answer."""

    route = "file"
    recorded = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self.spec = f"replay:{path}"
        self._answers = read_responses(path)
        self.key = content_key("replay", self._answers)

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """The recorded answers, whatever else ``decoding`` asks for; a bias, which would change them, is refused."""
        if reason := beyond_files(decoding):
            raise UsageError(f"{self.spec}: {reason}")
        for position, sample in enumerate(samples):
            text = self._answers.get(sample.id)
            yield position, Answer(text, None if text is not None else f"no answer in {self.path}")
