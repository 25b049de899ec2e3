"""What is opened is recognised first; a foreign file is not touched, and what cannot be written can be read."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, UsageError
from harness.protocols.model import Answer
from harness.store import Store, migrations, opening
from harness.store.connection import Connection, Damaged, connect
from harness.store.migrations import APPLICATION_ID, MIGRATIONS, migrate, tables_of
from harness.store.opening import is_database, open_as_it_is
from harness.util.files import write_text
from tests.harness.store.old_files import in_child, old_file, require_all_rows
from tests.house import ROOT


def as_it_is(path: Path) -> Connection:
    """A file that may be any, opened for reading and looked into."""
    db = open_as_it_is(path)
    assert db.execute("SELECT count(*) FROM alignment").fetchone()
    return db


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("log", ["delete", "wal"])
@pytest.mark.parametrize("table", ["visits (id INTEGER, url TEXT)", "sample (id INTEGER)", "generation (text TEXT)"])
@pytest.mark.parametrize("opened", [Store, Store.existing, Store.reading, Store.planning])
def test_a_file_of_another_program_is_refused_and_not_touched(
    tmp_path: Path, opened: Callable[[Path], Store], table: str, log: str
) -> None:
    path = tmp_path / "places.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {log}")
        db.execute(f"CREATE TABLE {table}")
        db.commit()
    before = contents(tmp_path)
    with pytest.raises(HarnessError, match=r"places\.sqlite is an SQLite file of another program .*--db"):
        opened(path)
    assert contents(tmp_path) == before


def test_a_file_with_another_programs_mark_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        migrate(db, 1)
        db.execute("PRAGMA application_id = 1")
    with pytest.raises(HarnessError, match="another program"):
        Store(path)


def test_a_file_of_one_byte_is_no_empty_one(tmp_path: Path) -> None:
    """SQLite takes it for one, and would write over it."""
    path = tmp_path / "results.sqlite"
    path.write_text("x")
    for opened in (Store, Store.reading):
        with pytest.raises(Damaged, match="it is no SQLite file"):
            opened(path)
    assert path.read_text() == "x" and not is_database(path)


def test_a_file_that_another_process_is_making_is_no_other_programs(tmp_path: Path) -> None:
    """Read without a lock it has its tables already and its mark not yet: two processes of one training saw it so."""
    path = Store(tmp_path / "results.sqlite").path
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("PRAGMA journal_mode = DELETE; PRAGMA application_id = 0")
    with pytest.raises(HarnessError, match="of another program"):
        Store(path)
    finish = f"""
import sqlite3, time
db = sqlite3.connect({str(path)!r})
print("begun", flush=True)
time.sleep(0.2)
db.execute("PRAGMA application_id = {APPLICATION_ID}")
"""
    with subprocess.Popen([sys.executable, "-c", finish], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"begun\n"
        assert not list(Store(path).evaluations())
    assert other.returncode == 0


def test_what_a_file_is_is_read_of_one_state_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes the tables between the look at the mark and the look at the tables."""
    path = tmp_path / "results.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    made = False

    def late(db: sqlite3.Connection, kind: str = "table") -> dict[str, set[str]]:
        nonlocal made
        if not made:
            made = True
            code = f"from harness.store import Store; Store({str(path)!r})"
            subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
        return tables_of(db, kind)

    monkeypatch.setattr(migrations, "tables_of", late)
    opened = connect(path)
    opening._check_ours(opened)
    assert made and not opened.in_transaction and tables_of(opened)
    opened.close()


def test_tables_of_ones_own_in_a_results_file_stay(tmp_path: Path) -> None:
    path = old_file(tmp_path / "r.sqlite", 5)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (x)")
    assert "mine" in Store(path).tables()


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    path.touch()
    assert Store.reading(path).alignments() == [] and path.stat().st_size == 0
    Store(path).save_answers("m", [("q", Answer("x"))])
    assert Store(path).count("generation") == 1


@pytest.mark.parametrize(
    "name", ["a b.sqlite", "100%.sqlite", "what?.sqlite", "a#b.sqlite", "größe-图.sqlite", ":memory:", "file:x?mode=ro"]
)
def test_any_name_is_a_files_name(tmp_path: Path, name: str) -> None:
    Store(tmp_path / name).save_answers("m", [("q", Answer("x"))])
    assert (tmp_path / name).is_file()
    assert Store.reading(tmp_path / name).count("generation") == 1


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "r.sqlite").symlink_to(tmp_path / "elsewhere" / "real.sqlite")
    Store(tmp_path / "r.sqlite").save_answers("m", [("q", Answer("x"))])
    assert Store.reading(tmp_path / "elsewhere" / "real.sqlite").count("generation") == 1


