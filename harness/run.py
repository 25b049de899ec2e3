"""The engine: samples -> answers -> replies -> verdicts -> metrics. Each step asks the store what is missing."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.benchmark import (
    BENCHMARKS,
    Benchmark,
    Decoding,
    Image,
    Metric,
    Question,
    Sample,
    Unreadable,
    Verdict,
)
from harness.errors import DataError, UsageError
from harness.judge import Judge, JudgeRequest, Reply
from harness.metrics import summarise
from harness.model import Answer, Model
from harness.options import build, content_key
from harness.store import EvaluationRecord, Store

ANSWERS_PER_WRITE = 64


class Progress(Protocol):
    """Told how far a long step is: ``progress("answers", 12, 300)``."""

    def __call__(self, step: str, done: int, total: int) -> None: ...


def silent(step: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True)
class Judged:
    """A verdict with what it is about; ``verdict`` per judge run."""

    sample: Sample
    run: int
    answer: str | None
    verdict: Verdict


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
    ids = [sample.id for sample in samples]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
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
    digests = ImageDigests()
    keys = {s.id: content_key(s.prompt, digests.of(s.image), decoding) for s in samples}
    stored = {} if fresh else store.answers(model.key, keys.values())
    answers = {s.id: stored[keys[s.id]] for s in samples if keys[s.id] in stored and stored[keys[s.id]].error is None}
    missing = [sample for sample in samples if sample.id not in answers]
    waiting: list[tuple[str, Answer]] = []
    try:
        for position, answer in model.generate(missing, decoding):
            sample = missing[position]
            answers[sample.id] = answer
            waiting.append((keys[sample.id], answer))
            if len(waiting) >= ANSWERS_PER_WRITE:
                store.save_answers(model.key, waiting)
                waiting = []
            progress("answers", len(answers), len(samples))
    finally:
        store.save_answers(model.key, waiting)
    return answers


def judge_answers(
    store: Store,
    benchmark: Benchmark,
    samples: Sequence[Sample],
    answers: Mapping[str, Answer],
    judge: Judge | None,
    *,
    runs: int | None = None,
    progress: Progress = silent,
) -> list[Judged]:
    """A verdict for every answered sample and judge run. A sample that cannot be scored has an error verdict."""
    if benchmark.needs_judge and judge is None:
        raise UsageError(f"{benchmark.name} is scored by a judge: name one with --judge (openai:NAME, replay:FILE).")
    judged: list[Judged] = []
    total = 1 if judge is None or not benchmark.needs_judge else (runs or benchmark.judge_runs)
    for run in range(total):
        judged += _judge_run(store, benchmark, samples, answers, judge, run, progress)
    return judged


def _judge_run(
    store: Store,
    benchmark: Benchmark,
    samples: Sequence[Sample],
    answers: Mapping[str, Answer],
    judge: Judge | None,
    run: int,
    progress: Progress,
) -> list[Judged]:
    stored = store.replies(judge.name, judge.endpoint) if judge else {}
    done: dict[str, Judged] = {}
    open_: list[tuple[Sample, str, list[str]]] = []
    for sample in samples:
        answer = answers.get(sample.id)
        if answer is None:
            continue
        if answer.text is None:
            done[sample.id] = Judged(sample, run, None, Verdict({}, error=f"no answer: {answer.error}"))
        else:
            open_.append((sample, answer.text, []))
    for attempt in range(max(1, benchmark.attempts)):
        asked: list[tuple[int, Question]] = []
        for i, (sample, text, _) in enumerate(open_):
            question = benchmark.question(sample, text, attempt) if judge else None
            if question is not None:
                asked.append((i, question))
        failed = _ask(store, judge, open_, asked, run, attempt, stored, progress)
        open_ = list(_settle(benchmark, open_, failed, run, done))
        progress("verdicts", len(done), len(samples))
        if not open_:
            break
    for sample, text, replies in open_:
        done[sample.id] = Judged(sample, run, text, benchmark.unreadable(sample, text, replies))
    return [done[sample.id] for sample in samples if sample.id in done]


def _ask(
    store: Store,
    judge: Judge | None,
    open_: Sequence[tuple[Sample, str, list[str]]],
    asked: Sequence[tuple[int, Question]],
    run: int,
    attempt: int,
    stored: Mapping[tuple[str, int, int], Reply],
    progress: Progress,
) -> dict[str, str]:
    """Append each reply to its sample's list; returns the reasons of those that got none, by sample id."""
    failed: dict[str, str] = {}
    if judge is None:
        return failed
    by_id = getattr(judge, "keyed_by_sample", False)  # a judge of recorded replies or of known truth
    requests, owners, keys = [], [], []
    for i, question in asked:
        sample, text, replies = open_[i]
        key = question_key(question, sample.id if by_id else "", text if by_id else "")
        known = None if by_id else stored.get((key, run, attempt))
        if known is not None and known.text is not None:
            replies.append(known.text)
        else:
            requests.append(JudgeRequest(sample.id, question, text, run, attempt))
            owners.append(i)
            keys.append(key)
    for count, (position, reply) in enumerate(judge.ask(requests), start=1):
        store.save_reply(judge.name, judge.endpoint, keys[position], run, attempt, reply)
        sample, _, replies = open_[owners[position]]
        if reply.text is None:
            failed[sample.id] = reply.error or "no reply"
        else:
            replies.append(reply.text)
        progress("judge", count, len(requests))
    return failed


