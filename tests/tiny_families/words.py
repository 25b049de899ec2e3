"""One tokeniser for all tiny families: every byte is a token, and so is every special token of a family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

CHARACTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
SPECIAL = [
    *("<pad>", "<s>", "</s>", "<unk>", "<image>", "<video>"),
    *("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
    *("<fake_token_around_image>", "<end_of_utterance>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|startoftext|>", "<think>", "</think>"),
    *("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    *("<start_of_image>", "<end_of_image>", "<image_soft_token>"),
    *("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"),
    *("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>", "<|image|>", "<|video|>"),
    *("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<img>", "</img>", "<IMG_CONTEXT>"),
    *("<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"),
    *(f"<|img_row_{row}_col_{column}|>" for row in range(1, 5) for column in range(1, 5)),
    *("<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    *("<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"),
    *("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    *("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE", "TILE_GLOBAL"),
]
IDS = {token: place for place, token in enumerate(SPECIAL)}


def tokenizer(
    *, bos: str = "<s>", eos: str = "</s>", adds_bos: bool = False, names: Mapping[str, str] | None = None
) -> Any:
    """A tokeniser whose special tokens are spelled as a family's; ``names`` are attributes that its processor reads.

    ``adds_bos``: it puts ``bos`` before every text, as Llama's does.
    """
    table = Tokenizer(BPE(vocab={token: i for i, token in enumerate([*SPECIAL, *CHARACTERS])}, merges=[]))
    table.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    table.decoder = decoders.ByteLevel()
    table.add_special_tokens(SPECIAL)
    if adds_bos:
        table.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, IDS[bos])])
    return PreTrainedTokenizerFast(
        tokenizer_object=table,
        pad_token="<pad>",
        bos_token=bos,
        eos_token=eos,
        unk_token="<unk>",
        extra_special_tokens=dict(names or {}),
    )


def text_settings(eos: str = "</s>") -> dict[str, Any]:
    """What the configurations of all language models share: two layers, 32 wide."""
    return {
        "vocab_size": len(SPECIAL) + len(CHARACTERS),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "bos_token_id": 1,
        "eos_token_id": IDS[eos],
        "pad_token_id": 0,
    }
