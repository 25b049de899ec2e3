"""Every family: what is computed on either route equals each response alone, in float64, and what is trained moves."""

from __future__ import annotations

import copy
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.forward import Route, response_logprobs
from aligners.pairs.route import choose_route
from aligners.pairs.sharing import groups_of, image_tokens
from aligners.training.config import AlignConfig
from aligners.training.lora import make_trainable
from harness.errors import UsageError
from harness.models.families import family_of
from harness.models.inputs import continued
from harness.models.prompts import Prompts
from harness.protocols.conversation import question
from tests.tiny_families import FAMILIES, shared_family

SIZES = [(16, 16), (32, 16), (28, 40)]
"""Width and height: families that cut an image in crops or patches make other numbers of tokens of each."""
TEXTS = [("a dog on the table", "a cat"), ("yes", "no there is a car ."), ("a red ball", "two small cup")]
PLAIN = {
    "qwen3_5": "layers of type linear_attention",
    "qwen3_5_moe": "layers of type linear_attention",
    "lfm2_vl": "layers of type conv",
    "gemma3": "sliding windows of 64 tokens",
    "paligemma": "run both ways differs by",
}
"""The families that take plain rows, and why."""
SHARED = [family for family in FAMILIES if family not in PLAIN]


def picture(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(width + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def encoded(prompts: Prompts) -> list[Encoded]:
    encode = Encoder(prompts, 256)
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
    kind = family_of(model.config).response_type
    marks = {
        name: torch.cat([mark, continued(name, mark, len(response), kind)])[None] for name, mark in pair.marks.items()
    }
    logits: Tensor = model(input_ids=ids, **pair.vision, **marks).logits[0]
    return logits[len(pair.prefix) - 1 : -1].log_softmax(-1).gather(1, response[:, None]).sum()


def gradients(model: Any, values: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    (torch.linspace(-1, 1, len(values), dtype=torch.float64) * values).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_either_route_equals_each_response_alone(family: str) -> None:
    model, prompts = shared_family(family)
    pairs = encoded(prompts)
    route, why = choose_route(model, prompts, "auto", 256)
    assert route == ("plain" if family in PLAIN else "shared"), why
    assert PLAIN.get(family, "sdpa attention; a pair with an image run both ways differs by 0.0e+00") in why
    expected = torch.stack([alone(model, pair, r) for pair in pairs for r in (pair.chosen, pair.rejected)])
    wanted = gradients(model, expected)
    assert len(wanted) > 20
    routes: list[Route] = ["plain"] if family in PLAIN else ["shared", "plain"]
    for route in routes:
        out = response_logprobs(model, pairs, route, "cpu")
        found = torch.stack([out.chosen, out.rejected], 1).flatten()
        # RMSNorm computes in float32 whatever the model's type: that is what is left.
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        for name, gradient in gradients(model, found).items():
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", SHARED)
def test_the_image_and_the_other_branch(family: str) -> None:
    """The image matters, each is encoded once, and the rejected response does not see the chosen one."""
    model, prompts = shared_family(family)
    pairs = encoded(prompts)
    seen: list[int] = []
    watch = model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len(kwargs["pixel_values"])), with_kwargs=True
    )
    with torch.no_grad():
        before = response_logprobs(model, pairs, "shared", "cpu")
        assert seen == [sum(len(pair.vision["pixel_values"]) for pair in pairs)]
        watch.remove()
        changed = [dataclasses.replace(pair, chosen=(pair.chosen + 3) % 20 + 150) for pair in pairs]
        after = response_logprobs(model, changed, "shared", "cpu")
        assert torch.equal(before.rejected, after.rejected)
        blank = [
            dataclasses.replace(p, vision={k: v * -1 if v.is_floating_point() else v for k, v in p.vision.items()})
            for p in pairs
        ]
        assert (response_logprobs(model, blank, "shared", "cpu").chosen - before.chosen).abs().min() > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_moves_projector_and_language_model_and_no_tower(family: str, tmp_path: Path) -> None:
    model, prompts = shared_family(family)
    start = {name: parameter.clone() for name, parameter in model.named_parameters()}
    trained = make_trainable(copy.deepcopy(model), AlignConfig(model="", data=""))
    step(trained, encoded(prompts))
    moved = {name for name, parameter in trained.named_parameters() if not torch.equal(parameter, start[name])}
    row = family_of(model.config)
    parts = {name: row.part_of(name) for name in start}
    assert set(parts.values()) == {"tower", "projector", "language"}, "every parameter lies in one of them"
    assert moved == {name for name, part in parts.items() if part != "tower"}
    trained.save_pretrained(tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float64).state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in trained.state_dict().items()), "read back"


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_adapts_the_language_models_linear_layers_and_nothing_else(family: str) -> None:
    model, prompts = shared_family(family)
    config = AlignConfig(model="", data="", lora_rank=2)
    adapted = make_trainable(copy.deepcopy(model), config).double()
    names = [name.removeprefix("base_model.model.") for name, p in adapted.named_parameters() if p.requires_grad]
    language = family_of(model.config).language
    assert names and all(name.startswith(f"model.{language}.") and ".lora_" in name for name in names)
    if family.endswith("_moe"):
        assert {name.split(".")[-5] for name in names} <= {"self_attn", "linear_attn"}
    step(adapted, encoded(prompts))
    assert all(p.abs().max() > 0 for name, p in adapted.named_parameters() if ".lora_B." in name)


