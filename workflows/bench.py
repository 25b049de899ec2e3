"""`bench` and `score`: which models on which benchmarks, under which judge."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.evaluation.claims import Claims
from harness.evaluation.external import run_external
from harness.evaluation.generate import generate
from harness.evaluation.resolve import data_dir, load, make_benchmark
from harness.evaluation.score import evaluate
from harness.evaluation.shard import Shard
from harness.evaluation.sharing import exclusive, generate_shared
from harness.models.replay import read_responses
from harness.models.spec import last_parts, load_model, model_id
from harness.protocols.benchmark import BENCHMARKS, Benchmark, BenchmarkData, Sample
from harness.protocols.external import ExternalBenchmark
from harness.protocols.judge import Judge
from harness.protocols.model import Answer, Model
from harness.protocols.progress import Progress, silent
from harness.store import EvaluationRecord, EvaluationSubject, Store
from harness.util.distributed import rank_and_world_size
from harness.util.options import content_key, overlay
from leaderboards.declared import declared
from workflows.estimate import Estimate, estimate_benchmark
from workflows.judging import Judges
from workflows.settings import deal_benchmarks
from workflows.suites import Member

EMBEDDED_SETTINGS: dict[str, Any] = {"decoding": {"max_new_tokens": 64, "num_beams": 1}, "short": False}
"""Benchmark settings on the embedded world's data: greedy, its answers are short (Object HalBench's own is beam 3).
Its model does not know the words of POPE's request for a short answer."""


@dataclass(frozen=True)
class BenchmarkSpec:
    """A benchmark to run: its settings, and how many of its samples (None: all)."""

    name: str
    settings: Mapping[str, Any]
    limit: int | None = None


def resolve_benchmarks(
    members: Sequence[Member],
    settings: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    limit: int | None = None,
    eos_biases: Sequence[float] = (),
) -> list[BenchmarkSpec]:
    """The benchmarks of a suite with their settings: ``defaults``, then the suite's own, then ``settings``.

    A setting that is none raises a UsageError. ``limit`` (`--limit`) goes before a suite's. ``eos_biases`` adds the
    first benchmark that measures both hallucination and coverage once more with each bias on the end-of-sequence
    logit: the points of its curve.
    """
    curved = next((m.benchmark for m in members if declared(m.benchmark).tradeoff), None)
    if eos_biases and curved is None:
        able = ", ".join(name for name, benchmark in BENCHMARKS.items() if benchmark.tradeoff)
        raise UsageError(
            "--eos-bias (a recipe's eos_biases): none of these benchmarks measures both hallucination and coverage; "
            f"name one that does ({able}) or leave it out."
        )
    names = [member.benchmark for member in members]
    given, chosen = deal_benchmarks(names, {}, defaults), deal_benchmarks(names, settings)
    specs = []
    for m in members:
        own = overlay(given.get(m.benchmark, {}), m.set, chosen.get(m.benchmark, {}))
        make_benchmark(m.benchmark, own).check()  # what is wrong is an error before a model is loaded
        biases = [
            {"decoding": {"eos_bias": bias}} for bias in dict.fromkeys(eos_biases) if bias and m.benchmark == curved
        ]
        specs += [BenchmarkSpec(m.benchmark, overlay(own, bias), limit or m.limit) for bias in ({}, *biases)]
    return specs


@dataclass(frozen=True)
class EvalModel:
    """A model to benchmark: its name in tables, how to load it, and the alignment it came from."""

    run: str
    spec: str
    alignment: str | None = None


def resolve_models(store: Store, models: Sequence[str], embedded: str | None) -> list[EvalModel]:
    """The models named, or every finished alignment of the store after the models that they started from.

    ``embedded`` is the embedded world's base, which belongs to its data. Called "base" is the only model that anything
    started from; of several each has its own name.
    """
    aligned = [a for a in store.alignments() if a.status == "done"]
    known = [embedded] if embedded else []
    known += [f"hf:{a.config['model']}" for a in aligned if "model" in a.config]
    bases = list({model_id(spec): spec for spec in reversed(known)}.values())[::-1]
    specs = list(models) or bases
    if not specs:
        raise UsageError("Nothing to benchmark: name a model with --model, or align one first.")
    names = _names(store, specs, model_id(bases[0]) if len(bases) == 1 else None)
    found = [EvalModel(names[spec], _placed(spec), spec[4:] if spec.startswith("run:") else None) for spec in specs]
    return found if models else found + [EvalModel(a.name, f"run:{a.name}", a.name) for a in aligned]


