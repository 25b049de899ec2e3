"""How a model is loaded and asked: one set of settings for training and for answering. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from harness.util.ranges import at_least, require_ranges

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
        dtype: of weights and computing; "auto": float32 on CPU, the checkpoint's own on a GPU.
        quantization: "4bit" (NF4) and "8bit" need bitsandbytes.
        device_map: "" for one device; "auto" spreads the layers over all GPUs of this process.
        batch_size: rows generated together at most; halved by itself when memory runs out.
    """

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantization: Literal["none", "4bit", "8bit"] = "none"
    device_map: str = ""
    batch_size: Annotated[int, at_least(1, "rows")] = BATCH_SIZE

    def __post_init__(self) -> None:
        require_ranges(self, "--set model.*")
