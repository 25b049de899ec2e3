"""Every benchmark's data files, and what it makes of answers and replies: no score of what says none."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.common.amber_words import read_table
from benchmarks.common.chair import read_synonyms
from harness.evaluation.resolve import data_key, load, make_benchmark
from harness.protocols.benchmark import Benchmark, JudgeParseError, Sample
from tests.fuzz import mutation, replies
from tests.fuzz.files import folder, naming, reading
from tests.fuzz.target import Target

Feed = Callable[[Any], None]
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "object_halbench": {"tagger": "lexicon"},
    "amber": {"tagger": "lexicon", "similarity": "exact"},
    "mmhal": {},
    "pope": {},
    "mm_vet": {},
    "llava_bench": {},
    "pope labelled again": {"labels": "repope"},
    "hallusion_bench": {},
    "dash_b": {},
    "chair_coco": {"tagger": "lexicon", "images": 1},
}
"""Of what is fuzzed, which begins with the name of a benchmark."""
POPE = [
    {"question_id": 1, "image": "a.jpg", "text": "Is there a dog?", "label": "yes"},
    {"question_id": 2, "image": "a.jpg", "text": "Is there a cat?", "label": "no"},
]
COCO = {
    "images": [{"id": 1}],
    "categories": [{"id": 3, "name": "dog"}],
    "annotations": [{"image_id": 1, "category_id": 3}],
}
CAPTIONS = {"annotations": [{"image_id": 1, "caption": "A dog."}, {"image_id": 2, "caption": 'A "cat", [really].'}]}
COCO_FILES = {"instances_val2014.json": COCO, "captions_val2014.json": CAPTIONS}
ABOUT_A_FIGURE = {
    **{"category": "VS", "subcategory": "chart", "set_id": "0", "figure_id": "1", "question_id": "0"},
    **{"visual_input": "1", "question": "Is A larger?", "gt_answer": "1", "gt_answer_details": "A is larger."},
}
SPLITS = ("random", "popular", "adversarial")
ASKED = [{"question": "Describe the image.", "image_id": 1}]
FILES: Mapping[str, Mapping[str, Any]] = {
    "object_halbench": {
        "obj_halbench_300_with_image.jsonl": ASKED,
        "ground_truth.jsonl": [{"image_id": 1, "instances": ["dog"], "captions": ["A dog."]}],
    },
    "amber": {
        "annotations.json": [
            {"id": 1, "type": "generative", "truth": ["dog"], "hallu": ["cat"]},
            {"id": 2, "type": "discriminative-hallucination", "truth": "yes"},
        ],
        "query_all.json": [{"id": n, "image": "AMBER_1.jpg", "query": "Describe."} for n in (1, 2)],
        "relation.json": {"dog": ["puppy"], "cat": []},
        "safe_words.txt": "person\nman\n",
    },
    "mmhal": {
        "response_template.json": [
            {
                "question_type": "attribute",
                "question_topic": "food",
                "image_id": "a",
                "image_src": "http://example.org/a.jpg",
                "image_content": ["dog"],
                "question": "What?",
                "gt_answer": "A dog.",
                "model_answer": "",
            }
        ]
    },
    "pope": {"coco_pope_random.json": POPE},
    "mm_vet": {
        "mm-vet.json": {
            "v1_0": {"imagename": "a.png", "question": "x?", "answer": "1<OR>2", "capability": ["ocr", "math"]}
        }
    },
    "llava_bench": {
        "questions.jsonl": [{"question_id": 1, "image": "a.jpg", "text": "What?", "category": "llava_bench_conv"}],
        "context.jsonl": [{"image": "a.jpg", "caption": ["A dog.", "It sits."]}],
        "answers_gpt4.jsonl": [{"question_id": 1, "text": "A dog."}],
        "rule.json": {"llava_bench_conv": {"role": "Assistant", "prompt": "Rate them."}},
    },
    "pope labelled again": {f"coco_{kind}_{split}.json": POPE for kind in ("repope", "pope") for split in SPLITS},
    "hallusion_bench": {
        "HallusionBench.json": [ABOUT_A_FIGURE, {**ABOUT_A_FIGURE, "visual_input": "0", "figure_id": "0"}]
    },
    "dash_b": {
        f"dash_benchmark_{half}.json": {"coco": {"dog": ["1.png"], "red cat": ["2.png"]}} for half in ("neg", "pos")
    },
    "chair_coco": {"chair_images.json": [1], "synonyms.txt": "dog, puppy\ncat\n", **COCO_FILES},
}
JSONL = re.compile(r".*\.jsonl|coco_(re)?pope_.*\.json")
SCRIPT = "template = '''Rate {} {} {} {}.'''\nprompt = 'x'\nprompt_template = \"a\"\n"


def benchmark_of(fuzzed: str) -> Benchmark:
    return make_benchmark(fuzzed.partition(" ")[0], SETTINGS[fuzzed])


def written(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if JSONL.fullmatch(name):
        return "".join(json.dumps(row) + "\n" for row in value).encode()
    return json.dumps(value).encode()


def root_of(benchmark: str, name: str) -> Path:
    """A folder of valid data, in which the file ``name`` is fuzzed and nothing else changes."""
    root = folder() / f"{benchmark}-{name}"
    if not root.is_dir():
        root.mkdir()
        for each, value in FILES[benchmark].items():
            (root / each).write_bytes(written(each, value))
    return root


def loading(benchmark: str, name: str) -> Feed:
    """What loads the data with another content of one file: samples of texts, or an error that names the folder."""
    made = benchmark_of(benchmark)

    def feed(content: bytes) -> None:
        root = root_of(benchmark, name)
        (root / name).write_bytes(content)
        naming(root / name, lambda: sound(made, root))

    return feed


def sound(benchmark: Benchmark, root: Path) -> None:
    """The samples can be asked, scored and stored."""
    data = load(benchmark, root)
    assert all(isinstance(sample.id, str) and isinstance(sample.prompt, str) for sample in data.samples)
    data_key(benchmark.name, data.samples)
    for sample in data.samples[:2]:
        judged(benchmark, sample, "A dog.", ("Rating: 3", "0.5", "7 8", '["dog"]'))
        benchmark.judge_prompt(sample, "A {dog}.", 0)
    benchmark.metrics(data.samples)


def judged(benchmark: Benchmark, sample: Sample, answer: str, said: tuple[str, ...]) -> None:
    """The verdict on ``answer``: finite counts, none of them plain where it is an error."""
    try:
        verdict = benchmark.verdict(sample, answer, said if benchmark.needs_judge else ())
    except JudgeParseError:
        verdict = benchmark.unreadable(sample, answer, said)
    for name, count in verdict.counts.items():
        assert math.isfinite(count) or name.startswith("official_"), f"{name}={count}"  # its rule takes "nan"
        assert not verdict.error or name.startswith("official_"), f"{name} of a failed answer"
    json.dumps(verdict.details)


@functools.cache
def samples(benchmark: str) -> tuple[Benchmark, list[Sample]]:
    made = benchmark_of(benchmark)
    return made, list(made.load(root_of(benchmark, "valid")).samples)


def verdicts(given: tuple[str, ...]) -> None:
    """Every benchmark's verdict on the first text as an answer and the others as a judge's replies."""
    answer, *said = given
    for name in FILES:
        benchmark, asked = samples(name)
        for sample in asked:
            judged(benchmark, sample, answer, tuple(said))
            if name in ("mmhal", "mm_vet", "llava_bench") and not any(re.search(r"\d", reply) for reply in said):
                plain = benchmark.unreadable(sample, answer, said)
                assert plain.error, "a score of replies without a digit"


def texts(random: Random, corpus: Any) -> tuple[str, ...]:
    return tuple(mutation.text(random, corpus) for _ in range(3))


def targets() -> list[Target]:
    """One a data file, and the verdicts."""
    made = []
    for benchmark, files in FILES.items():
        for name, value in files.items():
            change: mutation.Change = mutation.encoded if isinstance(value, str) else mutation.document
            change = mutation.lines if JSONL.fullmatch(name) else change
            valid = functools.partial(written, name)
            made.append(Target(f"{benchmark}/{name}", [value], change, loading(benchmark, name), 3, valid=valid))
    for name in ("instances_val2014.json", "captions_val2014.json"):
        value, valid = COCO_FILES[name], functools.partial(written, name)
        made.append(Target(f"coco/{name}", [value], mutation.document, coco(name), 4, valid=valid))
    said = [*replies.RATINGS, *replies.GRADES, *replies.SCORES, *replies.WORDS, *replies.OBJECTS, *replies.THOUGHTS]
    script, names = loading("mmhal", "eval_gpt4.py"), reading("synonyms.txt", read_synonyms)
    pairs, valid = reading("similar.json", read_table), functools.partial(written, "similar.json")
    return [
        *made,
        Target("mmhal/eval_gpt4.py", [SCRIPT], mutation.encoded, script, 3, valid=str.encode),
        Target("synonyms", ["dog, puppy\ncat\n"], mutation.encoded, names, 30, valid=str.encode),
        Target("similarities", [[["a", "b", 0.9], ["c", "d", 1]]], mutation.document, pairs, 30, valid=valid),
        Target("verdicts", said, texts, verdicts, 8, valid=lambda text: (text, text)),
    ]


def coco(name: str) -> Feed:
    """COCO's files instead of the short ground truth."""
    benchmark = make_benchmark("object_halbench", SETTINGS["object_halbench"])

    def feed(content: bytes) -> None:
        root = folder() / f"coco-{name}"
        if not root.is_dir():
            root.mkdir()
            for each, value in COCO_FILES.items():
                (root / each).write_bytes(written(each, value))
            (root / "obj_halbench_300_with_image.jsonl").write_bytes(written("a.jsonl", ASKED))
        (root / name).write_bytes(content)
        naming(root / name, lambda: sound(benchmark, root))

    return feed
