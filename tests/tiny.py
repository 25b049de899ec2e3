"""A random LLaVA of a few thousand parameters with its processor, and pairs to train it on: made in a second."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from harness.models.loading import load

WORDS = [
    "a",
    "an",
    "the",
    "is",
    "are",
    "on",
    "of",
    "and",
    "in",
    "with",
    "there",
    "no",
    "yes",
    "what",
    "see",
    "you",
    "do",
    "dog",
    "cat",
    "table",
    "chair",
    "red",
    "blue",
    "green",
    "small",
    "large",
    "cup",
    "man",
    "woman",
    "ball",
    "car",
    "tree",
    "describe",
    "image",
    "USER",
    "ASSISTANT",
    ":",
    "?",
    ".",
    ",",
]
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER : {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }}{% endif %}{% endfor %} "
    "{% else %}ASSISTANT : {{ message['content'][0]['text'] }} </s> {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT :{% endif %}"
)


def tiny_tokenizer(special: Sequence[str], *, pad: str, more: Sequence[str] = ()) -> Any:
    """A tokenizer of whole words: ``special`` tokens, then WORDS; ``more`` are special beside the usual ones."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({word: i for i, word in enumerate([*special, *WORDS])}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=pad,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(more),
    )


def tiny_llava(folder: Path, *, seed: int = 0, image_size: int = 28, template: str | None = TEMPLATE) -> Path:
    """Write a random LLaVA (2 layers, 4 image tokens) and its processor to ``folder``; load it with from_pretrained."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    special = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
    tokenizer = tiny_tokenizer(special, pad="<pad>", more=["<image>"])
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": image_size}, crop_size={"height": image_size, "width": image_size}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=image_size,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=len(special + WORDS),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=256,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
            initializer_range=0.2,
        ),
        image_token_id=4,
        image_seq_length=(image_size // 14) ** 2,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def tiny_adapter(model: Path, folder: Path, seed: int = 0) -> Path:
    """Write a LoRA adapter of random numbers for the language model in ``model`` to ``folder``."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = LoraConfig(r=2, lora_alpha=4, target_modules=r".*language_model.*_proj", init_lora_weights=False)
    get_peft_model(load_tiny(model)[0], settings).save_pretrained(str(folder))
    return folder


def load_tiny(folder: Path) -> tuple[Any, Any]:
    """The model in ``folder``, float32 on the CPU, and its processor."""
    loaded = load(str(folder), device=torch.device("cpu"), named=str(folder))
    return loaded.model, loaded.processor


def picture(seed: int, side: int = 28) -> bytes:
    """A random PNG, 28 x 28 unless ``side`` says otherwise."""
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def tiny_pairs(folder: Path, count: int = 32, seed: int = 0) -> Path:
    """Write ``count`` pairs of random words about random pictures to ``folder``/train.jsonl, and return that file."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        (folder / f"images/{number}.png").write_bytes(picture(seed * 1000 + number))
        chosen, rejected = (" ".join(draw.choice(WORDS[:30], draw.integers(3, 9))) for _ in range(2))
        row = {
            "idx": number,
            "image": f"images/{number}.png",
            "question": "describe the image .",
            "score": number / count,
        }
        lines.append(json.dumps({**row, "chosen": chosen, "rejected": rejected + " dog"}))
    file = folder / "train.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file


def tiny_amber(folder: Path) -> Path:
    """Write AMBER data of two images, two captions and two questions to ``folder``, and return it."""
    (folder / "query").mkdir(parents=True)
    (folder / "image").mkdir()
    queries, annotations = [], []
    for i, (kind, truth, query) in enumerate(
        [
            ("generative", ["dog", "grass"], "Describe this image."),
            ("generative", ["cat"], "Describe this image."),
            ("discriminative-hallucination", "no", "Is there a car in this image?"),
            ("discriminative-attribute-state", "yes", "Is the dog sitting in this image?"),
        ],
        start=1,
    ):
        queries.append({"id": i, "image": f"AMBER_{1 + i % 2}.png", "query": query})
        annotations.append({"id": i, "type": kind, "truth": truth, **({"hallu": ["car"]} if i < 3 else {})})
    (folder / "query" / "query_all.json").write_text(json.dumps(queries))
    (folder / "annotations.json").write_text(json.dumps(annotations))
    (folder / "relation.json").write_text(json.dumps({"dog": [], "grass": [], "cat": [], "car": []}))
    (folder / "safe_words.txt").write_text("orange\n")
    for i in (1, 2):
        (folder / "image" / f"AMBER_{i}.png").write_bytes(picture(i))
    return folder
