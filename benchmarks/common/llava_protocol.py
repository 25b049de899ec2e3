"""LLaVA-1.5's own protocol: the system message of its conversation and images padded to a square.

Code: haotian-liu/LLaVA `llava/conversation.py` (conv_llava_v1, conv_vicuna_v1), `llava/mm_utils.py` (expand2square)
and the scripts of `llava/eval`; RLAIF-V asks with llava_v1. The models of the hub do neither by themselves, and their
processor cuts a square out of an image's middle: of 640x480 a quarter is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from harness.protocols.benchmark import Decoding
from harness.util.options import added

PLAIN = Decoding()
LLAVA_V1 = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
VICUNA_V1 = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


@dataclass(frozen=True, kw_only=True)
class LlavaProtocol:
    """What benchmarks share that LLaVA-1.5's scripts ask in a way of their own.

    Settings:
        protocol: "official" asks as LLaVA-1.5's scripts do: with their system message, and with images padded to a
            square; for models of that family alone. Both stand in the recorded decoding. "plain" asks as the model's
            own files have it.
    """

    system_message: ClassVar[str] = VICUNA_V1

    protocol: Literal["plain", "official"] = added("plain")
    decoding: Decoding = PLAIN

    def __post_init__(self) -> None:
        if self.protocol == "official":
            asked = replace(self.decoding, system=self.system_message, pad_to_square=True)
            object.__setattr__(self, "decoding", asked)
