"""Evaluations and their verdicts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from harness.protocols.benchmark import Verdict
from harness.store.file import NEXT_NUMBER, ResultsFile, dump, now
from harness.store.records import EvaluationRecord, NewEvaluation, VerdictRecord

STRUCTURED = frozenset({"settings", "decoding", "metrics", "info"})
"""Columns of an evaluation that hold JSON."""


class Evaluations(ResultsFile):
    """The tables evaluation and verdict."""

    def save_evaluation(
        self, evaluation: NewEvaluation, verdicts: Iterable[tuple[str, int, str, str | None, Verdict]]
    ) -> int:
        """Store an evaluation, replacing an earlier one of its key; returns its id.

        ``verdicts`` holds (sample id, judge run, group, answer, verdict).
        """
        row = {field.name: getattr(evaluation, field.name) for field in dataclasses.fields(NewEvaluation)}
        values = [dump(value) if name in STRUCTURED else value for name, value in row.items()]
        columns, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        with self.transaction() as db:
            db.execute("DELETE FROM evaluation WHERE key = ?", [evaluation.key])
            cursor = db.execute(
                f"INSERT INTO evaluation (id, {columns}, created) VALUES ({NEXT_NUMBER}, {marks}, ?)", [*values, now()]
            )
            number = int(cursor.lastrowid or 0)
            db.executemany(
                "INSERT INTO verdict VALUES (?,?,?,?,?,?,?,?)",
                (
                    (number, sample_id, run, group, answer, dump(v.counts), v.error, dump(v.details))
                    for sample_id, run, group, answer, v in verdicts
                ),
            )
        return number

    def evaluations(
        self, *, benchmark: str | None = None, run: str | None = None, key: str | None = None
    ) -> list[EvaluationRecord]:
        """Stored evaluations, oldest first, filtered by what is given."""
        given = {"benchmark": benchmark, "run": run, "key": key}
        given = {name: value for name, value in given.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        rows = self.select(f"SELECT * FROM evaluation WHERE {where} ORDER BY id", list(given.values()))
        return [
            EvaluationRecord(**{k: json.loads(v) if k in STRUCTURED else v for k, v in row.items()}) for row in rows
        ]

    def verdicts(self, evaluation: int) -> list[VerdictRecord]:
        """All verdicts of an evaluation."""
        query = (
            'SELECT sample_id, run, grp, answer, "values", error, details FROM verdict WHERE evaluation = ? '
            "ORDER BY sample_id, run"
        )
        return [
            VerdictRecord(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], json.loads(row[6]))
            for row in self.db.execute(query, [evaluation])
        ]