@pytest.mark.parametrize("family", ["llava_next", "qwen3_vl", "idefics3", "gemma3"])
def test_a_pair_without_an_image_may_stand_in_a_batch_of_pairs_with_one(family: str) -> None:
    model, prompts = shared_family(family)
    route: Route = "plain" if family in PLAIN else "shared"
    mixed = with_a_text(prompts)
    with torch.no_grad():
        out = response_logprobs(model, mixed, route, "cpu")
        for pair, chosen, rejected in zip(mixed, out.chosen, out.rejected, strict=True):
            torch.testing.assert_close(chosen, alone(model, pair, pair.chosen), rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(rejected, alone(model, pair, pair.rejected), rtol=1e-6, atol=1e-6)


def test_cross_attention_refuses_such_a_batch() -> None:
    model, prompts = shared_family("mllama")
    with pytest.raises(UsageError, match="pairs with different numbers of images cannot share a forward of this model"):
        response_logprobs(model, with_a_text(prompts), "shared", "cpu")


def with_a_text(prompts: Prompts) -> list[Encoded]:
    """Pairs with an image around one without."""
    text = dataclasses.replace(Pair.about(picture(16, 16), "t", "?", "a dog", "no"), prompt=(question("what is it ?"),))
    first, _, last = encoded(prompts)
    return [first, Encoder(prompts, 256)(9, text), last]


def step(model: Any, pairs: list[Encoded]) -> None:
    """One step of gradient descent that raises what is chosen over what is rejected."""
    out = response_logprobs(model, pairs, "plain", "cpu")
    (out.rejected - out.chosen).sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)


def test_a_window_shorter_than_the_longest_row_keeps_from_the_shared_row() -> None:
    model, prompts = shared_family("aya_vision")  # windows of 4096 tokens, so rows of two times 2048 are safe
    assert choose_route(model, prompts, "auto", 2048)[0] == "shared"
    assert choose_route(model, prompts, "auto", 2049) == (
        "plain",
        "plain rows (sliding windows of 4096 tokens under rows of up to 4098 (twice max_length))",
    )


def test_a_shared_row_that_is_asked_for_is_refused_with_the_difference_measured() -> None:
    model, prompts = shared_family("paligemma")
    with pytest.raises(UsageError, match=r"route=shared would not be exact .* differs by \d\.\de-0\d nats a tok"):
        choose_route(model, prompts, "shared", 256)
    assert choose_route(model, prompts, "plain", 256) == ("plain", "plain rows (as asked)")


@pytest.mark.parametrize("family", SHARED)
def test_pairs_of_one_image_in_one_row_equal_rows_of_their_own(family: str) -> None:
    """Values and gradients of pairs with one image, another image, and none; what is shared is counted."""
    model, prompts = shared_family(family)
    pairs = of_few_images(prompts, text=family != "mllama")
    groups = groups_of(pairs, image_tokens(model.config))
    assert [group.numbers for group in groups] == ([[0, 2, 3], [1]] if family == "mllama" else [[0, 2, 3], [1], [4]])
    found = []
    for route in ("images", "shared"):
        out = response_logprobs(model, pairs, route, "cpu")  # type: ignore[arg-type]
        values = torch.stack([out.chosen, out.rejected], 1).flatten()
        found.append((out.tokens, values.detach(), gradients(model, values)))
    (tokens, values, slopes), (expected_tokens, expected, wanted) = found
    torch.testing.assert_close(tokens, expected_tokens, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-6)
    for name, slope in slopes.items():
        torch.testing.assert_close(slope, wanted[name], rtol=1e-5, atol=1e-5)


def of_few_images(prompts: Prompts, *, text: bool) -> list[Encoded]:
    """Three pairs of one image, two of which ask the same, one of another between them, and one without an image."""
    encode = Encoder(prompts, 256)
    asked = [(16, "what is in the image ?"), *((size, "is there a cat ?") for size in (32, 16, 16))]
    made = [
        encode(n, Pair.about(picture(size, 16), str(n), question, *TEXTS[n % 3]))
        for n, (size, question) in enumerate(asked)
    ]
    made += [with_a_text(prompts)[1]] if text else []
    doubled = [{k: v.double() if v.is_floating_point() else v for k, v in pair.vision.items()} for pair in made]
    return [dataclasses.replace(pair, vision=vision) for pair, vision in zip(made, doubled, strict=True)]
