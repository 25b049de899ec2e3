"""What calls cost: tokens into money. List prices change; the table can be overridden by a YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from harness.chat.request import ChatRequest
from harness.errors import UsageError
from harness.util.options import read_yaml
from harness.util.ranges import at_least, require_ranges

DATED = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4})$")
"""The release date that providers append to a model's name: -2024-11-20, -20241120, -0613."""

CHARACTERS_PER_TOKEN = 3.5
"""On the safe side for English prose (about 4)."""
IMAGE_TOKENS = 1105
"""A 1024 x 1024 image at high detail, gpt-4o's count rounded up to six tiles."""
REPLY_TOKENS = 512
"""Assumed length of a reply where the protocol sets no limit."""


@dataclass(frozen=True)
class Price:
    """What a model costs, a row of a price list: ``NAME: {input: 0.2, output: 0.8}``.

    Args:
        input: of the prompt.
        output: of the reply.
    """

    input: Annotated[float, at_least(0, "USD per million tokens")]
    output: Annotated[float, at_least(0, "USD per million tokens")]


PRICES: Mapping[str, Price] = {
    "gpt-3.5-turbo": Price(0.5, 1.5),
    "gpt-3.5-turbo-0613": Price(1.5, 2.0),
    "gpt-4": Price(30.0, 60.0),
    "gpt-4-1106-preview": Price(10.0, 30.0),
    "gpt-4-0125-preview": Price(10.0, 30.0),
    "gpt-4-turbo": Price(10.0, 30.0),
    "gpt-4o": Price(2.5, 10.0),
    "gpt-4o-2024-05-13": Price(5.0, 15.0),
    "gpt-4o-mini": Price(0.15, 0.6),
    "gpt-4.1": Price(2.0, 8.0),
    "gpt-4.1-mini": Price(0.4, 1.6),
    "gpt-4.1-nano": Price(0.1, 0.4),
}


def load_prices(path: Path | None) -> dict[str, Price]:
    """The built-in table with the rows of a YAML file on top: ``my-model: {input: 0.2, output: 0.8}``."""
    table = dict(PRICES)
    for model, row in (read_yaml(path, "price list") if path else {}).items():
        try:
            price = Price(float(row["input"]), float(row["output"]))
        except (TypeError, KeyError, ValueError) as error:
            raise UsageError(
                f"{path}: {model}: expected {{input: X, output: Y}} in USD per million tokens, got {row!r}."
            ) from error
        require_ranges(price, f"{path}: {model}")
        table[str(model)] = price
    return table


def price_of(model: str, prices: Mapping[str, Price] = PRICES) -> Price | None:
    """The price of ``model``, of its undated name or of the name behind a provider's prefix; None if unknown."""
    for name in (model, model.rpartition("/")[2]):
        for known in (name, DATED.sub("", name)):
            if known in prices:
                return prices[known]
    return None


def cost(usage: Mapping[str, Any], model: str, prices: Mapping[str, Price] = PRICES) -> float | None:
    """USD for ``prompt_tokens`` and ``completion_tokens`` of ``usage``; None if the model's price is unknown."""
    price = price_of(model, prices)
    if price is None:
        return None
    prompt, reply = float(usage.get("prompt_tokens", 0)), float(usage.get("completion_tokens", 0))
    return (price.input * prompt + price.output * reply) / 1e6


def estimate_tokens(request: ChatRequest) -> dict[str, int]:
    """Tokens that ``request`` will take, on the safe side, before it is asked: for `--dry-run` and budgets."""
    characters = sum(len(message.text) for message in request.messages)
    images = sum(len(message.images) for message in request.messages)
    prompt = 16 + round(characters / CHARACTERS_PER_TOKEN) + IMAGE_TOKENS * images
    return {"prompt_tokens": prompt, "completion_tokens": request.max_tokens or REPLY_TOKENS}
