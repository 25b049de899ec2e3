"""The store's schema, one function a version; only ever append."""

from __future__ import annotations

from sqlite_utils import Database

from harness.errors import HarnessError


def m001_initial(db: Database) -> None:
    """Data sets, generations, replies, evaluations with verdicts, alignments with their logs."""
    db.executescript("""
    CREATE TABLE sample (
        data_key TEXT, sample_id TEXT, position INTEGER, prompt TEXT, image TEXT, grp TEXT, data TEXT,
        PRIMARY KEY (data_key, sample_id)) WITHOUT ROWID;
    CREATE TABLE generation (
        model_key TEXT, question_key TEXT, text TEXT, error TEXT, tokens INTEGER, seconds REAL, created TEXT,
        PRIMARY KEY (model_key, question_key)) WITHOUT ROWID;
    CREATE TABLE reply (
        judge TEXT, endpoint TEXT, question_key TEXT, run INTEGER, attempt INTEGER,
        text TEXT, model TEXT, error TEXT, usage TEXT, created TEXT,
        PRIMARY KEY (judge, endpoint, question_key, run, attempt)) WITHOUT ROWID;
    CREATE TABLE evaluation (
        id INTEGER PRIMARY KEY, key TEXT UNIQUE, run TEXT, model TEXT, model_key TEXT, alignment TEXT, benchmark TEXT,
        settings TEXT, version TEXT, mode TEXT, judge TEXT, data_key TEXT, data_dir TEXT, decoding TEXT,
        n INTEGER, n_scored INTEGER, n_failed INTEGER, metrics TEXT, info TEXT, created TEXT);
    CREATE TABLE verdict (
        evaluation INTEGER REFERENCES evaluation(id) ON DELETE CASCADE, sample_id TEXT, run INTEGER, grp TEXT,
        answer TEXT, "values" TEXT, error TEXT, details TEXT,
        PRIMARY KEY (evaluation, sample_id, run)) WITHOUT ROWID;
    CREATE TABLE alignment (
        name TEXT PRIMARY KEY, method TEXT, seed INTEGER, panel TEXT, key TEXT, config TEXT, info TEXT,
        status TEXT, model_dir TEXT, seconds REAL, created TEXT) WITHOUT ROWID;
    CREATE TABLE train_log (
        alignment TEXT REFERENCES alignment(name) ON DELETE CASCADE, step INTEGER, metrics TEXT,
        PRIMARY KEY (alignment, step)) WITHOUT ROWID;
    CREATE TABLE gap (
        alignment TEXT REFERENCES alignment(name) ON DELETE CASCADE, step INTEGER, split TEXT, pair_id TEXT, gap REAL,
        PRIMARY KEY (alignment, step, split, pair_id)) WITHOUT ROWID;
    CREATE TABLE hardness (
        alignment TEXT REFERENCES alignment(name) ON DELETE CASCADE, split TEXT, pair_id TEXT, delta REAL,
        PRIMARY KEY (alignment, split, pair_id)) WITHOUT ROWID;
    CREATE INDEX evaluation_run ON evaluation(run, benchmark);
    """)


def m002_claims(db: Database) -> None:
    """What processes that share the work hold (harness.store.claims); ``until`` in seconds since 1970."""
    db.executescript("""
    CREATE TABLE claim (
        scope TEXT, item TEXT, owner TEXT, host TEXT, pid INTEGER, until REAL,
        PRIMARY KEY (scope, item)) WITHOUT ROWID;
    """)


def m003_answer_details(db: Database) -> None:
    """Of an answer also whether it was cut, its thoughts that came apart, and what was not sent as asked (JSON)."""
    db.executescript("ALTER TABLE generation ADD COLUMN details TEXT;")


def m004_hidden(db: Database) -> None:
    """Runs that are kept but not shown in leaderboards."""
    db.executescript("CREATE TABLE hidden (run TEXT PRIMARY KEY) WITHOUT ROWID;")


def m005_asked(db: Database) -> None:
    """Under which key a model's answers were last stored, by the name and settings (JSON) that it was asked by."""
    db.executescript("""
    CREATE TABLE asked (
        model TEXT, settings TEXT, model_key TEXT, created TEXT, PRIMARY KEY (model, settings)) WITHOUT ROWID;
    """)


def m006_activity(db: Database) -> None:
    """What commands do and how they ended (harness.store.activities)."""
    db.executescript("""
    CREATE TABLE activity (
        id INTEGER PRIMARY KEY, kind TEXT, command TEXT, host TEXT, pid INTEGER, state TEXT, items TEXT, finished TEXT,
        steps TEXT, error TEXT, log TEXT, started TEXT, updated TEXT);
    """)


MIGRATIONS = (m001_initial, m002_claims, m003_answer_details, m004_hidden, m005_asked, m006_activity)


def migrate(db: Database, path: str) -> None:
    """Migrate the schema to the newest version; a file of a newer version is refused, not touched."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise HarnessError(
            f"{path} was written by a newer version of this harness (schema {version}, known {len(MIGRATIONS)}). "
            "Upgrade the harness, or name another file with --db."
        )
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        migration(db)
        db.execute(f"PRAGMA user_version = {number}")
        db.conn.commit()