def _placed(spec: str) -> str:
    """A model's name as it can be read from any directory."""
    return f"hf:{model_id(spec)}" if Path(model_id(spec)).is_dir() else spec


def _names(store: Store, specs: Sequence[str], base: str | None) -> dict[str, str]:
    """What the runs of these models are called: "base", or the last part of the path or hub id.

    A name that would be another model's, here or in the store, is the whole path.
    """
    targets = {spec: model_id(spec).removeprefix("replay:").split("+")[-1] for spec in specs}
    short = last_parts(target for spec, target in targets.items() if not spec.startswith(("run:", "openai:")))
    taken = {e.run: model_id(e.model) for e in store.evaluations() if e.alignment is None}
    names = {}
    for spec, target in targets.items():
        name = short.get(target, spec.removeprefix("run:"))
        foreign = not spec.startswith("run:") and taken.get(name, model_id(spec)) != model_id(spec)
        names[spec] = "base" if base == model_id(spec) else target if foreign else name
    return names


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
    eval_model: EvalModel,
    benchmarks: Sequence[BenchmarkSpec],
    root: Path,
    judges: Judges,
    *,
    device: str = "auto",
    loading: Mapping[str, Any] | None = None,
    fresh: bool = False,
    claims: Claims | None = None,
    progress: Progress = silent,
) -> Iterator[EvaluationRecord]:
    """Run one model over benchmarks, yielding each stored evaluation.

    ``loading`` holds settings of ``load_model``. With ``claims`` the work is shared with other processes on the results
    file; of those that torchrun started, the first alone judges and yields.
    """
    model = load_model(eval_model.spec, device=device, settings=loading, runs=lookup_run(store), progress=progress)
    for item in benchmarks:
        name, settings = item.name, item.settings
        benchmark = make_benchmark(name, settings)
        if isinstance(benchmark, ExternalBenchmark):
            if rank_and_world_size()[0] == 0:
                subject = subject_of(eval_model, model, settings, root, loading)
                with exclusive(claims, f"{model.key} {name}") if claims else contextlib.nullcontext():
                    records = run_external(
                        store, benchmark, model, subject, root, limit=item.limit, fresh=fresh, progress=progress
                    )
                yield from records
            continue
        folder = data_dir(name, root)
        data = load(benchmark, folder, item.limit)
        asked_judge = judges.open(benchmark, folder)
        if claims is None:
            answers = generate(store, model, data.samples, benchmark.decoding, fresh=fresh, progress=progress)
        else:
            answers = generate_shared(store, model, data.samples, benchmark.decoding, claims, progress=progress)
        if rank_and_world_size()[0] > 0:
            continue
        subject = subject_of(eval_model, model, settings, folder, loading)
        with exclusive(claims, f"{model.key} {name}") if claims else contextlib.nullcontext():
            record = evaluate(
                store, benchmark, data, answers, asked_judge, subject=subject, runs=settings.get("judge_runs"),
                progress=progress,
            )  # fmt: skip
        yield record


