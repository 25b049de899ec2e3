"""From a benchmark with an engine of its own to stored evaluations like all others."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.evaluation.generate import generate
from harness.evaluation.metrics import Scored, summarise
from harness.evaluation.resolve import data_key
from harness.evaluation.spoken import LEAVE_OUT, ScoringSettings, scored_answers
from harness.protocols.benchmark import Decoding, Sample, Verdict
from harness.protocols.external import ExternalBenchmark, ExternalResult, FigureOf
from harness.protocols.model import Answer, Model
from harness.protocols.progress import Progress, silent
from harness.stats.jackknife import pseudo_values
from harness.store import EvaluationRecord, EvaluationSubject, NewEvaluation, Store
from harness.util.environment import environment

Answered = Sequence[tuple[Sample, str | None, Verdict]]
BLOCKS = 200
"""Groups of samples that a figure is made without, at most: of more each stands for several."""


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
    return [_save(store, benchmark, result, noted, scoring) for result in results]


def _save(
    store: Store, benchmark: ExternalBenchmark, result: ExternalResult, subject: EvaluationSubject,
    scoring: ScoringSettings,
) -> EvaluationRecord:  # fmt: skip
    answered = with_numbers(result)
    samples = [sample for sample, _, _ in answered]
    failed = sum(verdict.error is not None for _, _, verdict in answered)
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
        metrics=_with_intervals(benchmark, result.metrics, answered),
    ).keyed("none")
    return store.save_evaluation(evaluation, ((s.id, 0, s.group, answer, v) for s, answer, v in answered))


def _with_intervals(
    benchmark: ExternalBenchmark, figures: Mapping[str, Mapping[str, Any]], answered: Answered
) -> dict[str, dict[str, Any]]:
    """The other engine's figures with the bootstrap interval of their verdicts; with its own where there are none."""
    metrics = benchmark.stored_metrics([sample for sample, _, _ in answered], figures)
    made = summarise(metrics, [Scored(s.id, 0, s.group, v.counts, v.error) for s, _, v in answered])
    ours = {name: {end: row[end] for end in ("low", "high")} for name, row in made.items() if row["low"] is not None}
    return {name: {**figure, **ours.get(name, {})} for name, figure in figures.items()}


def with_numbers(result: ExternalResult) -> Answered:
    """The verdicts with a number for each of ``result.figures``, whose mean is the figure: its pseudo-values.

    Samples of one group are left out together, and where there are more than ``BLOCKS`` groups, several of them, which
    are then resampled together as well.
    """
    if not result.figures:
        return result.answered
    blocks = _blocks([sample for sample, _, _ in result.answered])
    numbers: dict[str, dict[str, float]] = defaultdict(dict)
    for name, figure_of in result.figures.items():
        scored = [s.id for s, _, verdict in result.answered if verdict.error is None]
        for id_, number in _numbers(figure_of, scored, blocks).items():
            numbers[id_] |= {name: number, f"scored_{name}": 1.0}
    return [
        (dataclasses.replace(sample, group=blocks[sample.id]), answer,
         dataclasses.replace(verdict, counts={**verdict.counts, **numbers.get(sample.id, {})}))
        for sample, answer, verdict in result.answered
    ]  # fmt: skip


def _blocks(samples: Sequence[Sample]) -> dict[str, str]:
    """By sample what is left out with it: its group, or of many groups one of ``BLOCKS`` places that its name gives."""
    groups = {sample.id: sample.image_group for sample in samples}
    if len(set(groups.values())) <= BLOCKS:
        return groups
    return {id_: f"block {zlib.crc32(group.encode()) % BLOCKS}" for id_, group in groups.items()}


def _numbers(figure_of: FigureOf, scored: Sequence[str], blocks: Mapping[str, str]) -> dict[str, float]:
    """The pseudo-value of every scored sample; none where the figure does not exist without one of the blocks."""
    names = list(dict.fromkeys(blocks[id_] for id_ in scored))
    figure = figure_of(scored) if len(names) > 1 else math.nan
    if not math.isfinite(figure):
        return {}
    without = np.array([figure_of([id_ for id_ in scored if blocks[id_] != name]) for name in names])
    if not np.isfinite(without).all():
        return {}
    sizes = np.array([sum(blocks[id_] == name for id_ in scored) for name in names], dtype=np.float64)
    pseudo = pseudo_values(np.array([figure]), (figure - without)[:, None], sizes)[:, 0]
    of_block = dict(zip(names, pseudo.tolist(), strict=True))
    return {id_: of_block[blocks[id_]] for id_ in scored}
