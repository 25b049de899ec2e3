"""Every family on the shared route: log-probabilities and gradients equal to each response alone, in float64."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.forward import choose_route, response_logprobs
from harness.models.prompts import Prompts
from tests.tiny_families import FAMILIES, tiny_family

SIZES = [(16, 16), (32, 16), (28, 40)]
"""Width and height: families that cut an image in crops or patches make other numbers of tokens of each."""
TEXTS = [("a dog on the table", "a cat"), ("yes", "no there is a car ."), ("a red ball", "two small cup")]


def picture(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(width + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def encoded(processor: Any) -> list[Encoded]:
    encode = Encoder(Prompts(processor), 256)
    pairs = [
        Pair.about(picture(*size), str(i), "what is in the image ?", chosen, rejected)
        for i, (size, (chosen, rejected)) in enumerate(zip(SIZES, TEXTS, strict=True))
    ]
    made = [encode(i, pair) for i, pair in enumerate(pairs)]
    doubled = [{k: v.double() if v.is_floating_point() else v for k, v in pair.vision.items()} for pair in made]
    return [dataclasses.replace(pair, vision=vision) for pair, vision in zip(made, doubled, strict=True)]


def alone(model: Any, pair: Encoded, response: Tensor) -> Tensor:
    """The definition: one response, unpadded, through the stock model."""
    ids = torch.cat([pair.prefix, response])[None]
    marks = {name: torch.nn.functional.pad(mark, (0, len(response)))[None] for name, mark in pair.marks.items()}
    logits: Tensor = model(input_ids=ids, **pair.vision, **marks).logits[0]
    return logits[len(pair.prefix) - 1 : -1].log_softmax(-1).gather(1, response[:, None]).sum()


def gradients(model: Any, values: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    (torch.linspace(-1, 1, len(values), dtype=torch.float64) * values).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_and_plain_rows_equal_each_response_alone(family: str) -> None:
    model, processor = tiny_family(family)
    pairs = encoded(processor)
    assert choose_route(model, "auto")[0] == "shared"
    expected = torch.stack([alone(model, pair, r) for pair in pairs for r in (pair.chosen, pair.rejected)])
    wanted = gradients(model, expected)
    assert len(wanted) > 20
    for route in ("shared", "plain"):
        out = response_logprobs(model, pairs, route, "cpu")  # type: ignore[arg-type]
        found = torch.stack([out.chosen, out.rejected], 1).flatten()
        # RMSNorm computes in float32 whatever the model's type: that is what is left.
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        for name, gradient in gradients(model, found).items():
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_image_and_the_other_branch(family: str) -> None:
    """The image matters, each is encoded once, and the rejected response does not see the chosen one."""
    model, processor = tiny_family(family)
    pairs = encoded(processor)
    seen: list[int] = []
    watch = model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len(kwargs["pixel_values"])), with_kwargs=True
    )
    with torch.no_grad():
        before = response_logprobs(model, pairs, "shared", "cpu")
        assert seen == [sum(len(pair.vision["pixel_values"]) for pair in pairs)]
        watch.remove()
        changed = [dataclasses.replace(pair, chosen=(pair.chosen + 3) % 20 + 30) for pair in pairs]
        after = response_logprobs(model, changed, "shared", "cpu")
        assert torch.equal(before.rejected, after.rejected)
        blank = [
            dataclasses.replace(p, vision={k: v * -1 if v.is_floating_point() else v for k, v in p.vision.items()})
            for p in pairs
        ]
        assert (response_logprobs(model, blank, "shared", "cpu").chosen - before.chosen).abs().min() > 1e-4
