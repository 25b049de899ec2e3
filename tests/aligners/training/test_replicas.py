"""DDP searches for parameters without a gradient only where there may be some."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from aligners.pairs.data import Pair
from aligners.pairs.forward import response_logprobs
from aligners.training.config import AlignConfig
from aligners.training.lora import make_trainable
from aligners.training.replicas import all_take_part
from tests.aligners.test_families import encoded
from tests.tiny import picture
from tests.tiny_families import shared_family

PAIR = Pair.about(picture(0), "1", "what ?", "a dog", "a cat")
TEXT = Pair.about(None, "2", "what ?", "a dog", "a cat")


def trained(family: str, **settings: Any) -> Any:
    return make_trainable(copy.deepcopy(shared_family(family)[0]), AlignConfig(model="", data="", **settings))


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "qwen3_vl_moe"])
@pytest.mark.parametrize("settings", [{}, {"lora_rank": 2}, {"train_vision": True}])
def test_where_it_is_said_every_trained_parameter_gets_a_gradient(family: str, settings: dict[str, Any]) -> None:
    model = trained(family, **settings)
    found = all_take_part(model, [PAIR])
    assert found == ("train_vision" not in settings and (family != "qwen3_vl_moe" or "lora_rank" in settings))
    if found:
        model = model.double()
        response_logprobs(model, encoded(shared_family(family)[1])[:1], "shared", "cpu").tokens.sum().backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_a_pair_without_an_image_and_cross_attention_need_the_search() -> None:
    assert not all_take_part(trained("llava"), [PAIR, TEXT])
    assert not all_take_part(trained("mllama", lora_rank=2), [PAIR])
