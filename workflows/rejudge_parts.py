"""The drawn questions of one benchmark condition, with the answers that two judges rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, UsageError

if TYPE_CHECKING:
    from harness.evaluation.judge import Judged
    from harness.protocols.benchmark import Benchmark, Sample
    from harness.protocols.judge import Judge
    from harness.protocols.model import Answer
    from harness.protocols.progress import Progress
    from harness.store import EvaluationRecord, Store
    from leaderboards.condition import Condition
    from leaderboards.rejudging import RejudgedRun, Rejudgement
    from leaderboards.snapshot import Snapshot
    from workflows.judging import Judges


@dataclass(frozen=True)
class Part:
    """The drawn questions of one benchmark condition, and each run's evaluation with its answers to them."""

    condition: Condition
    title: str
    benchmark: Benchmark
    version: str
    folder: Path
    samples: Sequence[Sample]
    of: int
    runs: Sequence[tuple[EvaluationRecord, Mapping[str, Answer]]]

    def require_another(self, judge: Judge | None) -> None:
        """Raise UsageError where ``judge`` is that of the stored figures."""
        if judge and f"{judge.name} {judge.variant}".rstrip() == self.condition.judge:
            raise UsageError(f"--judge {judge.name}: it is the judge of the stored figures; name another.")

    def compared(self, store: Store, judges: Judges, progress: Progress) -> Rejudgement | None:
        """Both judges on the answers of every run."""
        from harness.evaluation.judge import JudgeUsage, judge_answers
        from harness.evaluation.score import judge_column
        from leaderboards.rejudging import rejudged

        judge, usage, runs = judges.opened(self.benchmark, self.folder), JudgeUsage(), []
        for evaluation, answers in self.runs:
            judged = judge_answers(
                store, self.benchmark, self.samples, answers, judge, runs=evaluation.settings.get("judge_runs"),
                progress=progress, usage_total=usage,
            )  # fmt: skip
            runs.append(_both(store, evaluation, answers, judged))
        name = judge_column(judge.name, judge, usage)
        if name == self.condition.judge:
            raise UsageError(f"--judge {judge.name}: it answered as {name}, the judge of the stored figures.")
        notes = [*usage.notes]
        if self.version != self.condition.version:
            notes.append(f"the stored verdicts are of version {self.condition.version}, the new ones of {self.version}")
        metrics = self.benchmark.metrics(self.samples)
        benchmark = self.benchmark.name
        return rejudged(benchmark, self.title, self.condition.judge, name, runs, metrics, of=self.of, notes=notes)


def _both(
    store: Store, evaluation: EvaluationRecord, answers: Mapping[str, Answer], judged: Sequence[Judged]
) -> RejudgedRun:
    """The stored verdicts on ``answers`` beside the new ones."""
    from harness.evaluation.metrics import Scored
    from leaderboards.rejudging import RejudgedRun

    stored = [verdict for verdict in store.verdicts(evaluation.id) if verdict.sample_id in answers]
    new = [Scored(j.sample.id, j.run, j.sample.group, j.verdict.counts, j.verdict.error) for j in judged]
    return RejudgedRun(evaluation.run, stored, new, {id_: answer.text or "" for id_, answer in answers.items()})


def drawn_part(
    snapshot: Snapshot, condition: Condition, evaluations: Sequence[EvaluationRecord], *, sample: int, seed: int
) -> Part:
    """``sample`` drawn questions of a condition. DataError where the files are not those that were asked about."""
    from harness.evaluation.drawing import draw
    from harness.evaluation.resolve import data_key, load, make_benchmark
    from harness.protocols.model import Answer
    from leaderboards.text import table_title

    first = evaluations[0]
    benchmark, folder = make_benchmark(first.benchmark, first.settings), Path(first.data_dir)
    if not folder.is_dir():
        raise DataError(f"{folder}: the data of {first.benchmark}, of which {first.run} was judged, are not there now.")
    data = load(benchmark, folder)
    asked = {row["sample_id"] for row in snapshot.samples(first.data_key)}
    samples = [sample for sample in data.samples if sample.id in asked]
    if data_key(benchmark.name, samples) != first.data_key:
        raise DataError(
            f"{folder}: questions or truths of {first.benchmark} are others now than those that {first.run} was judged "
            "on (or another tagger reads them): judge the answers anew with `bench` or `score`."
        )
    drawn = draw(benchmark, samples, sample, seed)
    ids = {sample.id for sample in drawn}
    runs = []
    for evaluation in evaluations:
        given = {v.sample_id: v.answer for v in snapshot.store.verdicts(evaluation.id) if v.sample_id in ids}
        runs.append((evaluation, {id_: Answer(text) for id_, text in given.items() if text is not None}))
    return Part(condition, table_title(condition), benchmark, data.version, folder, drawn, len(samples), runs)
