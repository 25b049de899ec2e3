"""What a model under test is to the engine, and how a model is named on the command line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Turn
from harness.protocols.probe import Encode, Probe


@dataclass(frozen=True)
class Answer:
    """A model's answer to one sample as it came, thoughts included, or the reason why there is none.

    Args:
        tokens, seconds: what it took.
        cut: it ended at the token limit, not at its own end.
        reasoning: thoughts that came apart from the text.
        adapted: what an endpoint was not sent as the protocol has it, in words.
    """

    text: str | None
    error: str | None = None
    tokens: int = 0
    seconds: float = 0.0
    cut: bool = False
    reasoning: str = ""
    adapted: tuple[str, ...] = ()


class Model(ABC):
    """Base of every model under test.

    Every model sets:
        name: what tables show.
        spec: how to name it again on the command line.
        key: the identity of its weights and of the route by which it answers: answers are stored under it.

    The rest has a default:
        route: how answers are computed (library, device, dtype, endpoint), recorded with every evaluation.
        asked_with: the settings of its prompt that are not its own way: as it was trained, or as the user sets them.
        batch_size: samples that it answers together; as many are claimed at a time where work is shared.
        recorded: its answers were made elsewhere and belong to samples: it is shown no image, and two samples of one
            question may have different answers.
    """

    name: str
    spec: str
    key: str
    route: str = ""
    asked_with: Mapping[str, Any] = {}
    batch_size: int = 256
    recorded: bool = False

    def decodes(self, asked: Decoding) -> Decoding:
        """``asked`` with what the model's own files add to it (a repetition penalty): what is recorded."""
        return asked

    @abstractmethod
    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """Yield (position in ``samples``, answer) as they come, one for every sample."""

    def probe(self, encode: Encode | None = None, turns: Sequence[Turn] = ()) -> Probe | None:
        """What becomes of one question about one image; None for a model of which nothing can be seen so.

        ``encode`` is how training encodes it. ``turns`` are asked in place of the probe's own question.
        """
        return None
