"""Evaluations and their verdicts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence

from harness.protocols.benchmark import Verdict
from harness.store.cells import JSON
from harness.store.file import NEXT_NUMBER, ResultsFile, dump, now, storable
from harness.store.judgements import ReadReply, replies_column
from harness.store.places import read_path, stored_path
from harness.store.records import EvaluationRecord, NewEvaluation, Row, VerdictRecord

STRUCTURED = JSON["evaluation"].keys()
"""Columns of an evaluation that hold JSON."""

NOT_STORED = 0
"""The id of an evaluation that did not take the place of a better one."""


class Evaluations(ResultsFile):
    """The tables evaluation and verdict."""

    def save_evaluation(
        self,
        evaluation: NewEvaluation,
        verdicts: Iterable[tuple[str, int, str, str | None, Verdict]],
        replies: Mapping[tuple[str, int], Sequence[ReadReply]] | None = None,
    ) -> EvaluationRecord:
        """Store an evaluation, replacing an earlier one of its key; returns its record.

        One of which more samples were scored is not replaced: a failing endpoint takes nothing away. The record is then
        that of ``evaluation`` all the same, with the id ``NOT_STORED`` and a note that says what is stored.

        ``verdicts`` holds (sample id, judge run, group, answer, verdict). ``replies``, by sample id and judge run: what
        the verdicts were read off (absent: off no reply); None where that is not known.
        """
        with self.transaction() as db:
            query = "SELECT n_scored FROM evaluation WHERE key = ? AND n_scored > ?"
            better = db.execute(query, [evaluation.key, evaluation.n_scored]).fetchone()
            if better:
                return _not_stored(evaluation, better[0])
            db.execute("DELETE FROM evaluation WHERE key = ?", [evaluation.key])
            row = {field.name: getattr(evaluation, field.name) for field in dataclasses.fields(NewEvaluation)}
            row["data_dir"] = stored_path(evaluation.data_dir, self.path)
            values = [dump(value) if name in STRUCTURED else value for name, value in row.items()]
            columns, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
            insert = f"INSERT INTO evaluation (id, {columns}, created) VALUES ({NEXT_NUMBER}, {marks}, ?)"
            number = int(db.execute(insert, storable([*values, now()])).lastrowid or 0)
            db.executemany(
                "INSERT INTO verdict VALUES (?,?,?,?,?,?,?,?,?)",
                (
                    storable((number, id_, run, group, answer, dump(v.counts), v.error, dump(v.details), read))
                    for id_, run, group, answer, v in verdicts
                    for read in [replies_column(None if replies is None else replies.get((id_, run), ()))]
                ),
            )
        return self.evaluations(key=evaluation.key)[0]

    def evaluations(
        self, *, benchmark: str | None = None, run: str | None = None, key: str | None = None
    ) -> list[EvaluationRecord]:
        """Stored evaluations, oldest first, filtered by what is given."""
        given = {"benchmark": benchmark, "run": run, "key": key}
        given = {name: value for name, value in given.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        rows = self.read("evaluation", f"SELECT * FROM evaluation WHERE {where} ORDER BY id", list(given.values()))
        return [EvaluationRecord(**{**row, "data_dir": read_path(row["data_dir"], self.path)}) for row in rows]

    def verdict_counts(self) -> dict[int, tuple[int, int]]:
        """By evaluation how many verdicts are stored, and of how many judge runs."""
        query = "SELECT evaluation, count(*), 1 + max(judge_run) FROM verdict GROUP BY evaluation"
        return {row[0]: (row[1], row[2]) for row in self.db.execute(query)}

    def verdicts(self, evaluation: int) -> list[VerdictRecord]:
        """All verdicts of an evaluation."""
        query = (
            'SELECT sample_id, judge_run, grp, answer, "values", error, details, evaluation FROM verdict '
            "WHERE evaluation = ? ORDER BY sample_id, judge_run"
        )
        return [_verdict(row) for row in self.read("verdict", query, [evaluation])]


def _verdict(row: Row) -> VerdictRecord:
    return VerdictRecord(
        row["sample_id"], row["judge_run"], row["grp"], row["answer"], row["values"], row["error"], row["details"],
    )  # fmt: skip


def _not_stored(evaluation: NewEvaluation, stored: int) -> EvaluationRecord:
    """The record of an evaluation that is poorer than the stored one, of which ``stored`` samples are scored."""
    note = (
        f"{evaluation.n_scored} of {evaluation.n} samples were scored now, fewer than the {stored} of the stored "
        "evaluation: that one is kept and shown in leaderboards, this one is not stored (under another --name it is)"
    )
    values = {field.name: getattr(evaluation, field.name) for field in dataclasses.fields(NewEvaluation)}
    values["info"] = {**evaluation.info, "notes": [*evaluation.info.get("notes", []), note]}
    # As it would be read: what JSON does not have becomes its text.
    values |= {name: json.loads(dump(values[name])) for name in STRUCTURED}
    return EvaluationRecord(**values, id=NOT_STORED, created=now())
