"""What users write to set things: ``--set``, recipes, ablations, suites, price lists, and the settings they become."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from aligners.objective import ALIGNERS
from harness.chat.prices import load_prices
from harness.chat.settings import ServedSettings
from harness.evaluation.resolve import make_benchmark
from harness.evaluation.spoken import ScoringSettings
from harness.models.settings import HfSettings
from harness.protocols.progress import silent
from harness.util.options import build, content_key, describe, parse_assignments, read_yaml
from recipes import RECIPES
from tests.fuzz import mutation
from tests.fuzz.files import reading
from tests.fuzz.target import Target
from tinyworld.build import WorldConfig
from workflows.ablation import jobs, read_ablation
from workflows.align import resolve_alignment
from workflows.settings import deal_benchmarks, gather
from workflows.suites import members_of

BENCHMARKS = ("object_halbench", "amber", "mmhal", "pope", "mm_vet", "llava_bench")
OF_THE_WORLD = {field.name for field in dataclasses.fields(WorldConfig)}
INPUTS = {"model": "owner/model", "data": "pairs.jsonl"}
SETTINGS: tuple[dict[str, Any], ...] = (
    {"lr": 5e-7, "epochs": 2, "batch_size": 4, "warmup": 0.1, "scheduler": "cosine", "lora_rank": 64, "merge": True},
    {"train.seed": 3, "beta": 0.1, "dtype": "bfloat16", "device": "cpu", "sharding": "none", "weight_decay": 0.0},
    {"clip": "ViT-L-14/openai", "splitter": "rule", "aggregation": "mean", "permute_seed": 0, "clip_batch": 8},
    {"model.system": "Be brief.", "model.max_pixels": 9000, "model.thinking": "off", "model.template": "{{ x }}"},
    {"columns": "chosen=y_win", "image_root": "", "question": "Describe it.", "split": "train", "report_to": "none"},
    {"method": "dpo", "name": "mine", "label": "DPO", "panel": "clean", "heldout": "", "limit": 5, "probe_every": 0},
)
OF_BENCH: tuple[dict[str, Any], ...] = (
    {"decoding.num_beams": 1, "decoding.max_new_tokens": 64, "decoding": {"temperature": 0.2}, "tagger": "auto"},
    {"prompt": "own", "attempts": 3, "judge_runs": 2, "parser": "tolerant", "similarity": "exact", "short": False},
)
OF_PARTS: tuple[dict[str, Any], ...] = (
    {"dtype": "float16", "batch_size": 8, "attention": "sdpa", "revision": "main", "trust_remote_code": False},
    {"concurrency": 8, "timeout": 60, "tries": 2, "budget": 1.5, "prices": "", "extra_body": {"a": 1}},
    {"reasoning": "keep"},
)
WORDS = ("lr=5e-7", "decoding.num_beams=1", "model.system=", "extra_body={a: 1}", "eos=[1, 2]", "x='a b'", "x=&a [1]")
ABLATION: dict[str, Any] = {
    "panels": [{"name": "clean", "set": {"label_noise": 0.0}}, {"name": "30 %", "set": {"label_noise": 0.3}}],
    "methods": [
        {"method": "dpo"},
        {"method": "dama", "label": "d", "set": {"variant": ["paper", "code"]}},
        {"method": "dpo", "label": "control", "match": "d variant=paper"},
    ],
    "seeds": [0, 1],
    "eos_biases": [-0.75, 0.5],
    "common": {"lr": 1e-6},
    "workers": 1,
}
SUITES = (
    {"name": "mine", "limit": 5, "benchmarks": ["pope", {"benchmark": "amber", "set": {"tagger": "auto"}, "limit": 2}]},
)
PRICES = ({"my-model": {"input": 0.2, "output": 0.8}, "other": {"input": 1, "output": 2}},)


def finite(settings: Any) -> None:
    """No number of the settings is NaN or infinite, and a key can be made of them."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            finite(value)
        assert not isinstance(value, float) or math.isfinite(value), f"{field.name}={value}"
    content_key(settings).encode()


