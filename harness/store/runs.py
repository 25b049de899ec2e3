"""Whole runs, across the tables: removed, or hidden from leaderboards."""

from __future__ import annotations

from harness.store.file import ResultsFile, dump

OF_RUN = "run = :run OR alignment = :run"
"""The evaluations of a run: under its name, or of its alignment under another."""


class Runs(ResultsFile):
    """The table hidden, and the rows of a run in the others."""

    def rows_of(self, run: str) -> dict[str, int]:
        """How many rows of each table ``remove_run`` would remove."""
        counts = {
            "alignment": "SELECT count(*) FROM alignment WHERE name = :run",
            "train_log": "SELECT count(*) FROM train_log WHERE alignment = :run",
            "gap": "SELECT count(*) FROM gap WHERE alignment = :run",
            "hardness": "SELECT count(*) FROM hardness WHERE alignment = :run",
            "evaluation": f"SELECT count(*) FROM evaluation WHERE {OF_RUN}",
            "verdict": f"SELECT count(*) FROM verdict WHERE evaluation IN (SELECT id FROM evaluation WHERE {OF_RUN})",
        }
        return {table: int(self.db.execute(query, {"run": run}).fetchone()[0]) for table, query in counts.items()}

    def remove_run(self, run: str) -> None:
        """Remove a run: its alignment with curves, its evaluations with verdicts.

        Answers and replies stay: they belong to a model and a judge, whatever the run is called.
        """
        with self.transaction() as db:
            db.execute("DELETE FROM alignment WHERE name = :run", {"run": run})
            db.execute(f"DELETE FROM evaluation WHERE {OF_RUN}", {"run": run})
            db.execute("DELETE FROM hidden WHERE run = :run", {"run": run})
            # A training of it that failed or was killed has nothing more to do.
            db.execute("DELETE FROM activity WHERE kind = 'align' AND items = ?", [dump([run])])

    def hide_run(self, run: str, *, hidden: bool = True) -> None:
        """Hide a run from leaderboards, or show it again."""
        statement = "INSERT OR IGNORE INTO hidden VALUES (?)" if hidden else "DELETE FROM hidden WHERE run = ?"
        self.write(statement, [(run,)])

    def hidden_runs(self) -> frozenset[str]:
        """The runs that are hidden."""
        return frozenset(row[0] for row in self.db.execute("SELECT run FROM hidden"))
