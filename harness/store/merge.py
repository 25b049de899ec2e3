"""One results file taken into another: what both hold stands once, what differs under one key is a conflict.

Keys are made of all that determines a row, so that equal keys mean equal content, unless a model or a judge said
another thing the second time. What is decided by a rule is no conflict: a text stands before an error, an evaluation of
more samples before one of fewer, a finished alignment before an unfinished one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.protocols.progress import Progress, silent
from harness.store.file import NEXT_NUMBER
from harness.store.places import read_path, stored_path
from harness.store.records import Row
from harness.store.store import Store

LOGS = ("train_log", "gap", "hardness")
"""Tables of an alignment's rows."""
NOT_MERGED = frozenset({"claim", "activity"})
"""Tables of what commands do with one file."""
SHOWN = 60
"""Characters of a text that a conflict shows."""
Verdict = Literal["same", "keep", "replace", "conflict"]
"""Of two rows of one key: they say the same, the target's is better, the source's is better, or neither."""


@dataclass
class Merged:
    """What came of one file, by table.

    Args:
        added: rows that were not there.
        there: rows that were there, the same or a better one.
        replaced: rows that took the place of a poorer one.
        left_out: rows that belong to a run that is left out.
        runs: names of the runs that are left out, since the target has others of that name.
        conflicts: what differs under one key, in words; the target's row stayed.
    """

    added: Counter[str] = field(default_factory=Counter)
    there: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    runs: set[str] = field(default_factory=set)
    conflicts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Keyed:
    """A table whose rows stand alone: its key, how two rows of one key are compared, and the column with a path."""

    key: tuple[str, ...]
    compare: Callable[[Row, Row], Verdict]
    said: str
    path: str = ""


def _by_rank(rank: Callable[[Row], float], *columns: str) -> Callable[[Row, Row], Verdict]:
    """The row of the higher rank stands; of texts (rank 2 and more) all ``columns`` have to be equal."""

    def compare(old: Row, new: Row) -> Verdict:
        if rank(old) != rank(new):
            return "replace" if rank(new) > rank(old) else "keep"
        return "conflict" if rank(old) >= 2 and any(old[name] != new[name] for name in columns) else "same"

    return compare


def _rank_of_answer(row: Row) -> float:
    return 0 if row["text"] is None else 2


def _rank_of_reply(row: Row) -> float:
    """A reply that was refused for its model was paid for, and stands in its usage (harness.store.answers)."""
    return 2 if row["text"] is not None else float('"reply": "' in (row["usage"] or ""))


def _later(old: Row, new: Row) -> Verdict:
    return "same" if old["model_key"] == new["model_key"] else "replace" if new["created"] > old["created"] else "keep"


def _rank_of_probe(row: Row) -> float:
    """Two that found all they looked for differ in the seconds they took."""
    return float(bool(row["complete"]))


TABLES: Mapping[str, _Keyed] = {
    "sample": _Keyed(
        ("data_key", "sample_id"), _by_rank(lambda row: 2, "position", "prompt", "grp", "data"), "prompt", "image"
    ),
    "generation": _Keyed(("model_key", "question_key"), _by_rank(_rank_of_answer, "text", "details"), "text"),
    "reply": _Keyed(
        ("judge", "endpoint", "question_key", "judge_run", "attempt"), _by_rank(_rank_of_reply, "text", "model"), "text"
    ),
    "asked": _Keyed(("model", "settings"), _later, "model_key"),
    "probe": _Keyed(("key",), _by_rank(_rank_of_probe), "record"),
}
SELDOM = 500
"""Rows between two reports of progress."""


