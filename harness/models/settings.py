"""How a model is loaded and asked: one set of settings for training and for answering. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError

BATCH_SIZE = 128


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """How a model is asked (`--set model.KEY=VALUE` of align and bench alike).

    Args:
        thinking: of a template that knows thoughts: "off" closes them before the answer, "on" opens them, "auto" leaves
            it to the template.
    """

    thinking: Literal["auto", "on", "off"] = "auto"


@dataclass(frozen=True, kw_only=True)
class HfSettings:
    """How a transformers model is loaded (`--set model.KEY=VALUE`). All but ``batch_size`` are part of its key.

    Args:
        dtype: "auto" (float32 on CPU, the checkpoint's own on a GPU), "float32", "bfloat16", "float16".
        quantization: "4bit" (NF4) and "8bit" need bitsandbytes.
        device_map: "" for one device; "auto" spreads the layers over all GPUs of this process.
        batch_size: rows generated together at most; halved by itself when memory runs out.
    """

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantization: Literal["none", "4bit", "8bit"] = "none"
    device_map: str = ""
    batch_size: int = BATCH_SIZE

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"--set model.batch_size={self.batch_size}: expected at least 1.")
