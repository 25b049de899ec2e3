"""Every earlier schema opens with all its rows, also after a kill at any statement and from half-made files."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from harness.store import Store
from harness.store.migrations import APPLICATION_ID, MIGRATIONS, migrate, schema, tables_of, version_of
from tests.harness.store.old_files import old_file, open_and_die, require_all_rows

OLDER = range(1, len(MIGRATIONS))


@pytest.mark.parametrize("version", OLDER)
def test_a_file_of_every_earlier_schema_opens_with_all_its_rows(tmp_path: Path, version: int) -> None:
    store = Store(old_file(tmp_path / "r.sqlite", version))
    require_all_rows(store)
    assert store.schema_version == len(MIGRATIONS) and tables_of(store.connection) == schema()


def test_a_file_is_marked_as_a_results_file(tmp_path: Path) -> None:
    for path in (tmp_path / "new", old_file(tmp_path / "old", 1)):
        store = Store(path)
        assert store.db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID


def test_killed_at_any_statement_while_it_is_made_a_file_opens(tmp_path: Path) -> None:
    for statements in range(1000):
        path = tmp_path / f"{statements}.sqlite"
        made = open_and_die(path, statements)
        store = Store(path)
        assert tables_of(store.connection) == schema() and not store.faults()
        if made:
            break
    assert 15 < statements < 999


@pytest.mark.parametrize("version", [1, 6])
def test_killed_at_any_statement_of_a_migration_a_file_opens_with_all_its_rows(tmp_path: Path, version: int) -> None:
    before = old_file(tmp_path / "before.sqlite", version)
    for statements in range(1000):
        path = tmp_path / f"{statements}.sqlite"
        shutil.copyfile(before, path)
        done = open_and_die(path, statements)
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert version_of(db) in (version, len(MIGRATIONS)), "all of the migration or nothing"
        require_all_rows(Store(path))
        if done:
            break
    assert 15 < statements < 999


def test_a_file_half_made_by_an_older_version_is_made_whole(tmp_path: Path) -> None:
    """It set the version after the tables, each in a transaction of its own."""
    names = list(schema(1))
    for made in range(0, len(names) + 1, 3):
        path = tmp_path / f"{made}.sqlite"
        with contextlib.closing(sqlite3.connect(path)) as db:
            migrate(db, 1)
            db.execute("PRAGMA user_version = 0")
            for name in names[made:]:
                db.execute(f"DROP TABLE {name}")
            db.commit()
        assert tables_of(Store(path).connection) == schema()


@pytest.mark.parametrize("version", OLDER)
def test_a_file_whose_version_is_behind_its_tables_is_migrated(tmp_path: Path, version: int) -> None:
    path = old_file(tmp_path / "r.sqlite", version)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version - 1}")
    require_all_rows(Store(path))


@pytest.mark.parametrize("version", OLDER)
def test_views_of_ones_own_survive_a_migration_also_broken_ones(tmp_path: Path, version: int) -> None:
    """One is of a table that is gone; the other names a column that gets another name."""
    path = old_file(tmp_path / "r.sqlite", version)
    column = "run" if version < 8 else "judge_run"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE VIEW broken AS SELECT x FROM gone")
        db.execute(f"CREATE VIEW mine AS SELECT sample_id, {column} FROM verdict")
        db.commit()
    store = Store(path)
    require_all_rows(store)
    assert store.db.execute("SELECT sample_id, judge_run FROM mine").fetchall() == [("s", 0)]
    assert store.db.execute("SELECT sql FROM sqlite_master WHERE name = 'broken'").fetchone()[0].endswith("FROM gone")
    store.close()
    require_all_rows(Store.reading(path))


def test_probes_that_earlier_files_hold_in_evaluations_are_found_where_probes_are(tmp_path: Path) -> None:
    """Not one that was not complete (key ""), and none of an evaluation whose record is no JSON."""
    path = old_file(tmp_path / "r.sqlite", 9)
    whole = {"key": "k", "state": "ok", "seconds": 0.25, "prompt": "a picture: «é»", "checks": []}
    infos = [json.dumps({"probe": whole}), json.dumps({"probe": {**whole, "key": ""}}), "{no JSON", None, "{}"]
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = [(number, f"k{number}", info, "2026-01-01") for number, info in enumerate(infos, start=2)]
        db.executemany("INSERT INTO evaluation (id, key, info, created) VALUES (?,?,?,?)", rows)
        db.commit()
    store = Store(path)
    assert store.probe("k") == (whole, True) and store.count("probe") == 1


def test_alignments_of_earlier_files_keep_their_order_among_the_evaluations(tmp_path: Path) -> None:
    path = old_file(tmp_path / "r.sqlite", 5)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO evaluation (id, key, created) VALUES (2, 'l', '2026-01-01T00:00:04.000+00:00')")
        db.commit()
    store = Store(path)
    assert 1 < store.alignment("dpo-s0").number <= 2, "after the first evaluation, not after the second"
