"""A model under test: one answer to every question, to see what a benchmark gives to who never looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.models.spec import Loading, ModelKind, ModelSpec
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model
from harness.util.options import content_key


class ConstantModel(Model):
    """``--model "constant:No"`` answers No, whatever is asked."""

    route = "constant"

    def __init__(self, text: str) -> None:
        self.name, self.spec = text, f"constant:{text}"
        self.key = content_key("constant", text)
        self._text = text

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        for position, _ in enumerate(samples):
            yield position, Answer(self._text)


def load(spec: ModelSpec, loading: Loading) -> Model:
    """Called when the model is needed: the place to import what is heavy."""
    return ConstantModel(spec.target)


CONSTANT = ModelKind(form="constant:TEXT", summary="the same answer to every question", load=load)
