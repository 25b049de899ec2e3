"""Held-out scenes in the formats of POPE, MM-Vet and LLaVA-Bench, with truth.jsonl where the rule judge needs it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.util.jsonl import write_jsonl
from tinyworld.export import truth_row
from tinyworld.language import MMHAL_TYPES, PROMPTS, Asked, caption, existence, open_question
from tinyworld.render import png
from tinyworld.scenes import OBJECTS, Scene

ASKED_PER_IMAGE = 3
"""POPE asks about as many objects that are there as of each kind that are not."""
POPE_SPLITS = ("random", "popular", "adversarial")
CAPABILITIES = {
    "attribute": ("rec",),
    "adversarial": ("rec", "know"),
    "comparison": ("rec", "spat"),
    "counting": ("rec", "math"),
    "relation": ("rec", "spat"),
    "environment": ("rec", "know"),
    "holistic": ("rec", "gen"),
    "other": ("rec",),
}
"""The capabilities a question of each type stands for; nothing is written in these scenes, so none needs ``ocr``."""
LLAVA_TYPES = {"conv": "attribute", "detail": "holistic", "complex": "environment"}


def export_pope(folder: Path, scenes: Sequence[Scene], seed: int) -> None:
    """coco_pope_{random,popular,adversarial}.json and val2014/, of the scenes with enough objects.

    Absent objects are drawn at random, by how often they occur, or from those typical of the place.
    """
    rng = np.random.default_rng((seed, 8))
    (folder / "val2014").mkdir(parents=True)
    rich = [scene for scene in scenes if len(scene.names) >= ASKED_PER_IMAGE]
    counted = Counter(name for scene in rich for name in scene.names)
    often = [*(name for name, _ in counted.most_common()), *(name for name in OBJECTS if name not in counted)]
    rows: dict[str, list[dict[str, object]]] = {split: [] for split in POPE_SPLITS}
    for number, scene in enumerate(rich):
        image = f"{number:012}.png"
        (folder / "val2014" / image).write_bytes(png(scene))
        there = [str(name) for name in rng.permutation(scene.names)[:ASKED_PER_IMAGE]]
        for split, kept in rows.items():
            absent = _absent(split, scene, often, rng)
            asked = [existence(n, truth) for two in zip(there, absent, strict=True) for n, truth in _both(*two)]
            for row in asked:
                kept.append(
                    {"question_id": len(kept) + 1, "image": image, "text": row.question, "label": row.answer.lower()}
                )
    for split, kept in rows.items():
        write_jsonl(folder / f"coco_pope_{split}.json", kept)


def _both(there: str, absent: str) -> tuple[tuple[str, bool], tuple[str, bool]]:
    return (there, True), (absent, False)


def _absent(split: str, scene: Scene, often: Sequence[str], rng: np.random.Generator) -> list[str]:
    usual = [name for name in often if name not in scene.names]
    if split == "popular":
        return usual[:ASKED_PER_IMAGE]
    if split == "adversarial":
        return list(dict.fromkeys([*scene.absent_typical, *usual]))[:ASKED_PER_IMAGE]
    others = [name for name in OBJECTS if name not in scene.names]
    return [str(name) for name in rng.choice(others, ASKED_PER_IMAGE, replace=False)]


def export_mm_vet(folder: Path, scenes: Sequence[Scene], rows: int, seed: int) -> None:
    """mm-vet.json and images/: ``rows`` questions of all types in turn."""
    rng = np.random.default_rng((seed, 9))
    (folder / "images").mkdir(parents=True)
    questions, truth, at = {}, [], 0
    for number in range(rows):
        kind, asked = MMHAL_TYPES[number % len(MMHAL_TYPES)], None
        while asked is None:  # some scenes allow no comparison
            scene = scenes[at % len(scenes)]
            asked, at = open_question(kind, scene, rng), at + 1
        id_, image = f"v1_{number}", f"v1_{number}.png"
        (folder / "images" / image).write_bytes(png(scene))
        questions[id_] = {
            "imagename": image,
            "question": asked.question,
            "answer": asked.answer,
            "capability": list(CAPABILITIES[kind]),
            "imagesource": "tiny world",
        }
        truth.append(_truth(id_, "mm_vet", scene, asked))
    (folder / "mm-vet.json").write_text(json.dumps(questions, indent=1))
    write_jsonl(folder / "truth.jsonl", truth)


def export_llava_bench(folder: Path, scenes: Sequence[Scene], seed: int) -> None:
    """questions.jsonl, context.jsonl, answers_gpt4.jsonl and images/: a question of each category on every scene."""
    rng = np.random.default_rng((seed, 10))
    (folder / "images").mkdir(parents=True)
    questions: list[dict[str, object]] = []
    contexts, references, truth = [], [], []
    for number, scene in enumerate(scenes):
        image = f"{number + 1:03}.png"
        (folder / "images" / image).write_bytes(png(scene))
        contexts.append({"id": number, "image": image, "caption": caption(scene.place, scene.names, scene)})
        for category, kind in LLAVA_TYPES.items():
            asked = open_question(kind, scene, rng)
            if asked is None:
                continue
            id_ = len(questions)
            questions.append({"question_id": id_, "image": image, "text": asked.question, "category": category})
            references.append({"question_id": id_, "prompt": asked.question, "text": asked.answer})
            truth.append(_truth(str(id_), "llava_bench", scene, asked))
    write_jsonl(folder / "questions.jsonl", questions)
    write_jsonl(folder / "context.jsonl", contexts)
    write_jsonl(folder / "answers_gpt4.jsonl", references)
    write_jsonl(folder / "truth.jsonl", truth)


def _truth(id_: str, benchmark: str, scene: Scene, asked: Asked) -> dict[str, object]:
    kind = "holistic" if asked.question in PROMPTS else asked.kind
    words = {"type": kind, "expect": list(asked.expect), "options": list(asked.options)}
    return truth_row(id_, benchmark, scene, question=asked.question, **words)
