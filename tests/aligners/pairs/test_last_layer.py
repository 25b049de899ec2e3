"""The last layer at the positions that count: the same numbers of fewer rows, and whole where that is not exact."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from aligners.pairs import last_layer
from aligners.pairs.encoding import Encoded
from aligners.pairs.forward import Route, response_logprobs
from aligners.pairs.last_layer import shorten_last_layer
from aligners.pairs.route import choose_route
from harness.models.prompts import Prompts
from tests.aligners.test_families import SHARED, encoded, gradients
from tests.tiny_families import shared_family


@pytest.fixture
def model_and_prompts() -> tuple[Any, Prompts]:
    model, prompts = shared_family("llava")
    whole = copy.deepcopy(model)
    for module in whole.modules():  # another test may have shortened the shared one
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for number in [
                number
                for number, hook in hooks.items()
                if isinstance(getattr(hook, "__self__", None), last_layer._Shortened)
            ]:
                del hooks[number]
    return whole, prompts


def rows_of_layers(model: Any, pairs: list[Encoded], route: Route) -> list[int]:
    """How many tokens of each row the MLP of every layer computes."""
    seen: list[int] = []
    handles = [
        layer.mlp.down_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
        for layer in model.get_decoder().layers
    ]
    response_logprobs(model, pairs, route, "cpu")
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("checkpointing", ["none", "transformers", "fsdp"])
def test_the_last_layer_computes_from_the_last_token_of_the_prompt_on(
    model_and_prompts: tuple[Any, Prompts], checkpointing: str
) -> None:
    """Values equal to 1e-12 and gradients to 2e-8 (Llama's norms are float32), also where layers are run again."""
    model, prompts = model_and_prompts
    pairs = encoded(prompts)
    if checkpointing == "transformers":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.train()
    if checkpointing == "fsdp":
        layers = model.get_decoder().layers
        for at, layer in enumerate(layers):
            layers[at] = checkpoint_wrapper(layer, preserve_rng_state=False)

    def computed() -> tuple[Tensor, dict[str, Tensor]]:
        tokens = response_logprobs(model, pairs, "shared", "cpu").tokens
        return tokens.detach(), gradients(model, tokens)

    expected, wanted = computed()
    length = padded_length(pairs)
    assert rows_of_layers(model, pairs, "shared") == [length, length]
    handles = shorten_last_layer(model)
    assert shorten_last_layer(model) == [], "it is already"
    first = min(len(pair.prefix) for pair in pairs) - 1
    assert first > 5 and rows_of_layers(model, pairs, "shared") == [length, length - first]
    longest = -(-max(len(pair.prefix) + max(len(pair.chosen), len(pair.rejected)) for pair in pairs) // 8) * 8
    assert rows_of_layers(model, pairs, "plain") == [longest, longest], "transformers makes the mask of plain rows"
    found, made = computed()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert made.keys() == wanted.keys()
    for name, slope in made.items():
        torch.testing.assert_close(slope, wanted[name], rtol=2e-8, atol=2e-8)
    for handle in handles:
        handle.remove()
    assert rows_of_layers(model, pairs, "shared") == [length, length]


@pytest.mark.parametrize("family", [family for family in SHARED if family != "mllama"])  # ends with cross-attention
def test_choosing_the_shared_row_shortens_the_last_layer_of_every_family(family: str) -> None:
    model, prompts = shared_family(family)
    choose_route(model, prompts, "auto", 256)
    pairs = encoded(prompts)
    assert rows_of_last_mlp(model, pairs) == padded_length(pairs) - (min(len(pair.prefix) for pair in pairs) - 1)


def padded_length(pairs: list[Encoded]) -> int:
    """Tokens of the rows of pairs, the next multiple of 8."""
    return -(-max(len(pair.prefix) + len(pair.chosen) + len(pair.rejected) for pair in pairs) // 8) * 8


def rows_of_last_mlp(model: Any, pairs: list[Encoded]) -> int:
    seen: list[int] = []
    mlp = model.get_decoder().layers[-1].mlp
    handle = mlp.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].shape[1]))
    with torch.no_grad():
        response_logprobs(model, pairs, "shared", "cpu")
    handle.remove()
    return seen[0]


@pytest.fixture
def first_token_is_read(model_and_prompts: tuple[Any, Prompts]) -> Iterator[tuple[Any, Prompts]]:
    """A model whose last norm adds the row's first token, which both rows of a pair share, to all."""
    model, prompts = model_and_prompts
    norm = model.get_decoder().norm
    handle = norm.register_forward_pre_hook(lambda _, inputs: (inputs[0] + inputs[0][:, :1],))
    yield model, prompts
    handle.remove()


def test_a_model_that_reads_earlier_tokens_of_its_last_layer_keeps_it_whole(
    first_token_is_read: tuple[Any, Prompts],
) -> None:
    model, prompts = first_token_is_read
    assert choose_route(model, prompts, "auto", 256)[0] == "shared"
    layer = model.get_decoder().layers[-1]
    assert not layer.self_attn._forward_pre_hooks and not layer.mlp._forward_hooks


def test_a_copy_of_a_model_is_shortened_by_itself(model_and_prompts: tuple[Any, Prompts]) -> None:
    model, prompts = model_and_prompts
    shorten_last_layer(model)
    pairs, other = encoded(prompts), copy.deepcopy(model)
    assert shorten_last_layer(other) == []
    seen = rows_of_layers(other, pairs, "shared")
    assert seen == rows_of_layers(model, pairs, "shared") and seen[1] < seen[0]
    assert rows_of_layers(other, pairs[:1], "plain")[0] == rows_of_layers(other, pairs[:1], "plain")[1]
