"""The engine: samples -> answers -> replies -> verdicts -> metrics. Each step asks the store what is missing."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.evaluation.judge import JudgeUsage, judge_answers
from harness.evaluation.metrics import Scored, summarise
from harness.protocols.benchmark import BENCHMARKS, Benchmark, Decoding, Image, Metric, Sample, ratio
from harness.protocols.judge import Judge
from harness.protocols.model import Answer, Model
from harness.protocols.progress import Progress, silent
from harness.store import EvaluationRecord, EvaluationSubject, NewEvaluation, Store
from harness.util.environment import environment
from harness.util.options import build, content_key

ANSWERS_PER_WRITE = 64
REASONS = 5  # most frequent reasons of failed samples that an evaluation records


def make_benchmark(name: str, settings: Mapping[str, Any] | None = None) -> Benchmark:
    """The benchmark ``name`` with ``--set`` values applied."""
    return build(BENCHMARKS.get(name), settings or {}, f"benchmark {name}")


def data_dir(benchmark: str, root: Path) -> Path:
    """``root/benchmark`` if it is there, else ``root`` (DESIGN: contract of --data-dir)."""
    if not root.is_dir():
        raise UsageError(f"--data-dir {root}: no such directory.")
    return root / benchmark if (root / benchmark).is_dir() else root


def load_samples(benchmark: Benchmark, root: Path, limit: int | None = None) -> list[Sample]:
    """The samples of the data directory, the first ``limit`` of them; duplicates and an empty set are errors."""
    samples = benchmark.samples(root)
    twice = next((i for i, count in Counter(s.id for s in samples).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{root}: {benchmark.name} has two samples with the id {twice!r}.")
    if not samples:
        raise DataError(f"{root}: no {benchmark.name} samples found.")
    return samples[:limit]


def data_key(benchmark: str, samples: Sequence[Sample]) -> str:
    """Identity of the questions and truths that were asked; images are part of the answers' keys."""
    return content_key(benchmark, [(s.id, s.prompt, dict(s.data)) for s in samples])


