"""From a benchmark with an engine of its own to stored evaluations like all others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.evaluation.generate import generate
from harness.evaluation.resolve import data_key
from harness.evaluation.spoken import LEAVE_OUT, ScoringSettings, scored_answers
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.external import ExternalBenchmark, ExternalResult
from harness.protocols.model import Answer, Model
from harness.protocols.progress import Progress, silent
from harness.store import EvaluationRecord, EvaluationSubject, NewEvaluation, Store
from harness.util.environment import environment


def run_external(
    store: Store,
    benchmark: ExternalBenchmark,
    model: Model,
    subject: EvaluationSubject,
    root: Path,
    *,
    limit: int | None = None,
    fresh: bool = False,
    scoring: ScoringSettings = LEAVE_OUT,
    progress: Progress = silent,
) -> list[EvaluationRecord]:
    """Run ``benchmark`` on ``model`` and store an evaluation of each of its results; stored answers are used."""
    given: dict[str, Answer] = {}

    def answer(samples: Sequence[Sample], decoding: Decoding) -> Mapping[str, Answer]:
        answers = generate(store, model, samples, decoding, fresh=fresh, progress=progress)
        given.update(answers)
        return scored_answers(answers, scoring).answers

    results = benchmark.run(answer, root, limit)
    noted = dataclasses.replace(subject, info={**subject.info, **scored_answers(given, scoring).info})
    return [_save(store, result, noted, scoring) for result in results]


def _save(
    store: Store, result: ExternalResult, subject: EvaluationSubject, scoring: ScoringSettings
) -> EvaluationRecord:
    samples = [sample for sample, _, _ in result.answered]
    failed = sum(verdict.error is not None for _, _, verdict in result.answered)
    key = data_key(result.name, samples)
    store.save_samples(key, samples)
    evaluation = NewEvaluation(
        **{**vars(subject), "info": {**subject.info, "software": environment()}},
        benchmark=result.name,
        version=scoring.of(result.version),
        mode=result.mode,
        judge="none",
        data_key=key,
        decoding=dict(result.decoding),
        n=len(samples),
        n_scored=len(samples) - failed,
        n_failed=failed,
        metrics={name: dict(figure) for name, figure in result.metrics.items()},
    ).keyed("none")
    return store.save_evaluation(evaluation, ((s.id, 0, s.group, answer, v) for s, answer, v in result.answered))
