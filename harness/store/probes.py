"""What was found of models before they were asked anything: the next command that asks them does not look again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.store.file import ResultsFile, dump, now

SAVE = """
INSERT INTO probe (key, complete, record, created) VALUES (?,?,?,?)
ON CONFLICT (key) DO UPDATE SET complete = excluded.complete, record = excluded.record, created = excluded.created
WHERE NOT probe.complete"""


class Probes(ResultsFile):
    """The table probe."""

    def save_probe(self, key: str, record: Mapping[str, Any], *, complete: bool) -> dict[str, Any]:
        """Store what was found of a model the moment it is known; returns what is stored under ``key`` then.

        One that is ``complete`` stays: another process may have made it meanwhile.
        """
        self.write(SAVE, [(key, int(complete), dump(record), now())])
        stored = self.probe(key)
        assert stored is not None  # it was written just now, and none is ever removed
        return stored[0]

    def probe(self, key: str) -> tuple[dict[str, Any], bool] | None:
        """What is stored under ``key``, and whether it is complete; None if there is none."""
        row = next(self.read("probe", "SELECT * FROM probe WHERE key = ?", [key]), None)
        return (row["record"], bool(row["complete"])) if row else None
