"""How training encodes a conversation: what a probe compares with what is asked."""

from __future__ import annotations

from collections.abc import Sequence

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoder
from harness.models.prompts import Prompts
from harness.protocols.conversation import Turn
from harness.protocols.probe import Trained

NO_LIMIT = 1 << 30
ANSWER = "There is a red square."


def encoded(prompts: Prompts, turns: Sequence[Turn]) -> Trained:
    """``turns`` and an answer to them as a preference pair is encoded, whatever their length.

    Raises UsageError where the template cannot be trained with.
    """
    return encoded_pair(prompts, Pair("probe", tuple(turns), ANSWER, f"{ANSWER} {ANSWER}"))


def encoded_pair(prompts: Prompts, pair: Pair) -> Trained:
    """The chosen side of ``pair``. Raises DataError naming the pair where it cannot be encoded."""
    tokens = Encoder(prompts, NO_LIMIT)(0, pair)
    return Trained(tuple(tokens.prefix.tolist()), tuple(tokens.chosen.tolist()))
