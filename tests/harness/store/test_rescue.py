"""Of a damaged results file every row that can be read is saved, and what cannot is counted."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from harness.errors import HarnessError, UsageError
from harness.protocols.benchmark import Verdict
from harness.protocols.model import Answer
from harness.store import Store
from harness.store.migrations import MIGRATIONS
from harness.store.pages import Pages
from harness.store.rescue import rescue
from tests.harness.store.old_files import old_file, require_all_rows
from tests.harness.store.test_store import evaluation

ANSWERS = {f"{random.Random(n).getrandbits(128):032x}": f"answer {n} " + "word " * 20 for n in range(3000)}


def filled(path: Path) -> Path:
    path.write_bytes(_filled())
    return path


@cache
def _filled() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return _fill(Path(folder) / "r.sqlite").read_bytes()


def _fill(path: Path) -> Path:
    store = Store(path)
    store.save_answers("model", [(key, Answer(text)) for key, text in ANSWERS.items()])
    verdicts = [(f"s{n}", 0, "g", "yes", Verdict({"correct": 1.0})) for n in range(2000)]
    store.save_evaluation(replace(evaluation(), n=2000, n_scored=2000), verdicts)
    store.vacuum()
    store.close()
    return path


def pages_of(path: Path, table: str) -> list[int]:
    """The leaf pages of a table, in the order of its keys."""
    db = sqlite3.connect(path)
    try:
        query = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path"
        return [row[0] for row in db.execute(query, [table])]
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no dbstat to find a table's pages with")
    finally:
        db.close()


def spoil(path: Path, pages: list[int]) -> None:
    content = bytearray(path.read_bytes())
    for page in pages:
        content[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    path.write_bytes(content)


@pytest.mark.parametrize("chosen", [[0], [-1], [7], [7, 8], [3, 20, 40], [*range(0, 16, 2)]])
def test_what_lies_around_bad_pages_is_saved(tmp_path: Path, chosen: list[int]) -> None:
    path = filled(tmp_path / "r.sqlite")
    leaves = pages_of(path, "generation")
    spoil(path, [leaves[at] for at in chosen])
    found = rescue(path, tmp_path / "saved.sqlite")
    saved = Store(tmp_path / "saved.sqlite")
    answers = saved.answers("model", ANSWERS)
    assert all(answers[key].text == ANSWERS[key] for key in answers), "nothing is made up"
    each = len(ANSWERS) / len(leaves)
    assert len(ANSWERS) - len(answers) <= (len(chosen) + 1) * each * 1.5, "no more than the bad pages held is lost"
    assert found.rows["generation"] == len(answers)
    stretches = sum(after - before > 1 for before, after in zip([-9, *chosen], chosen, strict=False))
    assert found.unreadable == {"generation": stretches} and found.lost["generation"] >= stretches
    assert saved.count("verdict") == 2000 and not saved.faults()


def test_a_sound_file_is_copied_whole_from_any_version(tmp_path: Path) -> None:
    for version in (1, 7):
        found = rescue(old_file(tmp_path / f"{version}.sqlite", version), tmp_path / f"saved{version}.sqlite")
        require_all_rows(Store(tmp_path / f"saved{version}.sqlite"))
        assert found.unreadable == {} and found.rows["train_log"] == 1


def test_verdicts_whose_evaluation_is_lost_are_set_aside(tmp_path: Path) -> None:
    path = filled(tmp_path / "r.sqlite")
    spoil(path, pages_of(path, "evaluation") or [root(path, "evaluation")])
    found = rescue(path, tmp_path / "saved.sqlite")
    saved = Store(tmp_path / "saved.sqlite")
    assert found.orphans == {"verdict": 2000} and saved.count("orphan_verdict") == 2000
    assert saved.count("verdict") == 0 and saved.count("evaluation") == 0 and not saved.faults()


def test_an_evaluation_that_lost_verdicts_is_set_aside_with_those_that_are_left(tmp_path: Path) -> None:
    path = filled(tmp_path / "r.sqlite")
    spoil(path, pages_of(path, "verdict")[3:5])
    found = rescue(path, tmp_path / "saved.sqlite")
    saved = Store(tmp_path / "saved.sqlite")
    assert saved.evaluations() == [], "its figures would be of the verdicts that are left"
    assert found.orphans["evaluation"] == 1 and 0 < found.orphans["verdict"] < 2000


def test_of_a_file_that_was_cut_what_lies_before_the_cut_is_saved(tmp_path: Path) -> None:
    path = filled(tmp_path / "r.sqlite")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    found = rescue(path, tmp_path / "saved.sqlite")
    saved = Store(tmp_path / "saved.sqlite")
    answers = saved.answers("model", ANSWERS)
    assert 100 < len(answers) == found.rows["generation"] and found.unreadable and not saved.faults()
    assert all(answers[key].text == ANSWERS[key] for key in answers) and saved.evaluations() == []


def grown(path: Path) -> dict[str, str]:
    """A file whose tables grew together, so that pages lie where they came, not in the order of keys; its answers,
    20 of them longer than a page."""
    store, answers = Store(path), dict[str, str]()
    for block in range(4):
        part = {
            f"{random.Random(n).getrandbits(128):032x}": f"{n} " + "word " * (2000 if n % 50 == 0 else 40)
            for n in range(250)
        }
        part = {f"{key[:8]}-{block}{key[8:]}": text for key, text in part.items()}
        store.save_answers("model", [(key, Answer(text)) for key, text in part.items()])
        verdicts = [(f"s{n}", 0, "g", "yes", Verdict({"correct": 1.0})) for n in range(300)]
        store.save_evaluation(evaluation(key=f"k{block}"), verdicts)
        answers |= part
    store.close()
    return answers


def cells_before(path: Path, table: str, page: int) -> int:
    """How many rows of a table begin on its pages up to ``page``, as SQLite counts them."""
    db = sqlite3.connect(path)
    try:
        query = "SELECT coalesce(sum(ncell), 0) FROM dbstat WHERE name = ? AND pageno <= ? AND pagetype != 'overflow'"
        return int(db.execute(query, [table, page]).fetchone()[0])
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no dbstat to count a page's rows with")
    finally:
        db.close()


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_of_a_file_that_was_cut_every_row_of_every_page_is_saved(tmp_path: Path, share: float) -> None:
    path = tmp_path / "r.sqlite"
    written = grown(path)
    content = path.read_bytes()
    pages = len(content) // 4096
    kept = int(pages * share)
    expected = {table: cells_before(path, table, kept) for table in ("verdict", "generation")}
    path.write_bytes(content[: kept * 4096])
    found = rescue(path, tmp_path / "saved.sqlite")
    saved = Store(tmp_path / "saved.sqlite")
    answers = saved.answers("model", written)
    assert all(answers[key].text == written[key] for key in answers), "nothing is made up"
    assert found.rows["verdict"] == expected["verdict"] > 0
    # Of the 20 long ones the end may lie on a page that is gone.
    assert expected["generation"] - 20 <= found.rows["generation"] == len(answers) <= expected["generation"]
    assert any(len(answers[key].text or "") > 4096 for key in answers)
    assert found.missing == pages - kept and found.unreadable and not saved.faults()


def test_what_was_deleted_does_not_come_back_with_a_rescue(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    grown(path)
    store = Store(path)
    rest = store.save_evaluation(
        evaluation("other", "other"), [(f"s{n}", 0, "g", "yes", Verdict({"correct": 0.0})) for n in range(300)]
    )
    store.connection.execute("PRAGMA secure_delete = OFF")  # as SQLite is built on most machines
    for old in store.evaluations(run="base")[::-1]:
        store.write("DELETE FROM evaluation WHERE id = ?", [(old.id,)])
    store.close()
    content = path.read_bytes()
    with Pages(path) as pages:
        assert pages.freed, "pages that hold deleted rows"
        listing, last = int.from_bytes(content[32:36]), pages.present
        assert min(pages.freed) < listing
    for kept in (last - 1, listing - 1):  # the list of what was deleted is whole, and is gone
        path.write_bytes(content[: kept * 4096])
        found = rescue(path, tmp_path / f"saved{kept}.sqlite")
        assert "verdict" in found.unreadable
        db = sqlite3.connect(tmp_path / f"saved{kept}.sqlite")
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name LIKE '%verdict'")]
        saved = {number for table in tables for (number,) in db.execute(f"SELECT evaluation FROM {table}")}
        db.close()
        assert saved <= {rest.id}


def root(path: Path, table: str) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()[0])
    finally:
        db.close()


def test_a_damaged_file_is_said_to_be_and_names_the_rescue(tmp_path: Path) -> None:
    path = filled(tmp_path / "r.sqlite")
    spoil(path, pages_of(path, "generation")[3:6])
    store = Store.reading(path)
    with pytest.raises(HarnessError, match=r"r\.sqlite: it is damaged .*`db rescue FILE`"):
        store.answers("model", ANSWERS)
    assert store.faults()


@pytest.mark.parametrize("torn", [(0, 100), (0, 512), (100, 4096), (0, 4096)], ids=str)
@pytest.mark.parametrize("byte", [b"\0", b"\xa5"], ids=["zeros", "noise"])
def test_without_its_first_page_every_row_of_a_file_is_saved(
    tmp_path: Path, torn: tuple[int, int], byte: bytes
) -> None:
    path = filled(tmp_path / "r.sqlite")
    content = bytearray(path.read_bytes())
    content[slice(*torn)] = byte * (torn[1] - torn[0])
    path.write_bytes(content)
    found = rescue(path, tmp_path / "new" / "saved.sqlite")
    saved = Store(tmp_path / "new" / "saved.sqlite")
    assert found.remade and not found.unreadable and not found.orphans and not saved.faults()
    assert {key: answer.text for key, answer in saved.answers("model", ANSWERS).items()} == ANSWERS
    assert len(saved.verdicts(saved.evaluations()[0].id)) == 2000 and path.read_bytes() == bytes(content)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_without_its_first_page_a_file_of_every_earlier_schema_is_saved(tmp_path: Path, version: int) -> None:
    path = old_file(tmp_path / "r.sqlite", version)
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])
    assert rescue(path, tmp_path / "saved.sqlite").remade
    require_all_rows(Store(tmp_path / "saved.sqlite"))


def test_probes_that_no_evaluation_holds_are_saved_without_the_first_page(tmp_path: Path) -> None:
    path = filled(tmp_path / "r.sqlite")
    store = Store(path)
    store.save_probe("k", {"key": "k", "state": "ok"}, complete=True)
    store.close()
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])
    assert rescue(path, tmp_path / "saved.sqlite").rows["probe"] == 1
    assert Store(tmp_path / "saved.sqlite").probe("k") == ({"key": "k", "state": "ok"}, True)


def test_what_a_log_holds_is_saved_without_the_first_page(tmp_path: Path) -> None:
    """A process was killed before its log was taken into the file, and the file's first page is lost."""
    path = filled(tmp_path / "r.sqlite")
    store = Store(path)
    store.save_answers("model", [("late", Answer("in the log"))])
    late = tmp_path / "late.sqlite"
    for end in ("", "-wal"):
        content = Path(f"{path}{end}").read_bytes()
        Path(f"{late}{end}").write_bytes(content if end else bytes(4096) + content[4096:])
    store.close()
    rescue(late, tmp_path / "saved.sqlite")
    assert Store(tmp_path / "saved.sqlite").answers("model", ["late"])["late"].text == "in the log"


