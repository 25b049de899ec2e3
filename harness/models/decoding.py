"""From a benchmark's decoding to what generate() is given, with what the checkpoint's own configuration adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from harness.models.batching import GenerateOptions
from harness.protocols.benchmark import Decoding

SILENT = (
    "no_repeat_ngram_size", "encoder_repetition_penalty", "min_length", "min_new_tokens", "suppress_tokens",
    "length_penalty", "guidance_scale", "exponential_decay_length_penalty", "max_time",
)  # fmt: skip
"""What generate() takes from the checkpoint's configuration by itself and no decoding of a benchmark names."""
OFF: tuple[Any, ...] = (None, 0, 1.0, [], ())
"""Values at which none of them does anything."""
SAMPLING = {"do_sample": True, "top_k": 50, "top_p": 1.0}
"""How answers are sampled, whatever the checkpoint's configuration cuts off: as transformers does by default."""


class EosBias(LogitsProcessor):
    """Adds a constant to the end-of-sequence logits: answers get shorter if it is positive."""

    def __init__(self, eos_ids: Sequence[int], bias: float) -> None:
        self._eos_ids, self._bias = list(eos_ids), bias

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.clone()
        scores[:, self._eos_ids] += self._bias
        return scores


def decoded_by(asked: Decoding, checkpoint: Any) -> Decoding:
    """``asked`` with the repetition penalty of the checkpoint's configuration (Qwen2-VL: 1.05) unless it names one.

    A penalty of 1 is none, and named as none.
    """
    penalty = asked.repetition_penalty or checkpoint.repetition_penalty
    return replace(asked, repetition_penalty=None if penalty == 1.0 else penalty)


def also_shaped_by(checkpoint: Any) -> str:
    """What else of the checkpoint's configuration shapes its answers, in words for its key and a record."""
    return ", ".join(f"{name}={value}" for name in SILENT if (value := getattr(checkpoint, name, None)) not in OFF)


def generate_options(asked: Decoding, checkpoint: Any, ends: Sequence[int], padding: int) -> GenerateOptions:
    """What generate() is given for ``asked``; ``ends`` are the ids at which an answer stops."""
    sampling = {**SAMPLING, "temperature": asked.temperature} if asked.temperature > 0 else {}
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=asked.max_new_tokens,
        num_beams=asked.num_beams,
        repetition_penalty=decoded_by(asked, checkpoint).repetition_penalty or 1.0,
        eos_token_id=list(ends),
        pad_token_id=padding,
        **({"do_sample": False} | sampling),
    )
    bias = [EosBias(ends, asked.eos_bias)] if asked.eos_bias else []
    return GenerateOptions(config, LogitsProcessorList(bias))
