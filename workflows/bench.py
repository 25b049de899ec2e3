"""`bench`: benchmarks with their settings, run on models."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.cluster.connection import Cluster
from harness.errors import UsageError
from harness.evaluation.absent import check_images
from harness.evaluation.external import run_external
from harness.evaluation.resolve import data_dir, load, make_benchmark
from harness.evaluation.score import evaluate
from harness.evaluation.shard import Shard
from harness.evaluation.sharing import exclusive, generate_once, generate_shared
from harness.evaluation.spoken import LEAVE_OUT, ScoringSettings
from harness.models.spec import MODELS, parse_spec
from harness.protocols.benchmark import BENCHMARKS, Benchmark, BenchmarkData, Sample
from harness.protocols.external import ExternalBenchmark
from harness.protocols.judge import Judge
from harness.protocols.model import Model
from harness.protocols.progress import Progress, silent
from harness.store import EvaluationRecord, Store
from harness.store.claims import Claims
from harness.util.distributed import rank_and_world_size
from harness.util.images import count_changes
from harness.util.options import overlay
from leaderboards.bracket import FIRST
from leaderboards.declared import benchmark_order, declared
from workflows.bench_models import loaded_model, subject_of
from workflows.benchmark_spec import BenchmarkSpec
from workflows.curve_points import AUTO, Bias, added_points, at_bias, bases_first, biased, warn_without_base
from workflows.embedded import is_embedded
from workflows.eval_models import EvalModel
from workflows.judging import Judges
from workflows.probing import Probed
from workflows.settings import deal_benchmarks
from workflows.suites import Member


def resolve_benchmarks(
    members: Sequence[Member],
    settings: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    limit: int | None = None,
    eos_biases: Sequence[Bias] = (),
) -> list[BenchmarkSpec]:
    """The benchmarks of a suite with their settings: ``defaults``, then the suite's own, then ``settings``.

    A setting that is none raises a UsageError. ``limit`` (`--limit`) goes before a suite's. ``eos_biases`` adds the
    first benchmark (in the registry's order) that measures both hallucination and coverage once more with each bias on
    the end-of-sequence logit: the points of its curve; AUTO among them as many more as it takes to read it.
    """
    for count in (limit, *(m.limit for m in members)):
        if count is not None and count < 1:
            raise UsageError(f"limit {count}: expected a whole number of at least 1; leave it out for all samples.")
    curved = min((m.benchmark for m in members if declared(m.benchmark).tradeoff), key=benchmark_order, default=None)
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
        asked = dict.fromkeys(eos_biases) if m.benchmark == curved else ()
        specs.append(BenchmarkSpec(m.benchmark, own, limit or m.limit, bracket=AUTO in asked))
        specs += [
            replace(specs[-1], settings=biased(own, bias), bracket=False) for bias in asked if bias and bias != AUTO
        ]
        for bias in asked:
            make_benchmark(m.benchmark, biased(own, FIRST if bias == AUTO else bias))
    return specs


def check_decodings(specs: Sequence[str], benchmarks: Sequence[BenchmarkSpec]) -> None:
    """Raise UsageError where a benchmark's decoding is beyond a model's kind, naming both, before anything is asked."""
    settings = [(b.name, biased(b.settings, FIRST) if b.bracket else b.settings) for b in benchmarks]
    decodings = [(name, make_benchmark(name, given).decoding) for name, given in settings]
    for spec in specs:
        refused: dict[str, list[str]] = {}
        for name, decoding in decodings:
            if reason := MODELS.get(parse_spec(spec).kind).refuses(decoding):
                refused.setdefault(reason, []).append(name)
        if refused:
            reason, names = next(iter(refused.items()))
            raise UsageError(f"--model {spec} on {', '.join(names)}: {reason}")


def of_world(root: Path, benchmarks: Sequence[BenchmarkSpec]) -> bool:
    """Whether ``root`` holds data of the embedded world for one of the benchmarks.

    Raises UsageError where it, or the folder of a benchmark in it, holds nothing.
    """
    folders = [data_dir(item.name, root) for item in benchmarks]
    return any(map(is_embedded, folders))


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
    scoring: ScoringSettings = LEAVE_OUT,
    probe: bool = True,
    claims: Claims | None = None,
    cluster: Cluster | None = None,
    progress: Progress = silent,
) -> Iterator[EvaluationRecord]:
    """Run one model over benchmarks, yielding each stored evaluation.

    ``loading`` holds settings of ``load_model``; with ``probe`` the model is probed before its first answer. The data
    are read, their images looked for and the judges made before it is loaded. With
    ``claims`` the work is shared with other processes on the results file; of those that torchrun started, the first
    alone judges and yields. On a ``cluster`` its workers hold the model.
    """
    made = [make_benchmark(item.name, item.settings) for item in benchmarks]
    loaded = [
        None if isinstance(benchmark, ExternalBenchmark) else data_of(benchmark, item, root, eval_model)
        for benchmark, item in zip(made, benchmarks, strict=True)
    ]
    for item, benchmark in zip(benchmarks, made, strict=True):
        if not isinstance(benchmark, ExternalBenchmark):
            judges.open(benchmark, data_dir(item.name, root))
    with loaded_model(store, eval_model, device, loading, probe, cluster, progress) as model:
        one = partial(
            _bench_one, store, eval_model, model, root=root, judges=judges,
            loading=loading, fresh=fresh, scoring=scoring, claims=claims,
        )  # fmt: skip
        curves = []
        for item, benchmark, data in zip(benchmarks, made, loaded, strict=True):
            for record in one(item, benchmark, data, progress=progress):
                yield record
                curves += [(record, item, data)] if item.bracket else []
        for record, item, data in curves:

            def at(bias: float, item: BenchmarkSpec = item, data: Any = data) -> Iterator[EvaluationRecord]:
                point = replace(item, settings=biased(item.settings, bias), bracket=False)
                return one(point, make_benchmark(point.name, point.settings), data, progress=at_bias(progress, bias))

            yield from added_points(store, record, at, since=record.id if fresh else 0)


def _bench_one(
    store: Store,
    eval_model: EvalModel,
    model: Model,
    item: BenchmarkSpec,
    benchmark: Benchmark,
    data: BenchmarkData | None,
    *,
    root: Path,
    judges: Judges,
    loading: Mapping[str, Any] | None,
    fresh: bool,
    scoring: ScoringSettings,
    claims: Claims | None,
    progress: Progress,
) -> Iterator[EvaluationRecord]:
    """Run a loaded model over one benchmark, of which ``data`` are known unless another engine runs it."""
    name, settings = item.name, item.settings
    if isinstance(benchmark, ExternalBenchmark):
        if rank_and_world_size()[0] == 0:
            subject = subject_of(eval_model, model, settings, root, loading)
            with exclusive(claims, f"{model.key} {name}") if claims else contextlib.nullcontext():
                records = run_external(
                    store, benchmark, model, subject, root,
                    limit=item.limit, fresh=fresh, scoring=scoring, progress=progress,
                )  # fmt: skip
            yield from records
        return
    assert data is not None  # only another engine's are not known
    folder = data_dir(name, root)
    asked_judge = _judge_of(judges, benchmark, folder, model)
    if claims is None:
        answers = generate_once(store, model, data.samples, benchmark.decoding, fresh=fresh, progress=progress)
    else:
        answers = generate_shared(store, model, data.samples, benchmark.decoding, claims, progress=progress)
    if rank_and_world_size()[0] > 0:
        return
    subject = subject_of(eval_model, model, settings, folder, loading)
    recorded = MODELS.get(parse_spec(eval_model.spec).kind).recorded
    if not recorded and (changed := count_changes(_images_of(data.samples))):
        subject = replace(subject, info={**subject.info, "images_changed": changed})
    with exclusive(claims, f"{model.key} {name}") if claims else contextlib.nullcontext():
        record = evaluate(
            store, benchmark, data, answers, asked_judge, subject=subject,
            decoding=model.decodes(benchmark.decoding), runs=settings.get("judge_runs"), scoring=scoring,
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
    probe: bool = True,
    device: str = "auto",
    loading: Mapping[str, Any] | None = None,
    scoring: ScoringSettings = LEAVE_OUT,
    cluster: Cluster | None = None,
    progress: Progress = silent,
) -> Iterator[EvaluationRecord]:
    """Run all models over all benchmarks, yielding each stored evaluation; under torchrun, or with ``share``, together
    with other processes."""
    shared = share or rank_and_world_size()[1] > 1
    if shared and fresh:
        raise UsageError("--fresh: processes that share the work cannot know old answers from new; use another --db.")
    with Claims(store.path) if shared else contextlib.nullcontext() as claims:
        for eval_model in bases_first(store, eval_models):
            yield from bench_model(
                store, eval_model, benchmarks, root, judges,
                device=device, loading=loading, fresh=fresh, probe=probe, scoring=scoring, claims=claims,
                cluster=cluster, progress=progress,
            )  # fmt: skip
        warn_without_base(store, eval_models, benchmarks)


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
    probe: bool = True,
    cluster: Cluster | None = None,
    progress: Progress = silent,
) -> Iterator[dict[str, Any]]:
    """Answer one shard of every benchmark and store the answers; nothing is judged, no evaluation is stored.

    The same command without a shard finds the answers of all shards and scores them.
    """
    made = [make_benchmark(item.name, item.settings) for item in benchmarks]
    parts = [
        shard.of(data_of(benchmark, item, root, eval_model).samples)
        for benchmark, item in zip(made, benchmarks, strict=True)
    ]
    with loaded_model(store, eval_model, device, loading, probe, cluster, progress) as model:
        for item, benchmark, samples in zip(benchmarks, made, parts, strict=True):
            answers = generate_once(store, model, samples, benchmark.decoding, fresh=fresh, progress=progress)
            failed = sum(answer.text is None for answer in answers.values())
            yield {
                "run": eval_model.run,
                "benchmark": item.name,
                "shard": str(shard),
                "n": len(samples),
                "n_failed": failed,
            }


def data_of(benchmark: Benchmark, item: BenchmarkSpec, root: Path, eval_model: EvalModel) -> BenchmarkData:
    """The data of a benchmark. Images that the model would be shown and that are missing are said, see check_images."""
    data = load(benchmark, data_dir(item.name, root), item.limit)
    if not MODELS.get(parse_spec(eval_model.spec).kind).recorded:
        check_images(item.name, data.samples)
    return data


def _judge_of(judges: Judges, benchmark: Benchmark, folder: Path, model: Model) -> Judge | None:
    """The judge of the answers that ``model`` is asked for next, which a probed model has probed before them."""
    judge = judges.open(benchmark, folder)
    if isinstance(model, Probed):
        model.judge = judge
    return judge


def _images_of(samples: Sequence[Sample]) -> Iterator[bytes]:
    """The encoded images of ``samples``, each once; those that cannot be read are failed answers already."""
    for image in dict.fromkeys(sample.image for sample in samples if sample.image):
        with contextlib.suppress(OSError):
            yield image.read()
