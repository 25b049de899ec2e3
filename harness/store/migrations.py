"""The store's schema, one function a version; only ever append.

Each looks before it makes: in a file that an older version left half made, the rest is made.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import cache

from harness.errors import HarnessError
from harness.store.views import VIEWS

APPLICATION_ID = 0x44414D41
"""SQLite's mark of whose file it is: "DAMA". Those of before version 7 have 0 and are known by their tables."""


def m001_initial(db: sqlite3.Connection) -> None:
    """Data sets, generations, replies, evaluations with verdicts, alignments with their logs."""
    _run(
        db,
        """
    CREATE TABLE IF NOT EXISTS sample (
        data_key TEXT, sample_id TEXT, position INTEGER, prompt TEXT, image TEXT, grp TEXT, data TEXT,
        PRIMARY KEY (data_key, sample_id)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS generation (
        model_key TEXT, question_key TEXT, text TEXT, error TEXT, tokens INTEGER, seconds REAL, created TEXT,
        PRIMARY KEY (model_key, question_key)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS reply (
        judge TEXT, endpoint TEXT, question_key TEXT, run INTEGER, attempt INTEGER,
        text TEXT, model TEXT, error TEXT, usage TEXT, created TEXT,
        PRIMARY KEY (judge, endpoint, question_key, run, attempt)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS evaluation (
        id INTEGER PRIMARY KEY, key TEXT UNIQUE, run TEXT, model TEXT, model_key TEXT, alignment TEXT, benchmark TEXT,
        settings TEXT, version TEXT, mode TEXT, judge TEXT, data_key TEXT, data_dir TEXT, decoding TEXT,
        n INTEGER, n_scored INTEGER, n_failed INTEGER, metrics TEXT, info TEXT, created TEXT);
    CREATE TABLE IF NOT EXISTS verdict (
        evaluation INTEGER REFERENCES evaluation(id) ON DELETE CASCADE, sample_id TEXT, run INTEGER, grp TEXT,
        answer TEXT, "values" TEXT, error TEXT, details TEXT,
        PRIMARY KEY (evaluation, sample_id, run)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS alignment (
        name TEXT PRIMARY KEY, method TEXT, seed INTEGER, panel TEXT, key TEXT, config TEXT, info TEXT,
        status TEXT, model_dir TEXT, seconds REAL, created TEXT) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS train_log (
        alignment TEXT REFERENCES alignment(name) ON DELETE CASCADE, step INTEGER, metrics TEXT,
        PRIMARY KEY (alignment, step)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS gap (
        alignment TEXT REFERENCES alignment(name) ON DELETE CASCADE, step INTEGER, split TEXT, pair_id TEXT, gap REAL,
        PRIMARY KEY (alignment, step, split, pair_id)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS hardness (
        alignment TEXT REFERENCES alignment(name) ON DELETE CASCADE, split TEXT, pair_id TEXT, delta REAL,
        PRIMARY KEY (alignment, split, pair_id)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS evaluation_run ON evaluation(run, benchmark);
    """,
    )


def m002_claims(db: sqlite3.Connection) -> None:
    """What processes that share the work hold (harness.store.claims); ``until`` in seconds since 1970."""
    _run(
        db,
        """
    CREATE TABLE IF NOT EXISTS claim (
        scope TEXT, item TEXT, owner TEXT, host TEXT, pid INTEGER, until REAL,
        PRIMARY KEY (scope, item)) WITHOUT ROWID;
    """,
    )


def m003_answer_details(db: sqlite3.Connection) -> None:
    """Of an answer also whether it was cut, its thoughts that came apart, and what was not sent as asked (JSON)."""
    _add_column(db, "generation", "details", "TEXT")


def m004_hidden(db: sqlite3.Connection) -> None:
    """Runs that are kept but not shown in leaderboards."""
    _run(db, "CREATE TABLE IF NOT EXISTS hidden (run TEXT PRIMARY KEY) WITHOUT ROWID")


def m005_asked(db: sqlite3.Connection) -> None:
    """Under which key a model's answers were last stored, by the name and settings (JSON) that it was asked by."""
    _run(
        db,
        """
    CREATE TABLE IF NOT EXISTS asked (
        model TEXT, settings TEXT, model_key TEXT, created TEXT, PRIMARY KEY (model, settings)) WITHOUT ROWID;
    """,
    )


def m006_activity(db: sqlite3.Connection) -> None:
    """What commands do and how they ended (harness.store.activities)."""
    _run(
        db,
        """
    CREATE TABLE IF NOT EXISTS activity (
        id INTEGER PRIMARY KEY, kind TEXT, command TEXT, host TEXT, pid INTEGER, state TEXT, items TEXT, finished TEXT,
        steps TEXT, error TEXT, log TEXT, started TEXT, updated TEXT)
    """,
    )


def m007_order(db: sqlite3.Connection) -> None:
    """The place of an alignment in one order with the evaluations' ids, which no clock disturbs; whose file it is.

    Earlier ones get their places by the time they were stored at, the last time.
    """
    _add_column(db, "alignment", "number", "INTEGER")
    _run(
        db,
        """
    UPDATE alignment SET number = 1 + coalesce(
        (SELECT max(id) FROM evaluation WHERE evaluation.created < alignment.created), 0) WHERE number IS NULL
    """,
    )
    _run(db, f"PRAGMA application_id = {APPLICATION_ID}")


