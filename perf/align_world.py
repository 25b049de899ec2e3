"""The model and the pairs of perf/align_step.py: LLaVA-1.5-7B's shapes on a GPU, its proportions on a CPU."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from align_flops import IMAGE, llava_7b
from PIL import Image
from tokenizers import Tokenizer, processors
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

WORDS_A_RESPONSE = 149


def make_world(folder: Path, pairs: int) -> str:
    """A random model with a processor of real length (576 image tokens, one word a token), and ``pairs`` with images.

    Returns what it runs on, in words.
    """
    cuda = torch.cuda.is_available()
    config = llava_7b()
    if not cuda:  # 7B's proportions: the head and the tower have the same share of a token's FLOPs
        config.vision_config = CLIPVisionConfig(
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=336,
            patch_size=14,
        )
        config.text_config = LlamaConfig(
            vocab_size=1000,
            hidden_size=384,
            intermediate_size=1024,
            num_hidden_layers=8,
            num_attention_heads=6,
            max_position_embeddings=1024,
        )
    config.image_token_id, config.image_seq_length = 4, IMAGE
    torch.manual_seed(0)
    dtype = torch.bfloat16 if cuda else torch.float32
    with torch.device("cuda" if cuda else "cpu"):
        LlavaForConditionalGeneration._from_config(config, dtype=dtype).save_pretrained(folder / "model")
    words = save_processor(folder / "model")
    draw = np.random.default_rng(0)
    rows = []
    for number in range(pairs):
        pixels = draw.integers(0, 256, (336, 336, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        texts = {k: " ".join(draw.choice(words, WORDS_A_RESPONSE)) for k in ("chosen", "rejected")}
        question = " ".join(draw.choice(words, 34))
        rows.append({"idx": number, "image": f"{number}.png", "question": question, **texts})
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return torch.cuda.get_device_name() if cuda else f"CPU ({os.cpu_count()} cores, one thread used)"


def save_processor(folder: Path) -> list[str]:
    """A LLaVA processor whose tokens are whole words, for both engines."""
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
        CLIPImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    return words
