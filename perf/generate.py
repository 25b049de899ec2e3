"""Questions answered a second on the tiny world's AMBER data: one by one, lmms-eval's model, and this project's.

    python perf/generate.py [--images 24] [--captions 64] [--rounds 2]

Every route answers the same questions with the tiny world's base model in float32 on one CPU thread, in a process of
its own: yes/no questions, 14 an image as in AMBER, and one caption an image. Prints the rates, their ratios (wanted:
at least 5 on yes/no and 2 on captions against one by one), whether all answers are the same, and how much memory a
route took above the loaded model. lmms-eval is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing as mp
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image
from harness.protocols.model import Model
from harness.util.images import open_image

QUESTIONS_PER_IMAGE = 14
YES_NO, CAPTION = Decoding(max_new_tokens=8), Decoding(max_new_tokens=64)
TEMPLATE = (
    "{% for m in messages %}USER: {{ m['content'] }} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
Answering = Callable[[Sequence[Sample], Decoding], list[str]]


def questions(images: int, captions: int) -> dict[str, tuple[list[Sample], Decoding]]:
    """The two workloads: yes/no questions about ``images`` scenes, and ``captions`` scenes to describe."""
    from tinyworld.export import amber_questions
    from tinyworld.language import PROMPTS
    from tinyworld.render import png
    from tinyworld.scenes import draw_scenes

    rng = np.random.default_rng(0)
    asked = []
    for i, scene in enumerate(draw_scenes(images, 0, 100)):
        found: list[str] = []
        while len(found) < QUESTIONS_PER_IMAGE:
            found += [question.question for _, question in amber_questions(scene, rng)]
        image = Image(data=png(scene))
        asked += [Sample(f"{i}-{q}", text, image) for q, text in enumerate(found[:QUESTIONS_PER_IMAGE])]
    scenes = draw_scenes(captions, 0, 101)
    described = [Sample(f"c{i}", PROMPTS[0], Image(data=png(scene))) for i, scene in enumerate(scenes)]
    return {"yes/no": (asked, YES_NO), "captions": (described, CAPTION)}


def one_by_one(folder: str) -> Answering:
    """As the LLaVA-lineage scripts do: a sample at a time through the processor and generate."""
    import torch
    from transformers import LlavaForConditionalGeneration, LlavaProcessor

    model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return asked_alone(model, LlavaProcessor.from_pretrained(folder))


def asked_alone(model: Any, processor: Any) -> Answering:
    """``model`` asked a sample at a time, on its device and in its type."""
    import torch

    from harness.models.templates import ChatTemplate

    def answer(samples: Sequence[Sample], decoding: Decoding) -> list[str]:
        texts = []
        for sample in samples:
            assert sample.image is not None
            image = open_image(sample.image.read())
            prompt = processor.apply_chat_template([ChatTemplate.in_parts(sample.turn)], add_generation_prompt=True)
            inputs = processor(images=image, text=prompt, return_tensors="pt").to(model.device, dtype=model.dtype)
            with torch.inference_mode():
                out = model.generate(**inputs, max_new_tokens=decoding.max_new_tokens, do_sample=False)
            texts.append(processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
        return texts

    return answer


def lmms_eval(folder: str) -> Answering:
    """lmms-eval's own transformers model for LLaVA (it takes a batch size of 1 only)."""
    from lmms_eval.api.instance import Instance
    from lmms_eval.models.simple.llava_hf import LlavaHf
    from loguru import logger

    logger.remove()
    model = LlavaHf(pretrained=folder, device="cpu", dtype="float32", device_map="cpu", chat_template=TEMPLATE)

    def answer(samples: Sequence[Sample], decoding: Decoding) -> list[str]:
        model.task_dict = {"amber": {"test": list(samples)}}

        def visual(sample: Sample) -> list[Any]:
            assert sample.image is not None
            return [open_image(sample.image.read())]

        requests = []
        for i, sample in enumerate(samples):
            options = {"max_new_tokens": decoding.max_new_tokens, "temperature": 0, "num_beams": 1}
            arguments = (sample.prompt, options, visual, i, "amber", "test")
            metadata = {"task": "amber", "doc_id": i, "repeats": 1}
            requests.append(Instance("generate_until", arguments, 0, metadata))
        return [text.strip() for text in model.generate_until(requests)]

    return answer


def ours(folder: str) -> Answering:
    """This project's transformers backend as `bench` uses it."""
    from harness.models.spec import load_model

    return in_batches(load_model(f"hf:{folder}", device="cpu"))


def in_batches(model: Model) -> Answering:
    """``model`` asked all at once."""

    def answer(samples: Sequence[Sample], decoding: Decoding) -> list[str]:
        found = dict(model.generate(samples, decoding))
        return [found[i].text or "" for i in range(len(samples))]

    return answer


ROUTES: dict[str, Callable[[str], Answering]] = {"one by one": one_by_one, "lmms-eval": lmms_eval, "ours": ours}


@dataclass(frozen=True)
class Run:
    """A route on a workload: seconds, answers, and megabytes above the loaded model at the peak."""

    seconds: float
    answers: list[str]
    megabytes: float


def measure(route: str, folder: str, workload: str, images: int, captions: int) -> Run:
    """In a process of its own: load, warm up on two questions, answer all."""
    import torch

    torch.set_num_threads(1)
    samples, decoding = questions(images, captions)[workload]
    answer = ROUTES[route](folder)
    answer(samples[:2], decoding)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    texts = answer(samples, decoding)
    seconds = time.perf_counter() - start
    return Run(seconds, texts, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--captions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2, help="the best of so many is taken")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    from tinyworld.build import WorldConfig, build

    folder = str(build(WorldConfig()).model_dir)
    routes = [route for route in ROUTES if route != "lmms-eval" or importlib.util.find_spec("lmms_eval")]
    table: dict[str, dict[str, Any]] = {}
    with mp.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for workload, (samples, _) in questions(options.images, options.captions).items():
            best: dict[str, Run] = {}
            for _ in range(options.rounds):  # rounds inside, so that a busy machine slows all routes alike
                for route in routes:
                    run = pool.apply(measure, (route, folder, workload, options.images, options.captions))
                    best[route] = min(best.get(route, run), run, key=lambda r: r.seconds)
            table[workload] = {
                "questions": len(samples),
                "per_second": {route: len(samples) / run.seconds for route, run in best.items()},
                "ratio_to": {r: best[r].seconds / best["ours"].seconds for r in routes if r != "ours"},
                "same_answers": {
                    r: float(np.mean([a == b for a, b in zip(best[r].answers, best["ours"].answers, strict=True)]))
                    for r in routes
                },
                "megabytes": {route: run.megabytes for route, run in best.items()},
            }
    print(json.dumps(table, indent=1) if options.json else "\n".join(lines(table)))


def lines(table: dict[str, dict[str, Any]]) -> list[str]:
    """The table for people."""
    found = []
    for workload, row in table.items():
        found.append(f"{workload}: {row['questions']} questions")
        for route, rate in row["per_second"].items():
            ratio = f"  ours is {row['ratio_to'][route]:.1f} x" if route in row["ratio_to"] else ""
            same = f"  same answers {row['same_answers'][route]:.1%}"
            found.append(f"  {route:11} {rate:8.1f} a second  +{row['megabytes'][route]:.0f} MB{same}{ratio}")
    return found


if __name__ == "__main__":
    main()
