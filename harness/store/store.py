"""One SQLite file that holds every step: answers, replies, verdicts, metrics, training curves.

Everything is written the moment it exists, under a key made of all that determined it, so nothing is computed twice
and an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from harness.errors import HarnessError, UsageError, unknown_name
from harness.protocols.benchmark import Sample, Verdict
from harness.protocols.judge import Reply
from harness.protocols.model import Answer
from harness.store.migrations import migrate

Row = dict[str, Any]


@dataclass(frozen=True)
class EvaluationRecord:
    """One model on one benchmark under one judge: the figures, and what they were made from."""

    id: int
    key: str
    run: str
    model: str
    model_key: str
    alignment: str | None
    benchmark: str
    settings: dict[str, Any]
    version: str
    mode: str
    judge: str
    data_key: str
    data_dir: str
    decoding: dict[str, Any]
    n: int
    n_scored: int
    n_failed: int
    metrics: dict[str, dict[str, Any]]
    info: dict[str, Any]
    created: str

    @property
    def data_hash(self) -> str:
        return self.data_key


@dataclass(frozen=True)
class VerdictRecord:
    """The stored verdict on one answer in one judge run."""

    sample_id: str
    run: int
    group: str
    answer: str | None
    counts: dict[str, float]
    error: str | None
    details: dict[str, Any]


@dataclass(frozen=True)
class AlignmentRecord:
    """One alignment run. ``panel`` names the data condition it belongs to in a leaderboard ("clean", ...)."""

    name: str
    method: str
    seed: int
    panel: str
    key: str
    config: dict[str, Any]
    info: dict[str, Any]
    status: str
    model_dir: str
    seconds: float
    created: str


class Store:
    """A small typed surface over the SQLite file at ``path``; several processes may use it at once."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
            self.db = Database(connection)
            with self._migration_lock():
                self.db.enable_wal()
                migrate(self.db, str(path))
            self.db.execute("PRAGMA foreign_keys = ON")
            # With a write-ahead log a killed process loses nothing. Syncing the disk for every reply would halve the
            # judge stage; so a power cut may cost the last moments, never the file.
            self.db.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.DatabaseError as error:
            raise HarnessError(f"{path} cannot be the results file: {error}. Name another with --db.") from error

    @classmethod
    def existing(cls, path: str | Path) -> Store:
        """The store at ``path``, for reading: a file that does not exist is the user's to correct, and is not made."""
        if not Path(path).is_file():
            raise UsageError(
                f"{path}: there is no such results file. Name yours with --db, or make one: `python cli.py demo`, or "
                "`align` and `bench` with your own model."
            )
        return cls(path)

    @contextlib.contextmanager
    def _migration_lock(self) -> Iterator[None]:
        """Processes that open a new file at the same time must not race to create the schema."""
        with open(self.path.with_name(self.path.name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def close(self) -> None:
        self.db.close()

    # -- data ---------------------------------------------------------------------------------------------------------

    def save_samples(self, data_key: str, samples: Sequence[Sample]) -> None:
        """Remember a benchmark's samples, so that results can be read without the data directory."""
        rows = [
            (
                data_key,
                s.id,
                i,
                s.prompt,
                _place(s),
                s.group,
                _dump(s.data),
            )
            for i, s in enumerate(samples)
        ]
        self._write("INSERT OR IGNORE INTO sample VALUES (?,?,?,?,?,?,?)", rows)

    def samples(self, data_key: str) -> list[Row]:
        """The samples of a data set, in its order: sample_id, prompt, image (path), grp, data."""
        rows = self._rows("SELECT * FROM sample WHERE data_key = ? ORDER BY position", [data_key])
        return [{**row, "data": json.loads(row["data"])} for row in rows]

    # -- answers and replies ------------------------------------------------------------------------------------------

    def save_answers(self, model_key: str, answers: Iterable[tuple[str, Answer]]) -> None:
        """Store answers by the key of what was asked. A failed one is stored with its reason and asked again later."""
        rows = [(model_key, key, a.text, a.error, a.tokens, a.seconds, _now()) for key, a in answers]
        self._write("INSERT OR REPLACE INTO generation VALUES (?,?,?,?,?,?,?)", rows)

    def answers(self, model_key: str, question_keys: Iterable[str]) -> dict[str, Answer]:
        """Stored answers among ``question_keys``."""
        wanted = set(question_keys)
        query = "SELECT question_key, text, error, tokens, seconds FROM generation WHERE model_key = ?"
        return {row[0]: Answer(*row[1:]) for row in self.db.execute(query, [model_key]) if row[0] in wanted}

    def generation_totals(self) -> dict[str, tuple[int, int, float]]:
        """By model key: stored answers, their tokens, and the seconds they took."""
        query = "SELECT model_key, count(text), total(tokens), total(seconds) FROM generation GROUP BY model_key"
        return {row[0]: (row[1], int(row[2]), row[3]) for row in self.db.execute(query)}

    def save_reply(self, judge: str, endpoint: str, question_key: str, run: int, attempt: int, reply: Reply) -> None:
        """Store one reply at once: it may have been paid for."""
        key = (judge, endpoint, question_key, run, attempt)
        said = (reply.text, reply.model, reply.error, _dump(reply.usage), _now())
        self._write("INSERT OR REPLACE INTO reply VALUES (?,?,?,?,?,?,?,?,?,?)", [(*key, *said)])

    def reply(self, judge: str, endpoint: str, question_key: str, run: int, attempt: int) -> Reply | None:
        """The stored reply under that key, None if there is none."""
        query = (
            "SELECT text, model, error, usage FROM reply "
            "WHERE judge = ? AND endpoint = ? AND question_key = ? AND run = ? AND attempt = ?"
        )
        row = self.db.execute(query, [judge, endpoint, question_key, run, attempt]).fetchone()
        return Reply(row[0], row[1], row[2], json.loads(row[3])) if row else None

    def replies(self, judge: str, endpoint: str) -> dict[tuple[str, int, int], Reply]:
        """Stored replies of a judge by (question key, run, attempt)."""
        query = "SELECT question_key, run, attempt, text, model, error, usage FROM reply WHERE judge=? AND endpoint=?"
        return {
            (row[0], row[1], row[2]): Reply(row[3], row[4], row[5], json.loads(row[6]))
            for row in self.db.execute(query, [judge, endpoint])
        }

    # -- evaluations --------------------------------------------------------------------------------------------------

    def save_evaluation(self, record: Row, verdicts: Iterable[tuple[str, int, str, str | None, Verdict]]) -> int:
        """Store an evaluation under ``record["key"]``, replacing an earlier one of that key; returns its id.

        ``verdicts`` holds (sample id, judge run, group, answer, verdict).
        """
        columns = ", ".join(f'"{name}"' for name in record)
        marks = ", ".join("?" * len(record))
        values = [_dump(v) if isinstance(v, dict | list) else v for v in record.values()]
        with self.db.conn:
            self.db.conn.execute("DELETE FROM evaluation WHERE key = ?", [record["key"]])
            cursor = self.db.conn.execute(
                f"INSERT INTO evaluation ({columns}, created) VALUES ({marks}, ?)", [*values, _now()]
            )
            number = int(cursor.lastrowid or 0)
            self.db.conn.executemany(
                "INSERT INTO verdict VALUES (?,?,?,?,?,?,?,?)",
                (
                    (number, sample_id, run, group, answer, _dump(v.counts), v.error, _dump(v.details))
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
        rows = self._rows(f"SELECT * FROM evaluation WHERE {where} ORDER BY id", list(given.values()))
        parsed = ("settings", "decoding", "metrics", "info")
        return [EvaluationRecord(**{k: json.loads(v) if k in parsed else v for k, v in row.items()}) for row in rows]

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

    # -- alignments ---------------------------------------------------------------------------------------------------

    def start_alignment(
        self, name: str, *, method: str, seed: int, panel: str, key: str, config: Row, fresh: bool = False
    ) -> AlignmentLog:
        """Begin the alignment ``name``, or go on with it; returns the recorder that training reports to.

        One with another key, or to be made ``fresh``, begins anew and takes the place of what is stored.
        """
        before = self._rows("SELECT key FROM alignment WHERE name = ?", [name])
        if before and (fresh or before[0]["key"] != key):
            with self.db.conn:
                self.db.conn.execute("DELETE FROM alignment WHERE name = ?", [name])
        row = (name, method, seed, panel, key, _dump(config), "{}", "running", "", 0.0, _now())
        self._write("INSERT OR IGNORE INTO alignment VALUES (?,?,?,?,?,?,?,?,?,?,?)", [row])
        return AlignmentLog(self, name)

    def finish_alignment(self, name: str, *, status: str, model_dir: str, seconds: float) -> None:
        """Close an alignment run: status "done" or "failed"."""
        self._write(
            "UPDATE alignment SET status = ?, model_dir = ?, seconds = ? WHERE name = ?",
            [(status, model_dir, seconds, name)],
        )

    def alignments(self) -> list[AlignmentRecord]:
        """All alignment runs, oldest first."""
        rows = self._rows("SELECT * FROM alignment ORDER BY created, name", [])
        return [
            AlignmentRecord(**{**row, "config": json.loads(row["config"]), "info": json.loads(row["info"])})
            for row in rows
        ]

    def alignment(self, name: str) -> AlignmentRecord:
        """The alignment called ``name``; an unknown one raises a UsageError with a suggestion."""
        known = {record.name: record for record in self.alignments()}
        if name not in known:
            raise unknown_name("run", name, known)
        return known[name]

    def train_log(self, name: str) -> list[Row]:
        """Metrics of every optimiser step of an alignment: "step" and the metrics."""
        rows = self._rows("SELECT step, metrics FROM train_log WHERE alignment = ? ORDER BY step", [name])
        return [{"step": row["step"], **json.loads(row["metrics"])} for row in rows]

    def gaps(self, name: str) -> list[tuple[int, str, str, float]]:
        """Reward gaps of the probe pairs: (step, split, pair id, gap in nats)."""
        query = "SELECT step, split, pair_id, gap FROM gap WHERE alignment = ? ORDER BY step, split, pair_id"
        return [tuple(row) for row in self.db.execute(query, [name])]

    def pair_hardness(self, name: str, split: str) -> dict[str, float]:
        """Hardness delta by pair id, of the pairs of ``split`` (train or heldout)."""
        query = "SELECT pair_id, delta FROM hardness WHERE alignment = ? AND split = ?"
        return dict(self.db.execute(query, [name, split]).fetchall())

    # -- the file -----------------------------------------------------------------------------------------------------

    @property
    def schema_version(self) -> int:
        return int(self.db.execute("PRAGMA user_version").fetchone()[0])

    def tables(self) -> list[str]:
        """Names of all tables, in the order they were made."""
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rootpage"
        return [row[0] for row in self.db.execute(query)]

    def columns(self, table: str) -> dict[str, str]:
        """Column names of a table and their SQLite types."""
        return {row[1]: row[2] for row in self.db.execute(f'PRAGMA table_info("{table}")')}

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table as they are stored, one at a time."""
        return iter(self.db.query(f'SELECT * FROM "{table}"'))

    def count(self, table: str) -> int:
        return int(self.db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])

    def faults(self) -> list[str]:
        """What SQLite finds wrong with the file; empty for a sound one."""
        try:
            found = [str(row[0]) for row in self.db.execute("PRAGMA integrity_check")]
            orphans = [
                f"{row[0]} holds a row without its {row[2]}" for row in self.db.execute("PRAGMA foreign_key_check")
            ]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [line for line in [*found, *orphans] if line != "ok"]

    def vacuum(self) -> None:
        """Give back the room of deleted rows."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.vacuum()

    def backup(self, file: Path) -> None:
        """A consistent copy, also while others write."""
        with contextlib.closing(sqlite3.connect(file)) as copy:
            self.db.conn.backup(copy)

    # -- plumbing -----------------------------------------------------------------------------------------------------

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self.db.conn:
            self.db.conn.executemany(statement, rows)

    def _rows(self, query: str, values: Sequence[Any]) -> list[Row]:
        return list(self.db.query(query, values))


class AlignmentLog:
    """The store as a training run sees it (harness.protocols.recorder.Recorder)."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self.name = store, name

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        self._store._write("INSERT OR REPLACE INTO train_log VALUES (?,?,?)", [(self.name, step, _dump(metrics))])

    def log_gaps(self, step: int, split: str, gaps: Sequence[tuple[str, float]]) -> None:
        rows = [(self.name, step, split, pair_id, gap) for pair_id, gap in gaps]
        self._store._write("INSERT OR REPLACE INTO gap VALUES (?,?,?,?,?)", rows)

    def log_hardness(self, split: str, deltas: Mapping[str, float]) -> None:
        rows = [(self.name, split, pair_id, delta) for pair_id, delta in deltas.items()]
        self._store._write("INSERT OR REPLACE INTO hardness VALUES (?,?,?,?)", rows)

    def log_info(self, values: Mapping[str, Any]) -> None:
        info = {**self._store.alignment(self.name).info, **values}
        self._store._write("UPDATE alignment SET info = ? WHERE name = ?", [(_dump(info), self.name)])


def _place(sample: Sample) -> str | None:
    """Where a sample's image lies, if it is a file."""
    return str(sample.image.path) if sample.image and sample.image.path else None


def _dump(value: Any) -> str:
    return json.dumps(value, default=str)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
