"""The world's base model: a small LLaVA, its processor, its files, and captions sampled of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from harness.protocols.progress import Progress, silent
from tinyworld.language import (
    CHAT_TEMPLATE,
    make_tokenizer,
    vocabulary,
)
from tinyworld.render import SIZE, pixels
from tinyworld.scenes import Scene

PATCH = 32
IMAGE_TOKENS = (SIZE // PATCH) ** 2


def make_processor() -> Any:
    """The processor: pixels to [-1, 1], one token a cell of the grid."""
    return LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": SIZE},
            crop_size={"height": SIZE, "width": SIZE},
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        ),
        tokenizer=make_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def make_model() -> Any:
    """An untrained model of 1,360,000 weights."""
    vocab = vocabulary()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=SIZE,
            patch_size=PATCH,
            initializer_factor=1.0,
        ),
        text_config=LlamaConfig(
            vocab_size=len(vocab),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            pad_token_id=vocab["<pad>"],
            bos_token_id=vocab["<s>"],
            eos_token_id=vocab["</s>"],
            tie_word_embeddings=False,
            initializer_range=0.06,  # the default 0.02 is for widths of thousands
        ),
        image_token_index=vocab["<image>"],
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    return LlavaForConditionalGeneration(config)


def normalised(bytes_: torch.Tensor) -> torch.Tensor:
    """Pixels 0-255 as the processor would give them."""
    return bytes_.float() / 127.5 - 1


def save(model: Any, processor: Any, folder: Path) -> None:
    """Write both to ``folder`` as models of the hub are written."""
    model.save_pretrained(folder)
    as_on_the_hub(folder / "model.safetensors")
    processor.save_pretrained(folder)


def as_on_the_hub(file: Path) -> None:
    """Rename the weights of a LLaVA built here to what those of the hub are called: servers know no other names.

    Transformers has dropped a level of the vision tower's names. It reads both and saves what it has read.
    """
    tower, here = "vision_tower.vision_model.", re.compile(r"^vision_tower\.(?!vision_model\.)")
    weights = {here.sub(tower, name): weight.clone() for name, weight in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})


@torch.no_grad()
def sample_captions(
    model: Any,
    processor: Any,
    scenes: Sequence[Scene],
    prompts: Sequence[str],
    *,
    count: int,
    seed: int,
    batch: int = 50,
    progress: Progress = silent,
    step: str = "captions",
) -> list[list[str]]:
    """``count`` captions of each scene, sampled at temperature 1 (0: one greedy caption each).

    ``progress`` is called as ``step`` with the number of scenes done.
    """
    torch.manual_seed(seed)
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    samples: list[list[str]] = []
    for start in range(0, len(scenes), batch):
        part = list(scenes[start : start + batch])
        texts = [f"USER: {'<image>' * IMAGE_TOKENS}\n{p} ASSISTANT:" for p in prompts[start : start + batch]]
        inputs = tokenizer(texts, padding=True, return_tensors="pt")
        out = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            pixel_values=normalised(torch.from_numpy(pixels(part))),
            max_new_tokens=40,
            do_sample=count > 0,
            num_return_sequences=max(count, 1),
            pad_token_id=tokenizer.pad_token_id,
        )
        answers = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        each = max(count, 1)
        samples += [answers[i * each : (i + 1) * each] for i in range(len(part))]
        progress(step, len(samples), len(scenes))
    return samples


def quiet() -> None:
    """No progress bar for the reading and writing of one small file."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def load(folder: Path) -> tuple[Any, Any]:
    """The model, in evaluation mode, and its processor."""
    quiet()
    model: Any = LlavaForConditionalGeneration.from_pretrained(folder)
    return model.eval(), LlavaProcessor.from_pretrained(folder)