def test_what_can_be_no_file_is_a_usage_error(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "is a directory"), (tmp_path / "a\0b", "NUL")):
        for opened in (Store, Store.existing, Store.reading, Store.planning):
            with pytest.raises(UsageError, match=said):
                opened(path)
    with pytest.raises(UsageError, match="no such results file"):
        Store.reading(tmp_path / "gone" / "r.sqlite")
    (tmp_path / "file").touch()
    with pytest.raises(HarnessError, match="its folder cannot be made"):
        Store(tmp_path / "file" / "r.sqlite")


def test_planning_makes_no_file(tmp_path: Path) -> None:
    store = Store.planning(tmp_path / "r.sqlite")
    assert store.alignments() == [] and store.evaluations() == [] and not any(tmp_path.iterdir())


def test_reading_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.save_answers("m", [("q", Answer("x"))])
    store.close()
    before = contents(tmp_path)
    reader = Store.reading(tmp_path / "r.sqlite")
    with pytest.raises(HarnessError, match="cannot be written"):
        reader.save_answers("m", [("q", Answer("y"))])
    reader.close()
    assert contents(tmp_path) == before


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users may look into."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_a_reader(folder: Path, work: Callable[[], Any]) -> None:
    """Do ``work`` where nothing in ``folder`` may be written; raises AssertionError where it fails."""
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    before = contents(folder)

    def unprivileged() -> None:
        if os.geteuid() == 0:  # who may do everything is stopped by no mode
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        work()

    code = in_child(unprivileged)
    folder.chmod(0o755)
    assert contents(folder) == before, "nothing is made, nothing is written"
    assert code == 0


@pytest.mark.filterwarnings("ignore:.*older schema")
@pytest.mark.parametrize("version", [1, 3, len(MIGRATIONS)])
def test_a_file_on_a_read_only_share_is_read_whatever_its_version(shared: Path, version: int) -> None:
    path = old_file(shared / "r.sqlite", version)
    as_a_reader(shared, lambda: require_all_rows(Store.reading(path)))


@pytest.mark.filterwarnings("ignore:.*older schema")
def test_a_file_on_a_read_only_share_is_read_with_the_log_of_a_killed_process(shared: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.save_answers("m", [("q", Answer("in the log"))])
    for name in ("r.sqlite", "r.sqlite-wal"):
        (shared / name).write_bytes((tmp_path / name).read_bytes())

    def read() -> None:
        assert Store.reading(shared / "r.sqlite").answers("m", ["q"])["q"].text == "in the log"

    as_a_reader(shared, read)


def test_what_cannot_be_written_says_so(shared: Path) -> None:
    path = old_file(shared / "r.sqlite", len(MIGRATIONS))

    def write() -> None:
        with pytest.raises(HarnessError, match=r"r\.sqlite: it cannot be (written|opened)"):
            Store(path).save_answers("m", [("q", Answer("y"))])

    as_a_reader(shared, write)


def test_an_older_file_that_cannot_be_written_is_said_to_be_migrated_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_file(tmp_path / "r.sqlite", 2)
    monkeypatch.setattr(os, "access", lambda *_: False)
    before = contents(tmp_path)
    with pytest.warns(UserWarning, match=r"older schema \(2 of"):
        store = Store.reading(path)
    require_all_rows(store)
    assert contents(tmp_path) == before


def while_it_seems_damaged(path: Path) -> Store:
    """Opened again while another process copies its log into it: what is read beside the log is no database then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.store.opening._check_ours", seems_damaged_once())
        return Store(path)


def refused_as_a_place_to_write(path: Path) -> None:
    """What a command would write in its place."""
    with pytest.raises(UsageError, match=r"r\.sqlite is an SQLite file, .* not written over"):
        write_text(path, "a report")


def seems_damaged_once() -> Callable[[Connection], None]:
    looks: list[Connection] = []

    def look(db: Connection) -> None:
        looks.append(db)
        if len(looks) == 1:
            raise Damaged(f"{db.path}: it is damaged")

    return look


READ_AND_CLOSE = "from harness.store import Store; s = Store.reading({!r}); s.alignments(); s.db.close()"


@pytest.mark.parametrize(
    "again", [Store, Store.reading, as_it_is, is_database, while_it_seems_damaged, refused_as_a_place_to_write]
)
def test_who_closes_the_store_elsewhere_leaves_the_log_of_a_process_that_opened_it_twice(
    tmp_path: Path, again: Callable[[Path], Any]
) -> None:
    """A second look into the file would give up SQLite's lock, and another process would take itself for the last."""
    first = Store(tmp_path / "r.sqlite")
    first.start_alignment("before", method="dpo", seed=0, panel="", key="k", config={})
    first.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # an empty log, as of a run that has just begun
    second = again(first.path)
    subprocess.run([sys.executable, "-c", READ_AND_CLOSE.format(str(first.path))], check=True, cwd=ROOT)
    assert (tmp_path / "r.sqlite-wal").exists()
    first.start_alignment("after", method="dpo", seed=0, panel="", key="k", config={})
    stores = [second, Store(first.path)] if isinstance(second, Store) else [Store(first.path)]
    assert [[run.name for run in store.alignments()] for store in stores] == [["before", "after"]] * len(stores)
