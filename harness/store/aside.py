"""Rows of a rescued file that cannot stand where they stood: set aside in tables of their own, the rest is sound."""

from __future__ import annotations

from collections.abc import Iterable

from harness.store.cells import damage_of
from harness.store.connection import Connection
from harness.store.migrations import columns

PARENTS = {"verdict": ("evaluation", "id"), "train_log": ("alignment", "name")}
PARENTS |= dict.fromkeys(("gap", "hardness"), PARENTS["train_log"])
"""Tables whose rows are part of another's: the first column names it, by that column."""

Counts = dict[str, int]
"""How many rows of each table."""


def set_damaged_aside(copy: Connection) -> Counts:
    """Rows that no command can read, in "damaged_verdict" and so on: what made them makes them anew."""
    counts = {}
    for table, facts in columns().items():
        keys = [name for name, (_, of_key) in facts.items() if of_key]
        rows = (dict(zip(facts, row, strict=True)) for row in copy.execute(f'SELECT {_quoted(facts)} FROM "{table}"'))
        damaged = [[row[name] for name in keys] for row in rows if any(damage_of(table, row))]
        if damaged:
            where = f'"{table}" WHERE ({_quoted(keys)}) = ({", ".join("?" * len(keys))})'
            copy.execute(f'CREATE TABLE "damaged_{table}" AS SELECT * FROM "{table}" WHERE 0')
            copy.executemany(f'INSERT INTO "damaged_{table}" SELECT * FROM {where}', damaged)
            copy.executemany(f"DELETE FROM {where}", damaged)
            counts[table] = len(damaged)
    return counts


def set_incomplete_aside(copy: Connection) -> Counts:
    """Evaluations that lost verdicts: figures of what is left of them would stand for all. Their answers and replies
    are in tables of their own, so that the same command makes them anew."""
    counted = """SELECT count(DISTINCT sample_id) AS samples, count(*) AS rows, max(judge_run) + 1 AS runs
        FROM verdict WHERE verdict.evaluation = evaluation.id"""
    lost = f"""FROM evaluation WHERE n_scored + n_failed > 0 AND NOT EXISTS
        (SELECT 1 FROM ({counted}) WHERE samples >= n_scored + n_failed AND rows >= samples * runs)"""
    count = int(copy.execute(f"SELECT count(*) {lost}").fetchone()[0])
    if count:
        copy.execute(f"CREATE TABLE orphan_evaluation AS SELECT * {lost}")
        copy.execute("DELETE FROM evaluation WHERE id IN (SELECT id FROM orphan_evaluation)")
    return {"evaluation": count} if count else {}


def set_orphans_aside(copy: Connection) -> Counts:
    """Rows whose evaluation or alignment is lost, in "orphan_verdict" and so on."""
    counts = {}
    for table, (parent, column) in PARENTS.items():
        first = copy.execute(f'SELECT name FROM pragma_table_info("{table}") WHERE cid = 0').fetchone()[0]
        orphan = f'FROM "{table}" WHERE "{first}" NOT IN (SELECT "{column}" FROM "{parent}")'
        if count := copy.execute(f"SELECT count(*) {orphan}").fetchone()[0]:
            copy.execute(f'CREATE TABLE "orphan_{table}" AS SELECT * {orphan}')
            copy.execute(f"DELETE {orphan}")
            counts[table] = int(count)
    return counts


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