def test_rows_deleted_before_the_first_page_was_lost_do_not_stand_for_a_whole_evaluation(tmp_path: Path) -> None:
    """Of an evaluation that was removed only pages are left that nothing leads to."""
    path = tmp_path / "r.sqlite"
    grown(path)
    store = Store(path)
    store.db.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite write zeros over what is deleted
    with store.transaction() as db:
        db.execute("DELETE FROM evaluation WHERE key IN ('k1', 'k2', 'k3')")
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])
    found = rescue(path, tmp_path / "saved.sqlite")
    saved = Store(tmp_path / "saved.sqlite")
    assert [each.key for each in saved.evaluations()] == ["k0"] and found.rows["verdict"] == 300


@pytest.mark.parametrize("content", [b"", b"\xa5" * 40960, bytes(40960)], ids=["empty", "noise", "zeros"])
def test_what_holds_no_page_of_ours_is_no_rescue(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.sqlite"
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=r"r\.sqlite: no row of a table .*Restore a backup") as raised:
        rescue(path, tmp_path / "saved.sqlite")
    assert "db rescue" not in str(raised.value), "that is what was asked for"
    assert not (tmp_path / "saved.sqlite").exists()


@pytest.mark.parametrize("torn", [0, 4096])
def test_a_rescue_into_a_folder_that_is_a_file_is_one_error(tmp_path: Path, torn: int) -> None:
    path = old_file(tmp_path / "r.sqlite", len(MIGRATIONS))
    path.write_bytes(bytes(torn) + path.read_bytes()[torn:])
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="/file is a file, and a directory is needed there"):
        rescue(path, tmp_path / "file" / "saved.sqlite")


def test_a_check_of_a_file_without_its_first_page_names_the_rescue(tmp_path: Path) -> None:
    path = filled(tmp_path / "r.sqlite")
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])
    with pytest.raises(HarnessError, match=r"first page .*`db rescue FILE`"):
        Store.reading(path)
    with pytest.raises(HarnessError, match=r"first page .*`db rescue FILE`"):
        Store(path)
