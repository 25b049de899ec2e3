"""The probe of a model on this machine: quiet where training and asking agree, and each fault found by its own word."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from aligners.pairs.probing import encoded
from harness.errors import UsageError
from harness.models.batching import choose_layout
from harness.models.hf import HfModel
from harness.models.probe import QUESTION, Reading, asked_about, pictures
from harness.models.processors import end_ids
from harness.models.prompts import Prompts
from harness.protocols.conversation import Turn
from harness.protocols.probe import Probe, Trained
from tests.tiny_families import FAMILIES, shared_family


def wrapped(network: Any, prompts: Prompts) -> HfModel:
    return HfModel(network, prompts, name="m", spec="hf:m", identity="", layout=choose_layout(network, prompts))


def probe(family: str, encode: Any = encoded, change: Callable[[Prompts], Prompts] = lambda prompts: prompts) -> Probe:
    network, prompts = shared_family(family)
    prompts = dataclasses.replace(prompts, ends=end_ids(network.generation_config, prompts.processor))
    return wrapped(network, change(prompts)).probe(encode)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_whose_training_and_asking_agree_passes(family: str) -> None:
    found = probe(family)
    assert not found.of_state("bad") and {c.name for c in found.checks} == {"prompt", "end", "image", "numbers"}
    assert found.tokens["training"] == found.tokens["generation"] == found.record["tokens"]["generation"] > 8
    form = shared_family(family)[1].form([asked_about(pictures()[0])])
    assert found.image_tokens and found.end == form.end.strip() and QUESTION in found.prompt
    found.require("m")


def fault(found: Probe, state: Any = "bad") -> str:
    """The only fault that was found."""
    (only,) = found.of_state(state)
    return only


def test_another_template_in_training_is_named_by_its_first_differing_token() -> None:
    def other(prompts: Prompts, turns: Sequence[Turn]) -> Trained:
        return encoded(prompts, [Turn("user", ("no", *turns[0].content))])

    found = probe("qwen2_vl", other)
    assert fault(found) == (
        "the prompt has 103 tokens in training and 101 in generation; they part at token 44: "
        "'n o <|vision_start|>' in training, '<|vision_start|> <|image_pad|> <|image_pad|>' in generation"
    )
    with pytest.raises(UsageError, match=r"hf:m: the prompt has .* Nothing was trained or asked.*--no-probe"):
        found.require("hf:m")


def test_a_prompt_that_begins_twice_is_a_fault_though_training_does_the_same() -> None:
    def twice(prompts: Prompts) -> Prompts:
        processor = copy.copy(prompts.processor)
        processor.chat_template = "<s><s>" + processor.chat_template
        return dataclasses.replace(prompts, processor=processor)

    assert "'<s>' twice" in fault(probe("llava", change=twice))


class Blind(Prompts):
    """Whose processor makes the same pixels of every image."""

    def inputs(self, texts: Sequence[str], images: Any, **options: Any) -> Any:
        made = super().inputs(texts, images, **options)
        made["pixel_values"] = torch.zeros_like(made["pixel_values"])
        return made


class Deaf(Prompts):
    """Whose generation stops at another token than the template's end."""

    stops = frozenset({4})  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Blind, "another image makes the same logits"),
        (Deaf, "at which generation does not stop (it stops at '<image>')"),
    ],
)
def test_an_image_that_is_not_seen_and_an_end_that_is_not_heard_are_faults(kind: type[Prompts], said: str) -> None:
    assert said in fault(probe("qwen2_vl", change=lambda prompts: kind(prompts.processor, prompts.ends)))


def test_a_template_that_leaves_the_image_out_is_a_fault() -> None:
    def without(prompts: Prompts) -> Prompts:
        processor = copy.copy(prompts.processor)
        processor.chat_template = "{% for m in messages %}{{ m.content[-1].text }} {% endfor %}"
        return dataclasses.replace(prompts, processor=processor)

    assert "writes <image> 0 times for 1 images" in fault(probe("llava_next", change=without))


def test_random_weights_are_a_warning_and_broken_ones_a_fault() -> None:
    network = copy.deepcopy(shared_family("llava")[0])
    prompts = dataclasses.replace(shared_family("llava")[1], ends=frozenset({2}))
    network.lm_head.weight.data *= 1e-3
    found = wrapped(network, prompts).probe()
    assert "entropy 100 % of the most possible" in fault(found, "warning") and not found.of_state("bad")
    assert found.of_state("note") == ["training was not looked at"]
    network.lm_head.weight.data[0] = float("nan")
    assert "not finite" in fault(wrapped(network, prompts).probe())


def test_a_tokeniser_that_joins_prompt_and_answer_is_a_warning() -> None:
    reading = Reading(shared_family("llava")[1].processor.tokenizer, None)
    checks = reading.same_prompt({"generation": [5, 6, 7]}, Trained((5, 6), (8, 2)), "")
    assert [(check.name, check.state) for check in checks] == [("prompt", "ok"), ("seam", "warning")]
