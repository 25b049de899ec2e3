"""The model whose answers were made elsewhere: ``replay:FILE``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.models.responses import read_responses
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model
from harness.util.options import content_key


def beyond_files(decoding: Decoding) -> str:
    """Why recorded answers cannot be those of ``decoding``; "" if they can."""
    if not decoding.eos_bias:
        return ""
    return (
        f"recorded answers cannot be given again with eos_bias={decoding.eos_bias:g}; leave --eos-bias out, or run the "
        "model as hf:."
    )


def key_of(answers: Mapping[str, str], failed: Mapping[str, str]) -> str:
    """What recorded answers are stored under: they themselves, and whose of them failed."""
    return content_key("replay", answers, *([sorted(failed)] if failed else []))


class ReplayModel(Model):
    """A Model whose answers stand in a file; a sample that is not in it gets an error for an answer."""

    route = "file"
    recorded = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self.spec = f"replay:{path}"
        self._responses = read_responses(path)
        self.key = key_of(self._responses.answers, self._responses.failed)

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """The recorded answers, whatever else ``decoding`` asks for; a bias, which would change them, is refused.

        Raises DataError for a row that says it answers another question.
        """
        if reason := beyond_files(decoding):
            raise UsageError(f"{self.spec}: {reason}")
        self._responses.check(samples)
        for note in self._responses.asked_otherwise(samples):
            warnings.warn(f"{self.path}: {note}", stacklevel=2)
        for position, sample in enumerate(samples):
            text = self._responses.answers.get(sample.id)
            missing = self._responses.failed.get(sample.id, f"no answer in {self.path}")
            yield position, Answer(text, None if text is not None else missing)