class Merge:
    """The taking of ``source`` into ``target``, within a transaction of the target's that the caller holds.

    Where something differs under one key, the target's stays and a conflict is noted: the caller takes everything back,
    unless that is wanted.
    """

    def __init__(self, target: Store, source: Store, progress: Progress = silent) -> None:
        self._target, self._source = target, source
        self._progress, self._done = progress, 0
        self._total = sum(source.count(table) for table in (*TABLES, "alignment", "evaluation"))
        self.merged = Merged()

    def __call__(self) -> Merged:
        runs = "SELECT name FROM alignment UNION SELECT run FROM evaluation"
        known = {row[0] for row in self._target.db.execute(runs)}
        for name, table in TABLES.items():
            self._rows(name, table)
        self._runs()
        for row in self._source.rows("hidden"):
            if row["run"] not in known | self.merged.runs:  # of those the target says whether they are shown
                self._insert("hidden", row)
        return self.merged

    def _rows(self, name: str, table: _Keyed) -> None:
        where = " AND ".join(f'"{column}" = ?' for column in table.key)
        for row in self._source.rows(name):
            self._step()
            old = self._stored(f'SELECT * FROM "{name}" WHERE {where}', *(row[column] for column in table.key))
            verdict = table.compare(old, row) if old else "replace"
            if verdict == "replace":
                self._insert(name, {**row, **({table.path: self._moved(row[table.path])} if table.path else {})}, old)
            else:
                self._count("there", name)
            if old and verdict == "conflict":
                key = ", ".join(f"{column} {str(row[column])[:SHOWN]}" for column in table.key)
                self._conflict(f"{name} of {key}", old[table.said], row[table.said])

    # -- runs ---------------------------------------------------------------------------------------------------------

    def _runs(self) -> None:
        """Alignments and evaluations in the order that they were stored in, which says what is of which."""
        alignments = sorted(self._source.rows("alignment"), key=lambda row: row["number"])
        there = {row["name"]: row["number"] for row in alignments if self._is_there(row)}
        order = [(row["number"], 0, row) for row in alignments if row["name"] not in there.keys() | self.merged.runs]
        order += [(row["id"], 1, row) for row in self._source.rows("evaluation")]
        for number, kind, row in sorted(order, key=lambda each: each[:2]):
            if kind == 0:
                self._take_alignment(row)
            else:
                self._evaluation(row, outdated=number < there.get(row["alignment"], number))

    def _is_there(self, row: Row) -> bool:
        """Whether the target has an alignment, or a better one; what differs, or started from such, is left out."""
        self._step()
        old = self._stored("SELECT * FROM alignment WHERE name = ?", row["name"])
        verdict = self._compared(old, row) if old else "replace"
        if verdict == "conflict" or json.loads(row["info"]).get("lineage", {}).get("parent") in self.merged.runs:
            self.merged.runs.add(row["name"])
            self._count("left_out", "alignment")
        elif verdict != "replace":
            self._count("there", "alignment")
            return True
        return False

    def _take_alignment(self, row: Row) -> None:
        """An alignment with its logs, in place of a poorer one."""
        name = row["name"]
        old = self._stored("SELECT * FROM alignment WHERE name = ?", name)
        self._delete("alignment", "name", name)
        self._insert("alignment", {**row, "model_dir": self._moved(row["model_dir"]), "number": self._next()}, old)
        for table in LOGS:
            for logged in self._source.select(f"SELECT * FROM {table} WHERE alignment = ?", [name]):
                self._insert(table, logged)

    def _compared(self, old: Row, new: Row) -> Verdict:
        """Of two alignments of one name, the one that is done stands, of two that are not the one of more steps."""
        name = new["name"]
        if old["key"] != new["key"]:
            self._conflict(f"alignment {name}", f"settings of key {old['key']}", f"settings of key {new['key']}")
            return "conflict"
        logs = [self._logs(store, name) for store in (self._target, self._source)]
        ranks = [
            (row["status"] == "done", 0 if row["status"] == "done" else len(log[0]))
            for row, log in zip((old, new), logs, strict=True)
        ]
        if ranks[0] != ranks[1]:
            return "replace" if ranks[1] > ranks[0] else "keep"
        if logs[0] != logs[1]:
            self._conflict(f"alignment {name}", "one curve of training", "another under the same key")
            return "conflict"
        return "same"

    @staticmethod
    def _logs(store: Store, name: str) -> list[list[Row]]:
        return [store.select(f"SELECT * FROM {table} WHERE alignment = ?", [name]) for table in LOGS]

    def _evaluation(self, row: Row, *, outdated: bool) -> None:
        """Take an evaluation with its verdicts.

        ``outdated``: of the model that its run was before it was aligned anew. Where the target has the new one from
        the beginning, there is no place before it.
        """
        self._step()
        old = self._stored("SELECT * FROM evaluation WHERE key = ?", row["key"])
        if not old and (outdated or {row["run"], row["alignment"]} & self.merged.runs):
            self._count("left_out", "evaluation")
            return
        if old:
            rank = _by_rank(lambda each: each["n_scored"])
            verdict = rank(old, row)
            if verdict == "same":
                if self._verdicts(self._target, old["id"]) == self._verdicts(self._source, row["id"]):
                    self._add_replies(old["id"], row["id"])
                else:
                    what = f"evaluation of {row['run']} on {row['benchmark']}"
                    self._conflict(what, *(f"metrics {each['metrics']}" for each in (old, row)))
            if verdict != "replace":
                self._count("there", "evaluation")
                return
            self._delete("evaluation", "id", old["id"])
        number = self._next()
        self._insert("evaluation", {**row, "id": number, "data_dir": self._moved(row["data_dir"])}, old)
        for verdict_row in self._source.select("SELECT * FROM verdict WHERE evaluation = ?", [row["id"]]):
            self._insert("verdict", {**verdict_row, "evaluation": number})

    def _add_replies(self, old: int, new: int) -> None:
        """What equal verdicts were read off, where the source alone knows it: an earlier version did not record it."""
        known = self._source.select(
            "SELECT replies, sample_id, judge_run FROM verdict WHERE evaluation = ? AND replies IS NOT NULL", [new]
        )
        lacking = """UPDATE verdict SET replies = ?
            WHERE sample_id = ? AND judge_run = ? AND evaluation = ? AND replies IS NULL"""
        added = self._target.connection.executemany(lacking, ([*row.values(), old] for row in known)).rowcount
        if added > 0:
            self.merged.replaced["verdict"] += added

    @staticmethod
    def _verdicts(store: Store, number: int) -> list[Row]:
        query = (
            'SELECT sample_id, judge_run, answer, "values", error FROM verdict WHERE evaluation = ? '
            "ORDER BY sample_id, judge_run"
        )
        return store.select(query, [number])

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _insert(self, table: str, row: Row, old: Row | None = None) -> None:
        columns, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        self._target.connection.execute(
            f'INSERT OR REPLACE INTO "{table}" ({columns}) VALUES ({marks})', list(row.values())
        )
        self._count("replaced" if old else "added", table)

    def _stored(self, query: str, *values: object) -> Row | None:
        """The target's row of a query that has one at most."""
        return next(iter(self._target.select(query, values)), None)

    def _delete(self, table: str, column: str, value: object) -> None:
        self._target.connection.execute(f"DELETE FROM {table} WHERE {column} = ?", [value])

    def _next(self) -> int:
        return int(self._target.connection.execute(f"SELECT {NEXT_NUMBER}").fetchone()[0])

    def _moved(self, path: str | None) -> str | None:
        """A path of the source as the target stores it."""
        return stored_path(read_path(path, self._source.path), self._target.path) if path else path

    def _count(self, what: str, table: str) -> None:
        getattr(self.merged, what)[table] += 1

    def _conflict(self, what: str, old: object, new: object) -> None:
        self.merged.conflicts.append(f"{what}: {str(old)[:SHOWN]!r} and {str(new)[:SHOWN]!r}")

    def _step(self) -> None:
        self._done += 1
        if self._done % SELDOM == 0 or self._done == self._total:
            self._progress("rows", self._done, self._total)


def unmerged(source: Store) -> dict[str, int]:
    """Tables of a source that no merge takes: those that a rescue made, and what newer or other programs keep there."""
    ours: Sequence[str] = (*TABLES, *LOGS, *NOT_MERGED, "alignment", "evaluation", "verdict", "hidden")
    return {table: count for table in source.tables() if table not in ours and (count := source.count(table))}
