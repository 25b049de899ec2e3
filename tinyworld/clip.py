"""The world's CLIP: a small open_clip model trained with open_clip's contrastive loss, saved as an open_clip folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import harness  # noqa: F401  (torchvision must be patched before open_clip imports it)
from harness.protocols.progress import Progress
from tinyworld.language import caption, make_tokenizer, save_tokenizer, vocabulary
from tinyworld.render import SIZE, pixels
from tinyworld.scenes import Scene, draw_scene, place_things

CONTEXT = 32
BATCH = 128
LEARNING_RATE = 1.5e-3


def model_config() -> dict[str, Any]:
    """The content of open_clip_config.json."""
    return {
        "model_cfg": {
            "embed_dim": 96,
            "vision_cfg": {"image_size": SIZE, "layers": 3, "width": 96, "head_width": 32, "patch_size": 12},
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": len(vocabulary()),
                "width": 96,
                "heads": 3,
                "layers": 2,
                "hf_tokenizer_name": "local",  # any name: open_clip then reads the tokenizer in this folder
            },
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"},
    }


def clip_scene(rng: np.random.Generator) -> Scene:
    """A training scene: every second one shows a single kind, which ties words to what they name."""
    scene = draw_scene(rng)
    if rng.random() < 0.5:
        kind = scene.names[rng.integers(len(scene.names))]
        return Scene(scene.place, place_things([kind], rng), scene.seed)
    return scene


def clip_text(scene: Scene, rng: np.random.Generator) -> str:
    """A true text about some of the scene: a whole caption, or a piece of one."""
    names = [scene.names[i] for i in rng.permutation(len(scene.names))]
    kept = names[: 1 + int(rng.integers(len(names)))]
    text = caption(scene.place, kept, scene)
    return text if rng.random() < 0.5 else text.partition(". ")[2]


def train_clip(folder: Path, *, seed: int, images: int, epochs: int, progress: Progress) -> None:
    """Train on ``images`` scenes and write config, tokenizer and weights to ``folder``."""
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(model_config(), indent=2))
    save_tokenizer(folder, "<s> $A </s>")
    torch.manual_seed(seed)
    settings = model_config()["model_cfg"]
    model: Any = open_clip.CLIP(**settings)
    loss_of = open_clip.ClipLoss()
    tokenizer = make_tokenizer("<s> $A </s>")
    rng = np.random.default_rng((seed, 1))
    scenes = [clip_scene(rng) for _ in range(images)]
    bytes_ = torch.from_numpy(pixels(scenes, progress, "tiny world: pictures for CLIP"))
    batch = min(BATCH, images)
    steps = epochs * (images // batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1)
    step = 0
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(images)[: images // batch * batch], images // batch):
            texts = [clip_text(scenes[i], rng) for i in rows]
            ids = tokenizer(texts, padding="max_length", max_length=CONTEXT, return_tensors="pt")["input_ids"]
            image = model.encode_image(bytes_[rows].float() / 127.5 - 1, normalize=True)
            text = model.encode_text(ids, normalize=True)
            loss = loss_of(image, text, model.logit_scale.exp())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, float(np.log(100)))
            step += 1
            progress("tiny world: CLIP", step, steps)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
