"""Single answers of a run with what they were asked, what they were found to be, and what the judge said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.errors import unknown_name
from harness.store import EvaluationRecord, Judgement, VerdictRecord
from leaderboards.snapshot import Snapshot

NOT_RECORDED = "not recorded"
"""What stands for the replies behind a verdict of an earlier version, which kept no key to them."""


def answer_facts(
    snapshot: Snapshot, evaluation: EvaluationRecord, count: int, wanted: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The first ``count`` verdicts of an evaluation, or those on the samples ``wanted`` (of all judge runs).

    ``replies``: what each was read off (``Judgement``), or "not recorded"; ``reply``: the text of the last of these.
    """
    verdicts = snapshot.store.verdicts(evaluation.id)
    shown = [v for v in verdicts if v.sample_id in wanted] if wanted else verdicts[:count]
    questions = {row["sample_id"]: row["prompt"] for row in snapshot.samples(evaluation.data_key)}
    read = snapshot.store.judgements(evaluation.id) if shown else {}
    return [_facts(v, questions.get(v.sample_id), read[v.sample_id, v.run]) for v in shown]


def require_samples(snapshot: Snapshot, evaluations: Sequence[EvaluationRecord], wanted: Sequence[str]) -> None:
    """Raise UsageError where none of ``evaluations`` has a sample that is ``wanted``."""
    known = {row["sample_id"] for e in evaluations for row in snapshot.samples(e.data_key)} if wanted else set()
    for sample in wanted:
        if sample not in known:
            raise unknown_name("sample", sample, known)


def _facts(verdict: VerdictRecord, question: str | None, read: list[Judgement] | None) -> dict[str, Any]:
    facts = {
        "id": verdict.sample_id,
        **({"judge_run": verdict.run} if verdict.run else {}),
        "question": question,
        "answer": verdict.answer,
        "values": verdict.counts,
        "error": verdict.error,
        **verdict.details,
    }
    if read is None:  # some benchmarks kept the texts among their details then
        return {"replies": NOT_RECORDED, **facts}
    texts = [judgement.reply for judgement in read if judgement.reply is not None]
    return facts | ({"reply": texts[-1]} if texts else {}) | {"replies": [asdict(judgement) for judgement in read]}
