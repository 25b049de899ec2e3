"""The model and the pairs of perf/align_step.py: LLaVA-1.5-7B's shapes on a GPU, its proportions on a CPU."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from align_flops import llava_7b
from PIL import Image
from tokenizers import Tokenizer, processors
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from aligners.training.model_configs import llava_15


@dataclass(frozen=True)
class Shapes:
    """What a made world is like: the model, the side of its images in pixels, the words of a response."""

    config: Callable[[], Any]
    side: int = 336
    words: int = 149

    @property
    def image_tokens(self) -> int:
        """Tokens of an image, in patches of 14 pixels."""
        return (self.side // 14) ** 2


def proportions_of_7b() -> LlavaConfig:
    """Small, with the head and the tower at the same share of a token's FLOPs as in 7B."""
    return _small(vision=(128, 512, 4, 4), text=(1000, 384, 1024, 8, 6), side=336)


def toy() -> LlavaConfig:
    """Of no speed at all: what is to run is tried with it."""
    return _small(vision=(16, 32, 2, 2), text=(1000, 32, 64, 2, 2), side=28)


def _small(vision: tuple[int, ...], text: tuple[int, ...], side: int) -> LlavaConfig:
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    tower: dict[str, Any] = dict(zip(names, vision, strict=True))
    words: dict[str, Any] = dict(zip(("vocab_size", *names), text, strict=True))
    return LlavaConfig(
        vision_config=CLIPVisionConfig(**tower, image_size=side, patch_size=14),
        text_config=LlamaConfig(**words, max_position_embeddings=1024),
    )


SHAPES = {
    "7b": Shapes(llava_7b),
    "1b": Shapes(lambda: llava_15(2048, 5632, 22, 16)),
    "cpu": Shapes(proportions_of_7b),
    "toy": Shapes(toy, side=28, words=9),
}


def make_world(folder: Path, pairs: int, shapes: str = "") -> str:
    """A random model with a processor of real length (576 image tokens, one word a token), and ``pairs`` with images.

    ``shapes`` is a key of SHAPES ("": "7b" on a GPU, else "cpu"). Returns what it runs on, in words.
    """
    cuda = torch.cuda.is_available()
    made = SHAPES[shapes or ("7b" if cuda else "cpu")]
    config = made.config()
    config.image_token_id, config.image_seq_length = 4, made.image_tokens
    torch.manual_seed(0)
    dtype = torch.bfloat16 if cuda else torch.float32
    with torch.device("cuda" if cuda else "cpu"):
        LlavaForConditionalGeneration._from_config(config, dtype=dtype).save_pretrained(folder / "model")
    words = save_processor(folder / "model", made.side)
    draw = np.random.default_rng(0)
    rows = []
    for number in range(pairs):
        pixels = draw.integers(0, 256, (made.side, made.side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        texts = {k: " ".join(draw.choice(words, made.words)) for k in ("chosen", "rejected")}
        question = " ".join(draw.choice(words, 34))
        rows.append({"idx": number, "image": f"{number}.png", "question": question, **texts})
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return torch.cuda.get_device_name() if cuda else f"CPU ({os.cpu_count()} cores, one thread used)"


def save_processor(folder: Path, side: int = 336) -> list[str]:
    """A LLaVA processor of images of ``side`` pixels whose tokens are whole words, for both engines."""
    words = [f"w{i}" for i in range(900)]
    special = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "USER:", "ASSISTANT:"]
    table = Tokenizer(WordLevel({word: i for i, word in enumerate(special + words)}, unk_token="<unk>"))
    table.pre_tokenizer = WhitespaceSplit()
    table.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=table,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )
    template = (
        "{% for m in messages %}{% if m['role'] == 'user' %}USER: {% for p in m['content'] %}"
        "{% if p['type'] == 'image' %}<image> {% else %}{{ p['text'] }}{% endif %}{% endfor %} ASSISTANT:"
        "{% else %} {% for p in m['content'] %}{{ p['text'] }}{% endfor %} </s>{% endif %}{% endfor %}"
    )
    LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    return words
