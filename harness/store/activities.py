"""What commands are doing, and how those that ended did: what `status` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.store.claims import holders
from harness.store.file import ResultsFile, dump, now

ACTIVITY = "activity"
"""The scope of the claims that commands hold while they work."""


@dataclass(frozen=True)
class Activity:
    """One command on a results file.

    ``state``: "running", "done", "failed", "interrupted", or "killed" (its process is gone without a word).
    ``items`` is what it set out to do, ``finished`` what of that is done; ``steps`` is how far what is under way is:
    by step its "done" and "total" and, where it can be said, the "seconds" left. ``error`` is why it ended, which is
    ``lasting`` where the same command would end so again until that is mended; ``log`` is the file that says more.
    Times are ISO, in UTC.
    """

    id: int
    kind: str
    command: str
    host: str
    pid: int
    state: str
    items: list[str]
    finished: list[str]
    steps: dict[str, dict[str, Any]]
    error: str
    log: str
    started: str
    updated: str
    lasting: bool = False

    @property
    def remaining(self) -> list[str]:
        """What it had still to do."""
        return [item for item in self.items if item not in self.finished]


class Activities(ResultsFile):
    """The table activity."""

    def start_activity(self, kind: str, command: str, items: Sequence[str], log: str, host: str, pid: int) -> int:
        """Begin one; returns its id."""
        time = now()
        columns = "kind, command, host, pid, state, items, finished, steps, error, log, started, updated"
        row = (kind, command, host, pid, "running", dump(list(items)), "[]", "{}", "", log, time, time)
        with self.transaction() as db:
            marks = ", ".join("?" * len(row))
            return int(db.execute(f"INSERT INTO activity ({columns}) VALUES ({marks})", row).lastrowid or 0)

    def update_activity(self, id_: int, *, finished: Sequence[str], steps: Mapping[str, Mapping[str, Any]]) -> None:
        """Say how far it is."""
        row = (dump(list(finished)), dump(steps), now(), id_)
        self.write("UPDATE activity SET finished = ?, steps = ?, updated = ? WHERE id = ?", [row])

    def end_activity(self, id_: int, state: str, error: str = "", *, lasting: bool = False) -> None:
        """Close it: state "done", "failed" or "interrupted"."""
        row = (state, error, lasting, now(), id_)
        self.write("UPDATE activity SET state = ?, error = ?, lasting = ?, updated = ? WHERE id = ?", [row])

    def activities(self) -> list[Activity]:
        """All of them, oldest first."""
        living = holders(self.connection, ACTIVITY)
        rows = list(self.read("activity", "SELECT * FROM activity ORDER BY id"))
        for row in rows:
            row["lasting"] = bool(row.get("lasting"))
            if row["state"] == "running" and str(row["id"]) not in living:
                row["state"] = "killed"
        return [Activity(**row) for row in rows]
