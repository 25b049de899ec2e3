"""The results file: records, schema, reads and writes by table."""

from harness.store.judgements import Judgement, ReadReply
from harness.store.records import (
    AlignmentRecord,
    EvaluationRecord,
    EvaluationSubject,
    NewEvaluation,
    Row,
    VerdictRecord,
)
from harness.store.store import Store

__all__ = [
    "AlignmentRecord",
    "EvaluationRecord",
    "EvaluationSubject",
    "Judgement",
    "NewEvaluation",
    "ReadReply",
    "Row",
    "Store",
    "VerdictRecord",
]
