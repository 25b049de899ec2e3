"""From answers to a stored evaluation: judged, summed up, and recorded with what determined it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.evaluation.fingerprint import fingerprint
from harness.evaluation.judge import Judged, JudgeUsage, judge_answers
from harness.evaluation.metrics import Scored, summarise
from harness.evaluation.plugged import checked_metrics
from harness.evaluation.resolve import data_key, make_benchmark
from harness.evaluation.spoken import LEAVE_OUT, ScoringSettings, scored_answers
from harness.evaluation.trivial import TrivialFigures, trivial_figures
from harness.protocols.benchmark import Benchmark, BenchmarkData, Decoding, Metric, Sample, Verdict
from harness.protocols.judge import Judge
from harness.protocols.model import Answer
from harness.protocols.official import differing, level
from harness.protocols.progress import Progress, silent
from harness.store import EvaluationRecord, EvaluationSubject, NewEvaluation, Row, Store
from harness.util.environment import environment
from harness.util.options import keyed

REASONS = 5  # most frequent reasons of failed samples that an evaluation records


def evaluate(
    store: Store,
    benchmark: Benchmark,
    data: BenchmarkData,
    answers: Mapping[str, Answer],
    judge: Judge | None,
    *,
    subject: EvaluationSubject,
    decoding: Decoding | None = None,
    runs: int | None = None,
    scoring: ScoringSettings = LEAVE_OUT,
    progress: Progress = silent,
) -> EvaluationRecord:
    """Judge ``answers``, sum them up and store the evaluation. ``decoding`` defaults to the benchmark's own.

    ``answers`` are as the model gave them; ``scoring`` says what of them is scored.

    Rerunning with the same run, model, data, version, judge and decoding replaces the evaluation, unless fewer samples
    are scored then.
    """
    usage, samples = JudgeUsage(), data.samples
    scored = scored_answers({s.id: answers[s.id] for s in samples if s.id in answers}, scoring)
    judged = judge_answers(
        store, benchmark, samples, scored.answers, judge, runs=runs, progress=progress, usage_total=usage
    )
    key = data_key(benchmark.name, samples)
    store.save_samples(key, samples)
    errors = {j.sample.id for j in judged if j.verdict.error is not None}
    asked = judge.name if judge is not None and benchmark.needs_judge else "none"
    info = {**subject.info, "data_notes": list(data.notes), **data.info, "software": environment()}
    info |= scored.info
    if notes := [*subject.info.get("notes", ()), *scored.notes, *usage.notes]:
        info["notes"] = notes
    if judge is not None and asked != "none":
        info["judging"] = judging_info(judge, usage) | {"runs": 1 + max((j.run for j in judged), default=0)}
    reasons = Counter(j.verdict.error for j in judged if j.verdict.error is not None)
    if reasons:
        info["failures"] = dict(reasons.most_common(REASONS))
    evaluation = NewEvaluation(
        **{**vars(subject), "info": info},
        benchmark=benchmark.name,
        version=scoring.of(data.version),
        mode=benchmark.mode,
        judge=judge_column(asked, judge, usage),
        data_key=key,
        decoding=keyed(decoding or benchmark.decoding),
        n=len(samples),
        n_scored=len({j.sample.id for j in judged} - errors),
        n_failed=len(errors),
        metrics=summarise(
            checked_metrics(benchmark, benchmark.metrics(samples)),
            [Scored(j.sample.id, j.run, j.sample.group, j.verdict.counts, j.verdict.error) for j in judged],
        ),
    ).keyed(f"{asked} {judge.variant}" if judge is not None and judge.variant and asked != "none" else asked)
    verdicts = (_stored(j, scored.thoughts.get(j.sample.id)) for j in judged)
    return store.save_evaluation(evaluation, verdicts, {(j.sample.id, j.run): j.replies for j in judged})


def _stored(judged: Judged, thoughts: str | None) -> tuple[str, int, str, str | None, Verdict]:
    """A verdict's row; the thoughts that were left out stand among its details."""
    verdict = judged.verdict
    if thoughts:
        verdict = dataclasses.replace(verdict, details={**verdict.details, "thoughts": thoughts})
    return judged.sample.id, judged.run, judged.sample.group, judged.answer, verdict


