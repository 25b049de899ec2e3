"""Of a damaged results file every row that can be read is saved, and what cannot is counted."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.protocols.benchmark import Verdict
from harness.protocols.model import Answer
from harness.store import Store
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


def test_a_file_whose_tables_are_not_known_any_more_is_no_rescue(tmp_path: Path) -> None:
    path = filled(tmp_path / "r.sqlite")
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xa5" * 3996
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=r"r\.sqlite"):
        rescue(path, tmp_path / "saved.sqlite")
    assert not (tmp_path / "saved.sqlite").exists()
