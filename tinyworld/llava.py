"""The world's base model: a small LLaVA trained from scratch on careless captions and short questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
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
    INVENTORY,
    PROMPTS,
    careless_caption,
    inventory,
    make_tokenizer,
    short_questions,
    vocabulary,
)
from tinyworld.render import SIZE, pixels
from tinyworld.scenes import Scene, draw_scenes

PATCH = 32
IMAGE_TOKENS = (SIZE // PATCH) ** 2
BATCH = 32
LEARNING_RATE = 1.5e-3
QUESTIONS = 3  # short questions in one conversation
CAPTIONED = 0.65  # share of the batches that are captions, of those that are no inventories
CAREFUL = 0.3  # share of the steps, the first, that are inventories alone: the model learns to see
INVENTORIES = 0.1  # their share afterwards


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


def draw_kind(progress: float, rng: np.random.Generator) -> str:
    """What a batch consists of, with the share ``progress`` of training done.

    A batch is of one kind: rows of one length need little padding.
    """
    if progress < CAREFUL or rng.random() < INVENTORIES:
        return "inventory"
    return "caption" if rng.random() < CAPTIONED else "questions"


def conversation(scene: Scene, kind: str, rate: float, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Turns of (question, answer): an inventory, a careless caption, or some short questions."""
    if kind == "inventory":
        return [(INVENTORY, inventory(scene))]
    if kind == "caption":
        return [(PROMPTS[rng.integers(len(PROMPTS))], careless_caption(scene, rate, rng))]
    return [(asked.question, asked.answer) for asked in short_questions(scene, QUESTIONS, rng)]


def encode(tokenizer: Any, turns: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Token ids with the image in front, and labels that are -100 outside the answers."""
    ids, labels = [tokenizer.bos_token_id], [-100]
    for number, (question, answer) in enumerate(turns):
        image = "<image>" * IMAGE_TOKENS if number == 0 else ""
        asked = tokenizer(f"USER: {image}\n{question} ASSISTANT:", add_special_tokens=False)["input_ids"]
        answered = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        ids += asked + answered
        labels += [-100] * len(asked) + answered
    return ids, labels


def collate(rows: Sequence[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    """Right-padded batch of ids, mask and labels."""
    longest = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows]),
    }


def train_llava(folder: Path, *, seed: int, images: int, epochs: int, hallucinated: float, progress: Progress) -> None:
    """Train on ``images`` scenes, whose captions hallucinate at ``hallucinated``, and write model and processor."""
    torch.manual_seed(seed)
    model, processor = make_model(), make_processor()
    scenes = draw_scenes(images, seed, 0)
    bytes_ = torch.from_numpy(pixels(scenes, progress, "tiny world: pictures for the base model"))
    rng = np.random.default_rng((seed, 2))
    per_epoch = -(-images // BATCH)
    total = epochs * per_epoch
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=total + 1, pct_start=0.1)
    model.train()
    step = 0
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(images), per_epoch):
            kind = draw_kind(step / total, rng)
            turns = [conversation(scenes[i], kind, hallucinated, rng) for i in rows]
            batch = collate([encode(processor.tokenizer, turn) for turn in turns])
            loss = model(**batch, pixel_values=normalised(bytes_[rows])).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            progress("tiny world: base model", step, total)
    model.eval()
    quiet()
    save(model, processor, folder)


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