def m008_judge_replies(db: sqlite3.Connection) -> None:
    """From a verdict to the replies that it was read off (harness.store.judgements). A judge's run is no model's run.

    Of earlier verdicts it was not recorded: NULL.
    """
    for table in ("verdict", "reply"):
        _rename_column(db, table, "run", "judge_run")
    _add_column(db, "verdict", "replies", "TEXT")


def m009_views(db: sqlite3.Connection) -> None:
    """What people ask of the tables, for SQL alone (harness.store.views)."""
    _run(db, "; ".join(VIEWS.values()))


def m010_probes(db: sqlite3.Connection) -> None:
    """What was found of models before they were asked (harness.store.probes). Earlier files hold it in evaluations."""
    _run(
        db,
        """
    CREATE TABLE IF NOT EXISTS probe (
        key TEXT PRIMARY KEY, complete INTEGER, record TEXT, created TEXT) WITHOUT ROWID;
    INSERT OR IGNORE INTO probe SELECT json_extract(record, '$.key'), 1, record, created FROM (
        SELECT id, created, CASE WHEN json_valid(info) THEN json_extract(info, '$.probe') END AS record FROM evaluation)
        WHERE CASE WHEN json_valid(record) THEN json_extract(record, '$.key') END != '' ORDER BY id
    """,
    )


def m011_lasting(db: sqlite3.Connection) -> None:
    """Of a command that failed whether it would fail again; 0 of earlier ones, of which that is not known."""
    _add_column(db, "activity", "lasting", "INTEGER NOT NULL DEFAULT 0")


MIGRATIONS = (
    *(m001_initial, m002_claims, m003_answer_details, m004_hidden, m005_asked, m006_activity, m007_order),
    *(m008_judge_replies, m009_views, m010_probes, m011_lasting),
)
NEWEST = len(MIGRATIONS)


def migrate(db: sqlite3.Connection, upto: int = NEWEST) -> None:
    """Raise the schema to version ``upto``, all of it or nothing."""
    with transaction(db):
        for migration in MIGRATIONS[:upto]:  # also those that were: one that was cut short is made whole
            migration(db)
        db.execute(f"PRAGMA user_version = {upto}")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All that the block does with ``db``, or nothing; nobody else writes meanwhile."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.commit()
    except BaseException:
        with contextlib.suppress(sqlite3.Error, HarnessError):  # the first error is the one to be told
            db.rollback()
        raise


def version_of(db: sqlite3.Connection) -> int:
    """The version of the schema; 0 for one without tables, or half made."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def tables_of(db: sqlite3.Connection, kind: str = "table") -> dict[str, set[str]]:
    """The tables of a file (or its views: ``kind`` "view"), in the order they were made, and their columns."""
    query = """SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c
               WHERE t.type = ? AND t.name NOT LIKE 'sqlite_%' ORDER BY t.rowid"""
    tables: dict[str, set[str]] = {}
    for table, column in db.execute(query, [kind]):
        tables.setdefault(table, set()).add(column)
    return tables


@cache
def schema(version: int = NEWEST) -> dict[str, set[str]]:
    """The tables of schema ``version`` and their columns: what the migrations make of nothing."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        migrate(db, version)
        return tables_of(db)


@cache
def columns(version: int = NEWEST) -> dict[str, dict[str, tuple[str, bool]]]:
    """By table the declared type of each column, in their order, and whether it is of the key."""
    query = "SELECT name, type, pk > 0 FROM pragma_table_info(?)"
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        migrate(db, version)
        return {
            table: {name: (kind, bool(key)) for name, kind, key in db.execute(query, [table])}
            for table in tables_of(db)
        }


def is_ours(db: sqlite3.Connection) -> bool:
    """Whether a file is a results file, or empty: by its mark, or by its tables. Of a half-made one some are there."""
    mark, tables = db.execute("PRAGMA application_id").fetchone()[0], tables_of(db)
    if mark == APPLICATION_ID or not (mark or tables):
        return True
    made = {name: columns for name, columns in schema(1).items() if name in tables}
    whole = len(made) == len(schema(1)) or tables.keys() == made.keys()
    return mark == 0 and whole and all(columns <= tables[name] for name, columns in made.items())


def _run(db: sqlite3.Connection, statements: str) -> None:
    """Run ``statements``, with semicolons between them, within the transaction (``executescript`` would end it)."""
    for statement in statements.split(";"):
        db.execute(statement)


def _add_column(db: sqlite3.Connection, table: str, column: str, kind: str) -> None:
    if column not in tables_of(db)[table]:
        db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def _rename_column(db: sqlite3.Connection, table: str, old: str, new: str) -> None:
    if old in tables_of(db)[table]:
        # Else a view or trigger of the user's that is broken already (its table is gone) is an error of the renaming.
        db.execute("PRAGMA writable_schema = ON")
        try:
            db.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
        finally:
            db.execute("PRAGMA writable_schema = OFF")
