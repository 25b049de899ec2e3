"""`bench` and `score`: which models on which benchmarks, under which judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.benchmark import BENCHMARKS, Benchmark
from harness.errors import DataError, UsageError, unknown_name
from harness.judge import Judge
from harness.judges import make_judge
from harness.model import Answer, Model
from harness.models import load_model
from harness.options import content_key
from harness.replay_model import read_responses
from harness.run import Progress, data_dir, evaluate, generate, load_samples, make_benchmark, silent
from harness.store import EvaluationRecord, Store

EMBEDDED: dict[str, Any] = {"decoding": {"max_new_tokens": 64}}
"""Benchmark settings on the embedded world's data: greedy, its answers are short (Object HalBench's own is beam 3)."""

SUITES: dict[str, tuple[str, ...]] = {"hallucination": ("object_halbench", "amber", "mmhal")}


@dataclass(frozen=True)
class Entrant:
    """A model to benchmark: its name in tables, how to load it, and the alignment it came from."""

    run: str
    spec: str
    alignment: str | None = None


def benchmarks_of(suite: str | None, names: Sequence[str]) -> list[str]:
    """The benchmarks named, or those of the suite (default: hallucination)."""
    if names:
        for name in names:
            BENCHMARKS.get(name)
        return list(names)
    suite = suite or "hallucination"
    if suite not in SUITES:
        raise unknown_name("suite", suite, SUITES)
    return list(SUITES[suite])


def entrants(store: Store, models: Sequence[str], base: str | None) -> list[Entrant]:
    """The models named, or the base and every finished alignment of the store."""
    if models:
        return [Entrant(_short(spec), spec, spec[4:] if spec.startswith("run:") else None) for spec in models]
    found = [Entrant("base", base)] if base else []
    found += [Entrant(a.name, f"run:{a.name}", a.name) for a in store.alignments() if a.status == "done"]
    if not found:
        raise UsageError("Nothing to benchmark: name a model with --model, or align one first.")
    return found


def _short(spec: str) -> str:
    kind, _, target = spec.partition(":")
    return target if kind == "run" else Path(target.split("+")[0]).name if kind in ("hf", "replay") else spec


def lookup_run(store: Store) -> Any:
    """How ``run:NAME`` finds its files: (base model directory, adapter directory or None)."""

    def find(name: str) -> tuple[str, str | None]:
        record = store.alignment(name)
        if record.status != "done":
            raise UsageError(f"run:{name} is {record.status}; finish it with `align --name {name} --resume` first.")
        if (Path(record.model_dir) / "adapter_config.json").exists():
            return str(record.config["model"]), record.model_dir
        return record.model_dir, None

    return find


def bench_model(
    store: Store,
    entrant: Entrant,
    benchmarks: Mapping[str, Mapping[str, Any]],
    root: Path,
    judge: str | None,
    *,
    device: str = "auto",
    limit: int | None = None,
    fresh: bool = False,
    eos_biases: Sequence[float] = (),
    progress: Progress = silent,
) -> Iterator[EvaluationRecord]:
    """Run one model over benchmarks (name -> settings), yielding each stored evaluation.

    ``eos_biases`` adds evaluations of captioning benchmarks (Object HalBench) with that bias on the end-of-sequence
    logit: the points of the hallucination-against-coverage curve.
    """
    model = load_model(entrant.spec, device=device, runs=lookup_run(store))
    for name, settings in benchmarks.items():
        benchmark = make_benchmark(name, settings)
        folder = data_dir(name, root)
        samples = load_samples(benchmark, folder, limit)
        asker = open_judge(benchmark, judge, folder)
        biases = eos_biases if name == "object_halbench" else ()
        for bias in (benchmark.decoding.eos_bias, *biases):
            decoding = dataclasses.replace(benchmark.decoding, eos_bias=bias)
            answers = generate(store, model, samples, decoding, fresh=fresh, progress=progress)
            identity = identity_of(entrant, model, settings, folder)
            identity["info"]["data_notes"] = benchmark.data_notes(folder)
            yield evaluate(
                store, benchmark, samples, answers, asker, identity=identity, decoding=decoding, progress=progress
            )


def identity_of(entrant: Entrant, model: Model, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The columns of an evaluation that say what was evaluated."""
    return {
        "run": entrant.run,
        "model": model.spec,
        "model_key": model.key,
        "alignment": entrant.alignment,
        "settings": dict(settings),
        "data_dir": str(folder),
        "info": {"route": getattr(model, "route", "file")},
    }


def embedded_base(progress: Progress) -> str:
    """The embedded world's base model as a spec, built if absent."""
    from tinyworld.build import WorldConfig
    from tinyworld.build import build as build_world

    return f"hf:{build_world(WorldConfig(), progress=progress).model_dir}"


def score(
    store: Store,
    name: str,
    settings: Mapping[str, Any],
    responses: Path,
    root: Path,
    judge: str | None,
    progress: Progress,
) -> tuple[EvaluationRecord, list[str]]:
    """Score answers from a file; returns the evaluation and the ids without an answer. Opens no image.

    An id that is not the benchmark's, or one answered twice, raises a DataError.
    """
    benchmark = make_benchmark(name, settings)
    if not root.is_dir():
        raise UsageError(f"--data-dir {root}: no such directory.")
    samples = load_samples(benchmark, root)
    given = read_responses(responses)
    unknown = sorted(set(given) - {sample.id for sample in samples})
    if unknown:
        raise DataError(f"{responses}: {len(unknown)} ids are not of {name}, for example {unknown[0]!r}.")
    answers = {sample_id: Answer(text) for sample_id, text in given.items()}
    identity = {
        "run": responses.stem,
        "model": f"replay:{responses}",
        "model_key": content_key("replay", given),
        "alignment": None,
        "data_dir": str(root),
        "settings": dict(settings),
        "info": {"route": "file", "data_notes": benchmark.data_notes(root)},
    }
    asker = open_judge(benchmark, judge, root)
    record = evaluate(store, benchmark, samples, answers, asker, identity=identity, progress=progress)
    return record, [sample.id for sample in samples if sample.id not in given]


def estimate(
    store: Store, name: str, settings: Mapping[str, Any], root: Path, judge: str | None, limit: int | None
) -> dict[str, Any]:
    """What a benchmark will ask of every model and of the judge, counted from its data."""
    benchmark = make_benchmark(name, settings)
    samples = load_samples(benchmark, data_dir(name, root), limit)
    calls = len(samples) * benchmark.judge_runs if benchmark.needs_judge else 0
    return {"benchmark": name, "generations": len(samples), "judge_calls": calls, "judge": judge}


def open_judge(benchmark: Benchmark, judge: str | None, folder: Path) -> Judge | None:
    """The judge a benchmark needs; without --judge only the embedded world's data may use the rule judge."""
    if not benchmark.needs_judge:
        return None
    if judge is None:
        if not (folder / "truth.jsonl").exists():
            raise UsageError(
                f"{benchmark.name} is scored by a judge: name one with --judge, for example "
                "--judge openai:gpt-4o-mini or --judge openai:NAME@http://HOST:PORT/v1."
            )
        judge = "rule"
    return make_judge(judge, folder)
