"""`score`: answers made elsewhere, checked against a benchmark, judged and stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.evaluation.resolve import load, make_benchmark
from harness.evaluation.score import evaluate
from harness.evaluation.spoken import LEAVE_OUT, ScoringSettings
from harness.models.replay import key_of
from harness.models.responses import read_responses
from harness.protocols.benchmark import Benchmark, BenchmarkData, Sample
from harness.protocols.judge import Judge
from harness.protocols.model import Answer
from harness.protocols.progress import Progress
from harness.store import EvaluationRecord, EvaluationSubject, Store
from workflows.embedded import synthetic
from workflows.eval_models import require_free
from workflows.judging import Judges


@dataclass(frozen=True)
class Answered:
    """A benchmark's samples and the answers to them that a responses file holds; why it has none of the ``failed``.

    ``notes``: what is to be said of the answers.
    """

    benchmark: Benchmark
    data: BenchmarkData
    answers: dict[str, str]
    failed: dict[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def samples(self) -> Sequence[Sample]:
        return self.data.samples

    @property
    def missing(self) -> list[str]:
        """The ids without a row, in the benchmark's order."""
        return [s.id for s in self.samples if s.id not in self.answers and s.id not in self.failed]


def read_answers(name: str, settings: Mapping[str, Any], responses: Path, root: Path) -> Answered:
    """The answers of a file, checked against the benchmark, whose own folder ``root`` is. Opens no image.

    An id that is not the benchmark's, or one answered twice, raises a DataError.
    """
    benchmark = make_benchmark(name, settings)
    data = load(benchmark, root)
    samples = data.whole or data.samples
    read = read_responses(responses).placed(samples)
    unknown = sorted((read.answers.keys() | read.failed.keys()) - {sample.id for sample in samples})
    if unknown:
        shown = ", ".join(repr(sample_id) for sample_id in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        asked = (
            " Rows with numbers of their own are placed by what they ask only where the file asks each question of a "
            "part of the benchmark once, in order."
        )
        raise DataError(
            f"{responses}: {len(unknown)} ids are not of {name}: {shown}. Its ids run from {samples[0].id!r} to "
            f"{samples[-1].id!r}; take those lines out, or name the data they belong to with --data-dir."
            f"{asked if read.asked or read.prompts else ''}"
        )
    read.check(samples)
    ids = {sample.id for sample in data.samples}
    answers, failed = ({i: said for i, said in of.items() if i in ids} for of in (read.answers, read.failed))
    return Answered(benchmark, data, answers, failed, read.asked_otherwise(samples))


def score(
    store: Store,
    given: Answered,
    settings: Mapping[str, Any],
    responses: Path,
    root: Path,
    judges: Judges,
    progress: Progress,
    scoring: ScoringSettings = LEAVE_OUT,
    name: str | None = None,
) -> EvaluationRecord:
    """Score answers from a file and store the evaluation as the run ``name`` (None: the file's name)."""
    if name is not None:
        require_free(store, name, [f"replay:{responses}"])
    asked_judge = judges.open(given.benchmark, root)
    data = dataclasses.replace(given.data, notes=[*given.data.notes, *_foreign_replies(asked_judge, given)])
    subject = EvaluationSubject(
        run=name or responses.stem,
        model=f"replay:{responses}",
        model_key=key_of(given.answers, given.failed),
        alignment=None,
        data_dir=str(root.resolve()),
        settings=dict(settings),
        info={
            "route": "file",
            **({"notes": list(given.notes)} if given.notes else {}),
            **({} if name is None else {"named": True}),
            **synthetic(root),
        },
    )
    answers = {sample_id: Answer(text) for sample_id, text in given.answers.items()}
    answers |= {sample_id: Answer(None, error) for sample_id, error in given.failed.items()}
    return evaluate(
        store, given.benchmark, data, answers, asked_judge, subject=subject, runs=settings.get("judge_runs"),
        scoring=scoring, progress=progress,
    )  # fmt: skip


def _foreign_replies(judge: Judge | None, given: Answered) -> list[str]:
    """A note where recorded replies are about samples that the data do not have."""
    foreign = sorted(judge.ids - {sample.id for sample in given.samples}) if judge is not None else []
    if judge is None or not foreign:
        return []
    return [f"{judge.name}: replies for {len(foreign)} ids that the data do not have, for example {foreign[0]!r}"]


def column_note(db: str | Path, record: EvaluationRecord) -> str:
    """In which column of the tables of ``db`` the answers of a file stand, and what else of the benchmark does not."""
    from leaderboards.columns import of_file
    from leaderboards.snapshot import Snapshot

    return of_file(record, Snapshot.reading(db).current)
