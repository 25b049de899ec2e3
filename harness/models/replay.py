"""Answers made elsewhere, read from JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import DataError, UsageError
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model
from harness.util.options import content_key

BOM = b"\xef\xbb\xbf"


def read_responses(path: Path) -> dict[str, str]:
    """The answers of a responses file by sample id: one ``{"id": ..., "response": text}`` a line.

    Ids compare as strings; further fields are ignored and blank lines skipped. A line that cannot be read, or an id
    given twice, raises a DataError naming file and line.
    """
    try:
        lines = path.read_bytes().removeprefix(BOM).split(b"\n")  # not splitlines(): a text may hold U+2028
    except OSError as error:
        raise DataError(f"{path}: cannot read the responses ({error.strerror}).") from error
    answers: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        sample_id, text = _read_line(line, f"{path}, line {number}")
        if sample_id in answers:
            raise DataError(f"{path}, line {number}: the id {sample_id!r} was answered before; keep one of the two.")
        answers[sample_id] = text
    return answers


def _read_line(line: bytes, where: str) -> tuple[str, str]:
    expected = 'expected {"id": ..., "response": "text"}'
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); {expected}.") from error
    if not isinstance(row, dict) or "id" not in row or "response" not in row:
        raise DataError(f"{where}: {expected}.")
    sample_id, text = row["id"], row["response"]
    if isinstance(sample_id, bool) or not isinstance(sample_id, str | int):
        raise DataError(f"{where}: the id {sample_id!r} is neither text nor a whole number; {expected}.")
    if not isinstance(text, str):
        raise DataError(f"{where}: the response is {type(text).__name__}, not text; {expected}.")
    # JSON can spell half a surrogate pair, which no database takes.
    return str(sample_id), text.encode(errors="replace").decode()


class ReplayModel(Model):
    """A Model whose answers stand in a file; a sample that is not in it gets an error for an answer."""

    route = "file"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self.spec = f"replay:{path}"
        self._answers = read_responses(path)
        self.key = content_key("replay", self._answers)

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """The recorded answers, whatever else ``decoding`` asks for; a bias, which would change them, is refused."""
        if decoding.eos_bias:
            raise UsageError(
                f"{self.spec}: recorded answers cannot be given again with eos_bias={decoding.eos_bias:g}; leave "
                "--eos-bias out, or run the model as hf:."
            )
        for position, sample in enumerate(samples):
            text = self._answers.get(sample.id)
            yield position, Answer(text, None if text is not None else f"no answer in {self.path}")
