"""Held-out scenes as data directories in the official formats, each with truth.jsonl for the rule judge."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.util.jsonl import write_jsonl
from tinyworld.language import (
    MMHAL_TYPES,
    PROMPTS,
    Asked,
    caption,
    existence,
    number,
    open_question,
)
from tinyworld.render import png
from tinyworld.scenes import OBJECTS, Scene

AMBER_TYPES = {
    "existence": "discriminative-hallucination",
    "number": "discriminative-attribute-number",
}


def truth_row(sample_id: str, benchmark: str, scene: Scene, **more: Any) -> dict[str, Any]:
    """What the rule judge and the reports know of a sample."""
    return {"id": sample_id, "benchmark": benchmark, "place": scene.place, "objects": list(scene.names), **more}


def export_object_halbench(folder: Path, scenes: Sequence[Scene]) -> None:
    """obj_halbench_300_with_image.jsonl, ground_truth.jsonl."""
    folder.mkdir(parents=True)
    questions, facts, truth = [], [], []
    for i, scene in enumerate(scenes):
        encoded = base64.b64encode(png(scene)).decode()
        questions.append({"question": PROMPTS[i % len(PROMPTS)], "image": encoded, "image_id": i + 1})
        captions = [caption(scene.place, scene.names, scene)]
        facts.append({"image_id": i + 1, "instances": list(scene.names), "captions": captions})
        truth.append(truth_row(str(i), "object_halbench", scene))
    write_jsonl(folder / "obj_halbench_300_with_image.jsonl", questions)
    write_jsonl(folder / "ground_truth.jsonl", facts)
    write_jsonl(folder / "truth.jsonl", truth)


def amber_questions(scene: Scene, rng: np.random.Generator) -> list[tuple[str, Asked]]:
    """(AMBER's type, question) of one image: as many "yes" as "no" of each kind.

    AMBER itself asks of existence only what is absent, so that "No" to everything does well; here it earns a half.
    Questions on number are a negative control: no preference pair is about them. There are none on states and
    relations, which so small a model does not learn.
    """
    many = min(2, len(scene.names), len(scene.absent_typical))
    names = {True: rng.permutation(scene.names)[:many], False: rng.permutation(scene.absent_typical)[:many]}
    questions = []
    for truth in (True, False):
        questions += [(AMBER_TYPES["existence"], existence(str(name), truth)) for name in names[truth]]
        if (asked := number(scene, truth, rng)) is not None:
            questions.append((AMBER_TYPES["number"], asked))
    return questions


def export_amber(folder: Path, scenes: Sequence[Scene], questioned: int, seed: int) -> None:
    """annotations.json, query/query_all.json, relation.json, safe_words.txt, image/.

    Every scene is described; the first ``questioned`` are also asked about.
    """
    rng = np.random.default_rng((seed, 6))
    (folder / "image").mkdir(parents=True)
    (folder / "query").mkdir()
    annotations: list[dict[str, Any]] = []
    queries: list[dict[str, Any]] = []
    truth: list[dict[str, Any]] = []

    def add(image: str, scene: Scene, query: str, kind: str, **label: Any) -> None:
        number = len(annotations) + 1
        annotations.append({"id": number, "type": kind, **label})
        queries.append({"id": number, "image": image, "query": query})
        truth.append(truth_row(str(number), "amber", scene, type=kind))

    for i, scene in enumerate(scenes):
        name = f"AMBER_{i + 1}.png"
        (folder / "image" / name).write_bytes(png(scene))
        add(name, scene, PROMPTS[0], "generative", truth=list(scene.names), hallu=list(scene.absent_typical))
    for i, scene in enumerate(scenes[:questioned]):
        for kind, asked in amber_questions(scene, rng):
            add(f"AMBER_{i + 1}.png", scene, asked.question, kind, truth=asked.answer.lower())
    (folder / "annotations.json").write_text(json.dumps(annotations))
    (folder / "query" / "query_all.json").write_text(json.dumps(queries))
    (folder / "relation.json").write_text(json.dumps({name: [] for name in OBJECTS}))
    (folder / "safe_words.txt").write_text("")
    write_jsonl(folder / "truth.jsonl", truth)


def export_mmhal(folder: Path, scenes: Sequence[Scene], rows: int, seed: int) -> None:
    """mmhal-bench_answer_template.json, images/: ``rows`` questions, their types in the official order."""
    rng = np.random.default_rng((seed, 7))
    (folder / "images").mkdir(parents=True)
    template, truth = [], []
    at = 0
    for row in range(rows):
        kind = MMHAL_TYPES[row % len(MMHAL_TYPES)]
        asked = None
        while asked is None:  # some scenes allow no comparison
            scene = scenes[at % len(scenes)]
            asked, at = open_question(kind, scene, rng), at + 1
        image_id = f"tiny{row:05d}"
        (folder / "images" / f"{image_id}.png").write_bytes(png(scene))
        template.append(
            {
                "question_type": kind,
                "question_topic": scene.place,
                "image_id": image_id,
                "image_src": f"{image_id}.png",
                "image_content": list(scene.names),
                "question": asked.question,
                "gt_answer": asked.answer,
                "model_answer": "",
            }
        )
        words = {"type": kind, "expect": list(asked.expect), "options": list(asked.options)}
        truth.append(truth_row(str(row), "mmhal", scene, question=asked.question, **words))
    (folder / "mmhal-bench_answer_template.json").write_text(json.dumps(template, indent=1))
    write_jsonl(folder / "truth.jsonl", truth)
