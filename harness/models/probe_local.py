"""The probe of a model on this machine: two images through the very code that answers benchmarks.

It costs two rows through the model, and a second token only where something is wrong. What arrives at ``generate`` is
looked at, the first logits are kept, and then the end that training teaches is forced, to see whether generation stops
at it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from harness.models.batching import Padded
from harness.models.generation import GenerateOptions
from harness.models.probe import QUESTION, Reading, asked_ids, image_token_of, pictures, trained_as
from harness.models.prompts import Prompts
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Turn
from harness.protocols.probe import Check, Encode, Probe
from harness.util.images import open_image
from harness.util.options import content_key

if TYPE_CHECKING:
    from harness.models.hf import HfModel

ANSWER_TOKENS = 2
SAME = 4 * torch.finfo(torch.float32).eps
"""Logits closer than this, relative to the largest, are of one image: the rest is the order of additions."""
UNIFORM = 0.9
"""A next token whose entropy is above this part of the most there can be comes from random weights."""


@dataclass
class Seen:
    """What arrived at ``generate``, row by row: prompts without padding, first logits [V], tokens made; its stops."""

    prompts: list[list[int]] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    stops: set[int] = field(default_factory=set)


class Ending(LogitsProcessor):
    """Keeps the first logits, and has every answer be ``end`` alone (None: as it likes)."""

    def __init__(self, end: int | None, kept: list[Tensor]) -> None:
        self._end, self._kept, self._first = end, kept, True

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        if not self._first:
            return scores
        self._first = False
        self._kept.extend(scores.detach().float().cpu())
        if self._end is not None:
            scores = torch.full_like(scores, -math.inf)
            scores[:, self._end] = 0
        return scores


@contextlib.contextmanager
def watched(network: Any, end: int | None = None, *, run: bool = True) -> Iterator[Seen]:
    """While it lasts, what ``network.generate`` is given is seen; without ``run`` nothing is computed."""
    seen, own, generate = Seen(), vars(network).get("generate"), network.generate

    def watching(**inputs: Any) -> Tensor:
        ids: Tensor = inputs["input_ids"]
        seen.prompts += [row[mask.bool()].tolist() for row, mask in zip(ids, inputs["attention_mask"], strict=True)]
        if not run:
            return ids
        seen.stops |= {*inputs["generation_config"].eos_token_id}
        inputs["logits_processor"] = LogitsProcessorList([*inputs["logits_processor"], Ending(end, seen.logits)])
        out: Tensor = generate(**inputs)
        seen.made += [out.shape[1] - ids.shape[1]] * len(out)
        return out

    network.generate = watching
    try:
        yield seen
    finally:
        del network.generate
        if own is not None:
            network.generate = own


def probe_local(model: HfModel, encode: Encode | None) -> Probe:
    """The probe of ``model``. ``encode`` is how training encodes the question; None leaves that out."""
    started = time.perf_counter()
    prompts, network, size = model.prompts, model.network, model.batch_size
    samples = [Sample(str(i), QUESTION, image) for i, image in enumerate(pictures())]
    trained, untrained = trained_as(encode, prompts, [samples[0].turn])
    end = trained.response[-1] if trained else None
    with watched(network, end) as seen:
        answers = dict(model.generate(samples, Decoding(max_new_tokens=ANSWER_TOKENS)))
    model.batch_size = size  # memory that ran out here says nothing of other prompts
    if errors := [answer.error for answer in answers.values() if answer.error]:
        return Probe(checks=(Check("answer", "bad", f"it cannot answer about an image: {errors[0]}"),))
    ids = seen.prompts[0]
    asked = {"generation": ids, "padded batches": _in_padded_batches(network, prompts, samples)}
    image_token = image_token_of(prompts.processor, network.config)
    reading = Reading(prompts.processor.tokenizer, image_token)
    image_tokens = None if image_token is None else ids.count(image_token)
    return Probe(
        prompt=reading.text(ids),
        tokens={**({"training": len(trained.prompt)} if trained else {}), "generation": len(ids)},
        image_tokens=image_tokens,
        end="" if end is None else reading.token(end),
        digest=content_key(ids),
        checks=(
            *reading.same_prompt(asked, trained, untrained),
            *reading.beginning(ids),
            *_end(end, seen, reading),
            *_logits(seen.logits, image_tokens),
        ),
        seconds=time.perf_counter() - started,
    )


def probe_tokens(model: HfModel, encode: Encode | None, turns: Sequence[Turn]) -> Probe:
    """Of any conversation, whether its tokens are asked as they are trained; nothing is computed."""
    started = time.perf_counter()
    prompts = model.prompts
    ids = asked_ids(prompts, turns)
    image_token = image_token_of(prompts.processor, model.network.config)
    reading = Reading(prompts.processor.tokenizer, image_token)
    trained, untrained = trained_as(encode, prompts, turns)
    return Probe(
        prompt=reading.text(ids),
        tokens={**({"training": len(trained.prompt)} if trained else {}), "generation": len(ids)},
        image_tokens=None if image_token is None else ids.count(image_token),
        end=reading.token(trained.response[-1]) if trained else "",
        digest=content_key(ids),
        checks=(*reading.same_prompt({"generation": ids}, trained, untrained), *reading.beginning(ids)),
        seconds=time.perf_counter() - started,
    )


def _in_padded_batches(network: Any, prompts: Prompts, samples: Sequence[Sample]) -> list[int]:
    """The prompt as padded batches have it, whatever layout the model is run in."""
    layout = Padded(network, prompts)
    opened = {sample.id: prompts.shown(open_image(sample.image.read())) for sample in samples if sample.image}
    rows = layout.rows([(prompts.text([sample.turn]), sample.id) for sample in samples])
    nothing = GenerateOptions(GenerationConfig(), LogitsProcessorList())  # type: ignore[no-untyped-call]
    with watched(network, run=False) as seen:
        layout.generate(rows, opened, nothing)
    return seen.prompts[0]


def _end(end: int | None, seen: Seen, reading: Reading) -> list[Check]:
    """Whether generation stopped at the end that was forced."""
    if end is None:
        return []
    stops = ", ".join(repr(reading.token(stop)) for stop in sorted(seen.stops)) or "no token"
    if max(seen.made) == 1:
        return [Check("end", "ok", f"answers end in {reading.token(end)!r}, and generation stops at it")]
    return [
        Check(
            "end",
            "bad",
            f"answers are trained to end in {reading.token(end)!r}, at which generation does not stop (it stops at "
            f"{stops}): name it in eos_token_id of generation_config.json, or give a template that ends so",
        )
    ]


def _logits(logits: Sequence[Tensor], image_tokens: int | None) -> list[Check]:
    """Whether the logits, which are numbers, are of trained weights, and others with another image."""
    return [_image(logits[0], logits[1], image_tokens), _distribution(logits[0])]


def _image(one: Tensor, other: Tensor, tokens: int | None) -> Check:
    if tokens == 0:
        said = "the prompt holds no image token: the template leaves the image out"
        return Check("image", "bad", f"{said}; give one that has it (--set model.template)")
    both = one.isfinite() & other.isfinite()
    apart, size = (one - other)[both].abs().max().item(), torch.maximum(one.abs(), other.abs())[both].max().item()
    if apart <= SAME * size:
        return Check("image", "bad", "another image makes the same logits: the model does not see the image")
    return Check("image", "ok", f"another image moves the first logits of an answer by up to {apart:.3g}")


def _distribution(logits: Tensor) -> Check:
    log_probs = logits.double().log_softmax(-1)
    share = torch.special.entr(log_probs.exp()).sum().item() / math.log(len(log_probs))
    said = f"entropy {100 * share:.0f} % of the most possible"
    if share > UNIFORM:
        said = f"the first token of an answer is next to arbitrary ({said})"
        return Check("numbers", "warning", f"{said}: are these trained weights, and of this tokeniser?")
    return Check("numbers", "ok", f"finite; the first token's {said}")