class ImageDigests:
    """sha256 of images, each file read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of(self, image: Image | None) -> str:
        """Hex digest; "" without an image, and for one that cannot be read (its answer will be an error)."""
        if image is None:
            return ""
        if image.path is not None and image.path in self._known:
            return self._known[image.path]
        try:
            digest = hashlib.sha256(image.read()).hexdigest()
        except OSError:
            return ""
        if image.path is not None:
            self._known[image.path] = digest
        return digest


class AnswerKeys:
    """The keys under which the answers to ``samples`` are stored: prompt, image by content, decoding."""

    def __init__(self, samples: Sequence[Sample], decoding: Decoding) -> None:
        digests = ImageDigests()
        self.of = {s.id: content_key(s.prompt, digests.of(s.image), decoding) for s in samples}

    def stored(self, store: Store, model: Model) -> dict[str, Answer]:
        """The stored answers of ``model`` by sample id; failed ones do not count."""
        found = store.answers(model.key, self.of.values())
        return {id_: found[key] for id_, key in self.of.items() if key in found and found[key].error is None}


def generate(
    store: Store,
    model: Model,
    samples: Sequence[Sample],
    decoding: Decoding,
    *,
    fresh: bool = False,
    progress: Progress = silent,
) -> dict[str, Answer]:
    """Answers by sample id: stored ones, and new ones for what is missing, stored as they come."""
    keys = AnswerKeys(samples, decoding)
    answers = {} if fresh else keys.stored(store, model)
    missing = [sample for sample in samples if sample.id not in answers]
    waiting: list[tuple[str, Answer]] = []
    try:
        for position, answer in model.generate(missing, decoding):
            sample = missing[position]
            answers[sample.id] = answer
            waiting.append((keys.of[sample.id], answer))
            if len(waiting) >= ANSWERS_PER_WRITE:
                store.save_answers(model.key, waiting)
                waiting = []
            progress("answers", len(answers), len(samples))
    finally:
        store.save_answers(model.key, waiting)
    return answers


def evaluate(
    store: Store,
    benchmark: Benchmark,
    samples: Sequence[Sample],
    answers: Mapping[str, Answer],
    judge: Judge | None,
    *,
    subject: EvaluationSubject,
    decoding: Decoding | None = None,
    runs: int | None = None,
    progress: Progress = silent,
) -> EvaluationRecord:
    """Judge ``answers``, sum them up and store the evaluation. ``decoding`` defaults to the benchmark's own.

    Rerunning with the same run, model, data, version, judge and decoding replaces the evaluation.
    """
    usage = JudgeUsage()
    judged = judge_answers(store, benchmark, samples, answers, judge, runs=runs, progress=progress, usage_total=usage)
    key = data_key(benchmark.name, samples)
    store.save_samples(key, samples)
    errors = {j.sample.id for j in judged if j.verdict.error is not None}
    asked = judge.name if judge is not None and benchmark.needs_judge else "none"
    info = {**subject.info, **benchmark.info, "software": environment()}
    if judge is not None and asked != "none":
        info["judging"] = judging_info(judge, usage) | {"runs": 1 + max((j.run for j in judged), default=0)}
    reasons = Counter(j.verdict.error for j in judged if j.verdict.error is not None)
    if reasons:
        info["failures"] = dict(reasons.most_common(REASONS))
    evaluation = NewEvaluation(
        **{**vars(subject), "info": info},
        benchmark=benchmark.name,
        version=benchmark.version,
        mode=benchmark.mode,
        judge=judge_column(asked, judge, usage),
        data_key=key,
        decoding=dataclasses.asdict(decoding or benchmark.decoding),
        n=len(samples),
        n_scored=len({j.sample.id for j in judged} - errors),
        n_failed=len(errors),
        metrics=summarise(
            benchmark.metrics(samples),
            [Scored(j.sample.id, j.run, j.sample.group, j.verdict.counts, j.verdict.error) for j in judged],
        ),
    ).keyed(asked)
    store.save_evaluation(evaluation, ((j.sample.id, j.run, j.sample.group, j.answer, j.verdict) for j in judged))
    return store.evaluations(key=evaluation.key)[0]


def judge_column(asked: str, judge: Judge | None, usage: JudgeUsage) -> str:
    """The judge as it called itself: its returned name decides which figures may be compared."""
    if asked == "none" or judge is None or not judge.model or not usage.models or set(usage.models) == {judge.model}:
        return asked
    return f"{asked.partition(':')[0]}:{'+'.join(sorted(usage.models))}"


def judging_info(judge: Judge, usage: JudgeUsage) -> dict[str, Any]:
    """What is recorded of the judging: judge and endpoint as asked, models as returned, replies, tokens, money."""
    return {
        "asked": judge.name,
        "endpoint": judge.endpoint,
        "models": dict(usage.models),
        "replies": usage.replies,
        "failed_calls": usage.failed,
        "tokens": dict(usage.tokens),
        "usd": judge.cost(usage.tokens),
    }


def metrics_of(store: Store, evaluation: EvaluationRecord) -> list[Metric]:
    """The metrics of a stored evaluation, to be computed again from its verdicts."""
    if evaluation.benchmark.startswith("lmms:"):
        return lmms_metrics(evaluation)
    benchmark = make_benchmark(evaluation.benchmark, evaluation.settings)
    rows = store.samples(evaluation.data_key)
    return benchmark.metrics(
        [Sample(row["sample_id"], row["prompt"], data=row["data"], group=row["grp"]) for row in rows]
    )


def lmms_means(values: Mapping[str, float]) -> dict[str, float]:
    """A verdict's values from a document's figures under lmms-eval: each with its count, for a mean over documents."""
    return {**values, **{f"scored_{name}": 1.0 for name in values}}


def lmms_metrics(evaluation: EvaluationRecord) -> list[Metric]:
    """The figures of an lmms-eval task as means over documents; those without a value of each document are NaN."""
    return [
        Metric(name, ratio(name.split(",")[0], f"scored_{name.split(',')[0]}", scale=1.0), row["higher_is_better"], "")
        for name, row in evaluation.metrics.items()
    ]


def result_object(record: EvaluationRecord) -> dict[str, Any]:
    """What `score --json` and `bench --json` print of an evaluation (DESIGN: contract)."""
    names = ("benchmark", "mode", "judge", "n", "n_scored", "n_failed", "metrics", "model", "run", "version")
    return {name: getattr(record, name) for name in names}
