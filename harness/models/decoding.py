"""From a benchmark's decoding to what generate() is given, with what the checkpoint's own configuration adds to it.

Generate() fills whatever it is not given from the model's generation_config.json. Here every field of that file is
either taken over and recorded (``RECORDED``), or set aside while the model answers (``only_given``): nothing of it
shapes an answer without a word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence, Sized
from dataclasses import replace
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from harness.models.generation import GenerateOptions
from harness.protocols.benchmark import Decoding

RECORDED: dict[str, Any] = {
    "no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "min_length": 0,
    "min_new_tokens": 0,
    "suppress_tokens": None,
    "length_penalty": 1.0,
    "guidance_scale": 1.0,
    "exponential_decay_length_penalty": None,
    "max_time": None,
    "begin_suppress_tokens": None,
    "bad_words_ids": None,
    "sequence_bias": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "early_stopping": False,
}
"""What is taken from the checkpoint's configuration and no decoding of a benchmark names: the value that does nothing.
None, and what is empty, do nothing either."""
OF_BEAMS = ("length_penalty", "early_stopping")
"""Those that do nothing without beams."""
IN_KEY = tuple(RECORDED)[:9]
"""Those that stand in a model's key by name. Of the others the hash of its files, which is part of it too, says it."""
OFF_IN_KEY: tuple[Any, ...] = (None, 0, 1.0, [], ())
"""Values that do not stand in a key."""
NAMED = ("bos_token_id", "decoder_start_token_id")
"""Names of tokens, which are the model's own and no decoding."""
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


class Numbers(LogitsProcessor):
    """Sees whether all logits of a batch have a greatest number; it is read once, when the batch is answered."""

    def __init__(self) -> None:
        self._lost: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        lost = ~scores.amax(-1).isfinite().all()  # NaN is the greatest of all
        self._lost = lost if self._lost is None else self._lost | lost
        return scores

    def require(self) -> None:
        """Raise ValueError where a token was chosen among numbers that are none: it says nothing (Qwen2-VL: "!!!!")."""
        if self._lost is not None and bool(self._lost):
            raise ValueError(
                "its logits are not finite: broken weights, a dtype too small (--set model.dtype=bfloat16), or no "
                "token that its generation_config.json allows"
            )


def decoded_by(asked: Decoding, checkpoint: Any) -> Decoding:
    """``asked`` with what the checkpoint's configuration adds: its repetition penalty (Qwen2-VL: 1.05) unless one is
    asked for, and what is ``RECORDED`` of it.

    A penalty of 1 is none, and named as none.
    """
    penalty = asked.repetition_penalty or checkpoint.repetition_penalty
    decoding = replace(asked, repetition_penalty=None if penalty == 1.0 else penalty)
    return decoding.with_checkpoint(_in_words(_taken(checkpoint, asked.num_beams)))


def also_shaped_by(checkpoint: Any) -> str:
    """What else of the checkpoint's configuration shapes its answers, in words for its key and its route."""
    found = {name: getattr(checkpoint, name, None) for name in IN_KEY}
    return _in_words({name: value for name, value in found.items() if value not in OFF_IN_KEY})


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
        **_taken(checkpoint, asked.num_beams),
        **{name: getattr(checkpoint, name, None) for name in NAMED},
    )
    bias = [EosBias(ends, asked.eos_bias)] if asked.eos_bias else []
    narrows = not sampling and asked.num_beams == 1 and not _taken(checkpoint, asked.num_beams)
    return GenerateOptions(config, LogitsProcessorList(bias), narrows)


@contextlib.contextmanager
def only_given(model: Any) -> Iterator[None]:
    """While ``model`` generates, its own generation configuration is empty: what it is given is all that counts."""
    own = vars(model.generation_config)
    before = dict(own)
    own.clear()
    own.update(vars(GenerationConfig()))  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        own.clear()
        own.update(before)


def _taken(checkpoint: Any, num_beams: int) -> dict[str, Any]:
    """Of the checkpoint's configuration what is taken over and does something."""
    taken = {}
    for name, off in RECORDED.items():
        value = getattr(checkpoint, name, None)
        empty = value is None or value == off or (isinstance(value, Sized) and not value)
        if not empty and (num_beams > 1 or name not in OF_BEAMS):
            taken[name] = value
    return taken


def _in_words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())