def alignment(given: Any) -> None:
    if isinstance(given, Mapping):
        spec = resolve_alignment({**INPUTS, **given}, silent, built=False)
        for settings in (spec.train, spec.objective, spec.hardness):
            finite(settings)
        assert all(isinstance(text, str) for text in (spec.name, spec.label, spec.panel))


def objective(given: Any) -> None:
    if isinstance(given, Mapping):
        method = str(given.get("method"))
        finite(build(ALIGNERS.get(method), {k: v for k, v in given.items() if k != "method"}, f"aligner {method}"))


def benchmark(given: Any) -> None:
    if isinstance(given, Mapping):
        for name, settings in deal_benchmarks(BENCHMARKS, given).items():
            finite(make_benchmark(name, settings))


def part(given: Any) -> None:
    if isinstance(given, Mapping):
        kinds = [k for k in PARTS if given.keys() & {field.name for field in dataclasses.fields(k)}]
        for kind in kinds or PARTS:
            finite(build(kind, given, "model"))


PARTS: tuple[type[Any], ...] = (HfSettings, ServedSettings, ScoringSettings)


def assignment(given: str) -> None:
    """What is set is settings by name, of values that JSON has."""
    settings = gather(None, parse_assignments([given]), {})
    assert all(isinstance(name, str) for name in settings)
    json.dumps(settings)


def recipe(path: Path) -> None:
    alignment(gather(path, {}, {}))


def ablation(path: Path) -> None:
    """Every run that is planned has a name of its own and settings of text names."""
    planned = jobs(read_ablation(read_yaml(path)), "results.sqlite")
    assert len({job.name for job in planned}) == len(planned)
    assert all(isinstance(name, str) for job in planned for name in job.settings)
    for job in planned[:2]:
        own = {name: held for name, held in job.settings.items() if name not in OF_THE_WORLD}
        resolve_alignment({**INPUTS, **own}, silent, built=False)


def suite(path: Path) -> None:
    assert all(isinstance(member.benchmark, str) for member in members_of(str(path), ()))


def prices(path: Path) -> None:
    for price in load_prices(path).values():
        assert price.input >= 0 and math.isfinite(price.output)


def as_yaml(random: Random, corpus: Any) -> bytes:
    """A YAML file with a change in its value, its text, or both."""
    value = mutation.value(random, corpus) if random.random() < 0.6 else random.choice(corpus)
    return mutation.encoded(random, [written(value).decode()]) if random.random() < 0.5 else written(value)


def written(value: Any) -> bytes:
    """JSON, which is YAML, for speed."""
    return json.dumps(value).encode()


def files() -> list[str]:
    """The recipes that come with the harness."""
    return [path.read_text() for path in sorted(RECIPES.glob("*.yaml")) if "accelerate" not in path.name]


def targets() -> list[Target]:
    """One a kind of settings, and one a kind of file."""
    align = [text for text in files() if "methods:" not in text]
    ablate = [text for text in files() if "methods:" in text]
    objectives = [{"method": name, **describe(ALIGNERS.get(name))} for name in ALIGNERS.names()]
    of_runs = [
        Target(name, corpus, change, reading(f"{name}.yaml", read, named=False), share, valid=valid)
        for name, corpus, change, read, share, valid in (
            ("recipes", align, mutation.encoded, recipe, 2, str.encode),
            ("ablations in full", ablate, mutation.encoded, ablation, 1, str.encode),
            ("ablations", [ABLATION], as_yaml, ablation, 3, written),
        )
    ]
    return [
        Target("alignments", SETTINGS, mutation.value, alignment, 15),
        Target("objectives", objectives, mutation.value, objective, 30),
        Target("benchmarks' settings", OF_BENCH, mutation.value, benchmark, 15),
        Target("parts' settings", OF_PARTS, mutation.value, part, 60),
        Target("assignments", WORDS, mutation.text, assignment, 20),
        *of_runs,
        Target("suites", SUITES, as_yaml, reading("suite.yaml", suite), 3, valid=written),
        Target("price lists", PRICES, as_yaml, reading("prices.yaml", prices), 4, valid=written),
    ]
