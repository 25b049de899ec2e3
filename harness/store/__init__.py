"""The results file: records, schema, reads and writes."""

from harness.store.store import AlignmentRecord, EvaluationRecord, Row, Store, VerdictRecord

__all__ = ["AlignmentRecord", "EvaluationRecord", "Row", "Store", "VerdictRecord"]
