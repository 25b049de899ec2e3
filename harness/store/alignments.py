"""Alignment runs with their training curves, reward gaps and hardness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import unknown_name
from harness.store.claims import ALIGNMENT, Holder, holders
from harness.store.file import NEXT_NUMBER, ResultsFile, dump, now, storable
from harness.store.places import read_path, stored_path
from harness.store.records import AlignmentRecord, Row


class Alignments(ResultsFile):
    """The tables alignment, train_log, gap and hardness."""

    def start_alignment(
        self, name: str, *, method: str, seed: int, panel: str, key: str, config: Row, fresh: bool = False
    ) -> AlignmentLog:
        """Begin the alignment ``name``, or resume it; returns the recorder that training reports to.

        One with another key, or to be made ``fresh``, starts over and replaces what is stored. Its status is "running",
        and read as "interrupted" where no living process holds its name (``Claims``).
        """
        row = (name, method, seed, panel, key, dump(config), "{}", "running", "", 0.0, now())
        with self.transaction() as db:
            db.execute("DELETE FROM alignment WHERE name = ? AND (? OR key != ?)", [name, fresh, key])
            db.execute(f"INSERT OR IGNORE INTO alignment VALUES (?,?,?,?,?,?,?,?,?,?,?,{NEXT_NUMBER})", row)
            db.execute("UPDATE alignment SET status = 'running' WHERE name = ?", [name])  # it failed, or was stopped
        return AlignmentLog(self, name)

    def finish_alignment(self, name: str, *, status: str, model_dir: str, seconds: float) -> None:
        """Close an alignment run: status "done", "failed" or "interrupted"."""
        self.write(
            "UPDATE alignment SET status = ?, model_dir = ?, seconds = ? WHERE name = ?",
            [(status, stored_path(model_dir, self.path), seconds, name)],
        )

    def alignments(self) -> list[AlignmentRecord]:
        """All alignment runs, oldest first; one that was killed has the status "interrupted"."""
        rows = list(self.read("alignment", "SELECT * FROM alignment ORDER BY number, created, name"))
        living = self.aligning() if any(row["status"] == "running" for row in rows) else {}
        for row in rows:
            row["model_dir"] = read_path(row["model_dir"], self.path)
            if row["status"] == "running" and row["name"] not in living:
                row["status"] = (
                    "interrupted"  # said, not written: the file may be a copy of one that is in use elsewhere
                )
        return [AlignmentRecord(**row) for row in rows]

    def note_alignment(self, name: str, values: Mapping[str, Any]) -> None:
        """Add ``values`` to what is recorded of an alignment, in place of those of the same names."""
        with self.transaction() as db:
            stored = next(self.read("alignment", "SELECT name, info FROM alignment WHERE name = ?", [name]), None)
            info = {**(stored["info"] if stored else {}), **values}
            db.execute("UPDATE alignment SET info = ? WHERE name = ?", storable([dump(info), name]))

    def aligning(self) -> dict[str, Holder]:
        """The runs that a process is aligning now, by name, and which process."""
        return holders(self.connection, ALIGNMENT)

    def alignment(self, name: str) -> AlignmentRecord:
        """The alignment called ``name``; an unknown one raises a UsageError with a suggestion."""
        known = {record.name: record for record in self.alignments()}
        if name not in known:
            raise unknown_name("run", name, known)
        return known[name]

    def train_log(self, name: str) -> list[Row]:
        """Metrics of every optimiser step of an alignment: "step" and the metrics."""
        rows = self.read("train_log", "SELECT * FROM train_log WHERE alignment = ? ORDER BY step", [name])
        return [{"step": row["step"], **row["metrics"]} for row in rows]

    def gaps(self, name: str) -> list[tuple[int, str, str, float]]:
        """Reward gaps of the probe pairs: (step, split, pair id, gap in nats)."""
        query = "SELECT * FROM gap WHERE alignment = ? ORDER BY step, split, pair_id"
        return [(row["step"], row["split"], row["pair_id"], row["gap"]) for row in self.read("gap", query, [name])]

    def pair_hardness(self, name: str, split: str) -> dict[str, float]:
        """Hardness delta by pair id, of the pairs of ``split`` (train or heldout)."""
        query = "SELECT * FROM hardness WHERE alignment = ? AND split = ?"
        return {row["pair_id"]: row["delta"] for row in self.read("hardness", query, [name, split])}


class AlignmentLog:
    """The store as a training run sees it (harness.protocols.recorder.Recorder)."""

    def __init__(self, store: Alignments, name: str) -> None:
        self._store, self.name = store, name

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        self._store.write("INSERT OR REPLACE INTO train_log VALUES (?,?,?)", [(self.name, step, dump(metrics))])

    def log_gaps(self, step: int, split: str, gaps: Sequence[tuple[str, float]]) -> None:
        rows = [(self.name, step, split, pair_id, gap) for pair_id, gap in gaps]
        self._store.write("INSERT OR REPLACE INTO gap VALUES (?,?,?,?,?)", rows)

    def log_hardness(self, split: str, deltas: Mapping[str, float]) -> None:
        rows = [(self.name, split, pair_id, delta) for pair_id, delta in deltas.items()]
        self._store.write("INSERT OR REPLACE INTO hardness VALUES (?,?,?,?)", rows)

    def log_info(self, values: Mapping[str, Any]) -> None:
        self._store.note_alignment(self.name, values)
