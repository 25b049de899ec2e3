"""FLOPs of one preference pair at LLaVA-1.5-7B's shapes, counted exactly on the meta device: TRL's step and ours.

TRL's side runs TRL's own patched forward (its fused head) as its DPOTrainer does: the pair as two rows, the image
twice, a reference forward every step. The head sees response positions alone, as it does on a GPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlavaForConditionalGeneration

from aligners.dpo import Dpo
from aligners.objective import Batch
from aligners.pairs.encoding import Encoded
from aligners.pairs.forward import response_logprobs
from aligners.pairs.last_layer import shorten_last_layer
from aligners.training.config import AlignConfig
from aligners.training.lora import make_trainable
from aligners.training.model_configs import KNOWN

IMAGE, PROMPT = 576, 40
KEPT = 12 / 16
"""Share of a step of 16 pairs that gap and dama keep: floor(0.8 x 16) of 16."""
LORA = AlignConfig(model="", data="", lora_rank=128, lora_alpha=256)
FULL = AlignConfig(model="", data="")
llava_7b = KNOWN["llava-hf/llava-1.5-7b-hf"]


def pair(length: int, question: int = 2) -> Encoded:
    """A pair with ``length`` tokens a response, of the one image; ``question`` is the token of its question."""
    prefix = torch.tensor([1] * 5 + [32000] * IMAGE + [question] * (PROMPT - 5))
    pixels = {"pixel_values": torch.zeros(1, 3, 336, 336, dtype=torch.bfloat16)}
    return Encoded(0, "0", prefix, torch.full((length,), 3), torch.full((length,), 4), pixels, {})


@contextlib.contextmanager
def meta_model(lora: bool, checkpointing: bool) -> Iterator[Any]:
    """A model without weights whose language model and projector (or adapters) are trainable."""
    with torch.device("meta"):
        model = LlavaForConditionalGeneration._from_config(llava_7b(), attn_implementation="sdpa", dtype=torch.bfloat16)
        model = make_trainable(model, LORA if lora else FULL)
    base = model.get_base_model() if lora else model
    shorten_last_layer(base)
    if checkpointing:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    # The check counts image tokens by value, which the meta device does not have; nor does it know autocast.
    check = mock.patch("transformers.models.llava.modeling_llava.torch_compilable_check", lambda *_, **__: None)
    with check, mock.patch("torch.is_autocast_enabled", lambda *_: False):
        yield model


def count(lora: bool, checkpointing: bool, length: int = 150) -> dict[str, float]:
    """TFLOPs a pair of TRL's step (``trl``), of ours in one pass (``one``) and in two (``two``: gap, dama)."""
    with meta_model(lora, checkpointing) as model:
        one, forward = ours(model, length)
    with meta_model(lora, checkpointing) as model:
        theirs = trl(model, length, lora)
    scale = 1e12
    return {"trl": theirs / scale, "one": one / scale, "two": (forward + KEPT * one) / scale}


def count_of_one_image(lora: bool, checkpointing: bool, pairs: int, length: int = 150) -> float:
    """TFLOPs a pair of our step in one pass where ``pairs`` pairs of one image share a row, each with its question."""
    with meta_model(lora, checkpointing) as model:
        return ours(model, length, pairs)[0] / pairs / 1e12


def ours(model: Any, length: int, count: int = 1) -> tuple[int, int]:
    """FLOPs of forward, loss and backward of ``count`` pairs of one image; and of a forward without graph."""
    pairs = [pair(length, question) for question in range(2, 2 + count)]
    with FlopCounterMode(display=False) as step:
        out = response_logprobs(model, pairs, "images", "meta")
        reference = torch.zeros(count, device="meta")
        batch = Batch(out.chosen, out.rejected, reference, reference)
        Dpo().losses(batch, torch.full((count,), 0.1, device="meta")).sum().backward()  # type: ignore[no-untyped-call]
    with FlopCounterMode(display=False) as first, torch.no_grad():
        response_logprobs(model, pairs, "images", "meta")
    return step.get_total_flops(), first.get_total_flops()


def trl(model: Any, length: int, lora: bool) -> int:
    """FLOPs of TRL's step: policy forward and backward, and the reference forward (the same model, without a graph)."""
    from trl.trainer.utils import add_fused_lm_head

    base = model.get_base_model() if lora else model
    add_fused_lm_head(base, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    first = IMAGE + PROMPT - 1  # predicts the response's first token

    def responses_only(module: Any, inputs: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, first:-1]
        return output

    base.model.register_forward_hook(responses_only)
    one = pair(length)
    ids = torch.stack([torch.cat([one.prefix, one.chosen]), torch.cat([one.prefix, one.rejected])]).to("meta")
    inputs = {
        "input_ids": ids,
        # A ready mask, since making one reads values; attention is counted dense either way.
        "attention_mask": torch.ones(2, 1, ids.shape[1], ids.shape[1], dtype=torch.bool, device="meta"),
        "pixel_values": torch.cat([one.vision["pixel_values"]] * 2).to("meta"),
        "shift_labels": torch.zeros(2, length, dtype=torch.long, device="meta"),
        "fused_lm_head": True,
        "use_cache": False,
    }
    with FlopCounterMode(display=False) as counter:
        policy = model(**inputs).log_probs.sum(1)
        with torch.no_grad(), model.disable_adapter() if lora else contextlib.nullcontext():
            reference = model(**inputs).log_probs.sum(1)
        ratio = policy - reference
        torch.nn.functional.logsigmoid(ratio[:1] - ratio[1:]).sum().backward()
    return int(counter.get_total_flops())