def bench_all(
    store: Store,
    eval_models: Sequence[EvalModel],
    benchmarks: Sequence[BenchmarkSpec],
    root: Path,
    judges: Judges,
    *,
    share: bool = False,
    fresh: bool = False,
    device: str = "auto",
    loading: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> list[EvaluationRecord]:
    """Run all models over all benchmarks; under torchrun, or with ``share``, together with other processes."""
    shared = share or rank_and_world_size()[1] > 1
    if shared and fresh:
        raise UsageError("--fresh: processes that share the work cannot know old answers from new; use another --db.")
    with Claims(store.path) if shared else contextlib.nullcontext() as claims:
        return [
            record
            for eval_model in eval_models
            for record in bench_model(
                store, eval_model, benchmarks, root, judges,
                device=device, loading=loading, fresh=fresh, claims=claims, progress=progress,
            )
        ]  # fmt: skip


def answer_shard(
    store: Store,
    eval_model: EvalModel,
    benchmarks: Sequence[BenchmarkSpec],
    root: Path,
    shard: Shard,
    *,
    device: str = "auto",
    loading: Mapping[str, Any] | None = None,
    fresh: bool = False,
    progress: Progress = silent,
) -> Iterator[dict[str, Any]]:
    """Answer one shard of every benchmark and store the answers; nothing is judged, no evaluation is stored.

    The same command without a shard finds the answers of all shards and scores them.
    """
    model = load_model(eval_model.spec, device=device, settings=loading, runs=lookup_run(store), progress=progress)
    for item in benchmarks:
        benchmark = make_benchmark(item.name, item.settings)
        samples = shard.of(load(benchmark, data_dir(item.name, root), item.limit).samples)
        answers = generate(store, model, samples, benchmark.decoding, fresh=fresh, progress=progress)
        failed = sum(answer.text is None for answer in answers.values())
        yield {
            "run": eval_model.run,
            "benchmark": item.name,
            "shard": str(shard),
            "n": len(samples),
            "n_failed": failed,
        }


def subject_of(
    eval_model: EvalModel,
    model: Model,
    settings: Mapping[str, Any],
    folder: Path,
    loading: Mapping[str, Any] | None = None,
) -> EvaluationSubject:
    """What the evaluation of a loaded model is an evaluation of."""
    return EvaluationSubject(
        run=eval_model.run,
        model=model.spec,
        model_key=model.key,
        alignment=eval_model.alignment,
        settings=dict(settings),
        data_dir=str(folder.resolve()),
        info={"route": model.route, "loading": dict(loading or {})},
    )


def embedded_base(progress: Progress) -> str:
    """The embedded world's base model as a spec, built if absent."""
    from tinyworld.build import WorldConfig
    from tinyworld.build import build as build_world

    return f"hf:{build_world(WorldConfig(), progress=progress).model_dir}"


@dataclass(frozen=True)
class Answered:
    """A benchmark's samples and the answers to them that a responses file holds."""

    benchmark: Benchmark
    data: BenchmarkData
    answers: dict[str, str]

    @property
    def samples(self) -> Sequence[Sample]:
        return self.data.samples

    @property
    def missing(self) -> list[str]:
        """The ids without an answer, in the benchmark's order."""
        return [sample.id for sample in self.samples if sample.id not in self.answers]


def read_answers(name: str, settings: Mapping[str, Any], responses: Path, root: Path) -> Answered:
    """The answers of a file, checked against the benchmark. Opens no image.

    An id that is not the benchmark's, or one answered twice, raises a DataError.
    """
    benchmark = make_benchmark(name, settings)
    if not root.is_dir():
        raise UsageError(f"--data-dir {root}: no such directory.")
    data = load(benchmark, root)
    samples = data.samples
    given = read_responses(responses)
    unknown = sorted(set(given) - {sample.id for sample in samples})
    if unknown:
        shown = ", ".join(repr(sample_id) for sample_id in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise DataError(
            f"{responses}: {len(unknown)} ids are not of {name}: {shown}. Its ids run from {samples[0].id!r} to "
            f"{samples[-1].id!r}; take those lines out, or name the data they belong to with --data-dir."
        )
    return Answered(benchmark, data, given)


def score(
    store: Store,
    given: Answered,
    settings: Mapping[str, Any],
    responses: Path,
    root: Path,
    judges: Judges,
    progress: Progress,
) -> EvaluationRecord:
    """Score answers from a file and store the evaluation."""
    asked_judge = judges.open(given.benchmark, root)
    data = dataclasses.replace(given.data, notes=[*given.data.notes, *_foreign_replies(asked_judge, given)])
    subject = EvaluationSubject(
        run=responses.stem,
        model=f"replay:{responses}",
        model_key=content_key("replay", given.answers),
        alignment=None,
        data_dir=str(root.resolve()),
        settings=dict(settings),
        info={"route": "file"},
    )
    answers = {sample_id: Answer(text) for sample_id, text in given.answers.items()}
    return evaluate(
        store, given.benchmark, data, answers, asked_judge, subject=subject, runs=settings.get("judge_runs"),
        progress=progress,
    )  # fmt: skip


def _foreign_replies(judge: Judge | None, given: Answered) -> list[str]:
    """A note where recorded replies are about samples that the data do not have."""
    foreign = sorted(judge.ids - {sample.id for sample in given.samples}) if judge is not None else []
    if judge is None or not foreign:
        return []
    return [f"{judge.name}: replies for {len(foreign)} ids that the data do not have, for example {foreign[0]!r}"]


def estimate(
    store: Store,
    item: BenchmarkSpec,
    root: Path,
    eval_model: EvalModel,
    judges: Judges,
) -> Estimate:
    """What a benchmark will ask of one model and of the judge, counted from its data; loads no model."""
    benchmark, folder = make_benchmark(item.name, item.settings), data_dir(item.name, root)
    samples = load(benchmark, folder, item.limit).samples
    replayed = eval_model.spec.startswith("replay:")
    answers = read_responses(Path(eval_model.spec.partition(":")[2])) if replayed else None
    return estimate_benchmark(store, benchmark, samples, eval_model.spec, judges, folder, answers=answers)
