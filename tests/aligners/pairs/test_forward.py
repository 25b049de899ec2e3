from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aligners.pairs.data import Pair, load_pairs
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.forward import Route, response_logprobs
from aligners.pairs.route import choose_route
from harness.errors import DataError, UsageError
from harness.models.prompts import Prompts
from harness.protocols.conversation import Image, question
from tests.tiny import load_tiny, picture, tiny_llava


@pytest.fixture(scope="module")
def model_and_pairs(llava: Path, pairs_file: Path) -> tuple[Any, list[Encoded]]:
    model, processor = load_tiny(llava)
    encode = Encoder(Prompts(processor), 256)
    return model.double(), [encode(i, pair) for i, pair in enumerate(load_pairs(pairs_file, 5).pairs)]


def alone(model: Any, pair: Encoded, response: Tensor) -> Tensor:
    """The definition: one response, unpadded, through the stock model."""
    ids = torch.cat([pair.prefix, response])[None]
    logits: Tensor = model(input_ids=ids, pixel_values=pair.vision["pixel_values"].double()).logits[0]
    first = len(pair.prefix)
    return logits[first - 1 : -1].log_softmax(-1).gather(1, response[:, None]).sum()


def in_double(pairs: list[Encoded]) -> list[Encoded]:
    return [dataclasses.replace(p, vision={k: v.double() for k, v in p.vision.items()}) for p in pairs]


@pytest.mark.parametrize("route", ["shared", "plain"])
def test_both_routes_equal_each_response_alone(model_and_pairs: tuple[Any, list[Encoded]], route: Route) -> None:
    model, pairs = model_and_pairs
    coefficients = torch.linspace(-1, 1, 2 * len(pairs), dtype=torch.float64)

    model.zero_grad()
    expected = torch.stack([alone(model, pair, r) for pair in pairs for r in (pair.chosen, pair.rejected)])
    (coefficients * expected).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    model.zero_grad()
    out = response_logprobs(model, in_double(pairs), route, "cpu")
    found = torch.stack([out.chosen, out.rejected], 1).flatten()
    (coefficients * found).sum().backward()

    assert found.dtype == torch.float64
    # Llama's RMSNorm computes in float32 whatever the model's type: that is what is left.
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert gradients
    for name, parameter in model.named_parameters():
        if name in gradients:
            torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-5, atol=1e-5)
    assert out.chosen_length.tolist() == [len(pair.chosen) for pair in pairs]


def test_what_is_chosen_does_not_touch_what_is_rejected(model_and_pairs: tuple[Any, list[Encoded]]) -> None:
    model, pairs = model_and_pairs
    pairs = in_double(pairs[:2])
    before = response_logprobs(model, pairs, "shared", "cpu")
    changed = [dataclasses.replace(pair, chosen=(pair.chosen + 3) % 30 + 5) for pair in pairs]
    after = response_logprobs(model, changed, "shared", "cpu")
    assert torch.equal(before.rejected, after.rejected)
    assert not torch.isclose(before.chosen, after.chosen).any()


def test_a_pair_is_its_prompt_its_image_and_two_closed_responses(llava: Path) -> None:
    _, processor = load_tiny(llava)
    encoded = Encoder(Prompts(processor), 64)(0, Pair.about(picture(0), "7", "what ?", "a dog", "a red dog"))
    words = processor.tokenizer
    assert words.decode(encoded.prefix) == "USER : <image> <image> <image> <image> what ? ASSISTANT :"
    assert words.decode(encoded.chosen) == "a dog </s>"
    assert words.decode(encoded.rejected) == "a red dog </s>"


def test_long_responses_are_cut_from_the_right_and_images_never(llava: Path) -> None:
    _, processor = load_tiny(llava)
    pair = Pair.about(picture(0), "7", "what ?", "a red dog", "a blue cat")
    cut = Encoder(Prompts(processor), 12)(0, pair)  # 10 tokens of prompt
    assert processor.tokenizer.decode(cut.chosen) == "a red"
    with pytest.raises(DataError, match="pair 7: chosen and rejected are the same tokens after the cut"):
        Encoder(Prompts(processor), 11)(0, pair)
    with pytest.raises(DataError, match=r"pair 7: .* no room for a response in max_length=10 .* take 10"):
        Encoder(Prompts(processor), 10)(0, pair)


def test_without_a_template_the_prompt_is_llavas(tmp_path: Path) -> None:
    _, processor = load_tiny(tiny_llava(tmp_path, template=None))
    assert Prompts(processor).text([question("what ?", Image())]) == "USER: <image>\nwhat ? ASSISTANT:"


def test_a_model_that_does_not_fit_the_shared_row_takes_plain_rows(
    llava: Path, model_and_pairs: tuple[Any, list[Encoded]]
) -> None:
    model, prompts = model_and_pairs[0], Prompts(load_tiny(llava)[1])
    assert choose_route(model, prompts, "auto", 256)[0] == "shared"
    model.set_attn_implementation("eager")
    try:
        assert choose_route(model, prompts, "auto", 256)[0] == "plain"
        with pytest.raises(UsageError, match=r"route=shared would not be exact .*: eager attention"):
            choose_route(model, prompts, "shared", 256)
    finally:
        model.set_attn_implementation("sdpa")


def test_a_template_that_breaks_the_common_prefix_is_named(llava: Path) -> None:
    _, processor = load_tiny(llava)

    original = processor.tokenizer

    class Rewrites:
        """A tokenizer whose first token depends on what follows the prompt."""

        bos_token, eos_token_id = "<s>", 2

        def __call__(self, texts: list[str], add_special_tokens: bool) -> dict[str, list[list[int]]]:
            ids = original(texts)["input_ids"]
            return {"input_ids": [[len(text), *row] for text, row in zip(texts, ids, strict=True)]}

    pair = Pair.about(picture(0), "7", "what ?", "a dog", "a red dog")
    form = Prompts(processor).form(pair.prompt)
    processor.tokenizer = Rewrites()
    with pytest.raises(DataError, match="pair 7: the prompt's tokens change when a response follows"):
        Encoder(Prompts(processor), 64)._responses(form, pair)