def question_key(question: Question, *more: str) -> str:
    """The key of what was asked: the whole question, the image by content."""
    image = hashlib.sha256(question.image.read()).hexdigest() if question.image else ""
    fields = {f.name: getattr(question, f.name) for f in dataclasses.fields(question) if f.name != "image"}
    return content_key(fields, image, *more)


def _settle(
    benchmark: Benchmark,
    open_: Sequence[tuple[Sample, str, list[str]]],
    failed: Mapping[str, str],
    run: int,
    done: dict[str, Judged],
) -> Iterator[tuple[Sample, str, list[str]]]:
    """Move what has a verdict (or a failed call) to ``done``; yield what must be asked again."""
    for sample, text, replies in open_:
        if sample.id in failed:
            error = f"judge: {failed[sample.id]}"  # what the official rules make of earlier replies stands
            verdict = Verdict(benchmark.unreadable(sample, text, replies).values if replies else {}, error=error)
        else:
            try:
                verdict = benchmark.verdict(sample, text, replies)
            except Unreadable:
                yield sample, text, replies
                continue
        done[sample.id] = Judged(sample, run, text, verdict)


def evaluate(
    store: Store,
    benchmark: Benchmark,
    samples: Sequence[Sample],
    answers: Mapping[str, Answer],
    judge: Judge | None,
    *,
    identity: Mapping[str, Any],
    decoding: Decoding | None = None,
    runs: int | None = None,
    progress: Progress = silent,
) -> EvaluationRecord:
    """Judge ``answers``, sum them up and store the evaluation. ``decoding`` defaults to the benchmark's own.

    ``identity`` holds the columns that say what was evaluated: run, model, model_key, alignment, data_dir, settings,
    info. Rerunning with the same identity, data, version, judge and decoding replaces the evaluation.
    """
    judged = judge_answers(store, benchmark, samples, answers, judge, runs=runs, progress=progress)
    key = data_key(benchmark.name, samples)
    store.save_samples(key, samples)
    errors = {j.sample.id for j in judged if j.verdict.error is not None}
    record = {
        **identity,
        "benchmark": benchmark.name,
        "version": benchmark.version,
        "mode": benchmark.mode,
        "judge": judge.name if judge is not None and benchmark.needs_judge else "none",
        "data_key": key,
        "decoding": dataclasses.asdict(decoding or benchmark.decoding),
        "n": len(samples),
        "n_scored": len({j.sample.id for j in judged} - errors),
        "n_failed": len(errors),
        "metrics": summarise(benchmark.metrics(samples), [(j.sample.group, j.run, j.verdict) for j in judged]),
    }
    record["key"] = content_key(
        *(record[name] for name in ("run", "model_key", "benchmark", "version", "judge", "data_key", "decoding"))
    )
    store.save_evaluation(record, ((j.sample.id, j.run, j.sample.group, j.answer, j.verdict) for j in judged))
    return store.evaluations(key=record["key"])[0]


def metrics_of(store: Store, evaluation: EvaluationRecord) -> list[Metric]:
    """The metrics of a stored evaluation, to be computed again from its verdicts."""
    benchmark = make_benchmark(evaluation.benchmark, evaluation.settings)
    rows = store.samples(evaluation.data_key)
    return benchmark.metrics(
        [Sample(row["sample_id"], row["prompt"], data=row["data"], group=row["grp"]) for row in rows]
    )


def result_object(record: EvaluationRecord) -> dict[str, Any]:
    """What `score --json` and `bench --json` print of an evaluation (DESIGN: contract)."""
    names = ("benchmark", "mode", "judge", "n", "n_scored", "n_failed", "metrics", "model", "run", "version")
    return {name: getattr(record, name) for name in names}