def judge_column(asked: str, judge: Judge | None, usage: JudgeUsage) -> str:
    """The judge as it called itself, with what it is asked beside the protocol: both decide what may be compared."""
    if asked == "none" or judge is None:
        return asked
    column = asked
    if judge.model and usage.models and set(usage.models) != {judge.model}:
        column = f"{asked.partition(':')[0]}:{'+'.join(sorted(usage.models))}"
    return f"{column} {judge.variant}".rstrip()


def judging_info(judge: Judge, usage: JudgeUsage) -> dict[str, Any]:
    """What is recorded of the judging: judge and endpoint as asked, models as returned, replies, tokens, money."""
    return {
        "asked": judge.name,
        "endpoint": judge.endpoint,
        "models": dict(usage.models),
        "replies": usage.replies,
        "failed_calls": usage.failed,
        **({"unpaid": usage.unpaid} if usage.unpaid else {}),
        **({"variant": judge.variant} if judge.variant else {}),
        "tokens": usage.tokens,
        "usd": judge.cost(usage.amounts),
    }


def metrics_of(evaluation: EvaluationRecord, samples: Callable[[str], Sequence[Row]]) -> list[Metric]:
    """The metrics of a stored evaluation, to be computed again from its verdicts; ``samples`` as ``Store.samples``."""
    benchmark = make_benchmark(evaluation.benchmark, evaluation.settings)
    return benchmark.stored_metrics(_samples(evaluation, samples), evaluation.metrics)


def trivial_of(
    evaluation: EvaluationRecord, samples: Callable[[str], Sequence[Row]], metrics: Sequence[Metric]
) -> TrivialFigures:
    """The figures of the benchmark's trivial answers on the samples of a stored evaluation; ``samples`` as there."""
    benchmark = make_benchmark(evaluation.benchmark, evaluation.settings)
    return trivial_figures(benchmark, _samples(evaluation, samples), metrics)


def _samples(evaluation: EvaluationRecord, samples: Callable[[str], Sequence[Row]]) -> list[Sample]:
    """The samples of a stored evaluation, without image and resources."""
    rows = samples(evaluation.data_key)
    return [Sample(row["sample_id"], row["prompt"], data=row["data"], group=row["grp"]) for row in rows]


def unofficial_note(record: EvaluationRecord) -> list[str]:
    """A line on which resources behind ``official_*`` figures are not the official ones; none where all are."""
    parts = differing(record.info)
    return [f"official_* figures follow the official rules only: {'; '.join(parts)}"] if parts else []


def result_object(record: EvaluationRecord) -> dict[str, Any]:
    """What `score --json` and `bench --json` print of an evaluation (DESIGN: contract).

    That of made-up data has ``synthetic``, which says so. ``n_empty`` and ``n_cut`` are null where an older version did
    not count them. ``official``: "full" where the resources behind ``official_*`` figures are the official ones too,
    "rules" where some are not (``official_differs``), null where that is not recorded or no benchmark's question.
    ``evaluator``: the fingerprint of what evaluated (``harness.evaluation.fingerprint``).
    """
    official = {"official": level(record.info), "official_differs": differing(record.info)}
    names = ("benchmark", "mode", "judge", "n", "n_scored", "n_failed", "metrics", "model", "run", "version")
    synthetic = {name: record.info[name] for name in ("synthetic",) if name in record.info}
    counts = {f"n_{name}": record.info.get("answers", {}).get(name) for name in ("empty", "cut")}
    about = {**official, "evaluator": fingerprint(record).record}
    return {**{name: getattr(record, name) for name in names}, **counts, **about, **synthetic}
