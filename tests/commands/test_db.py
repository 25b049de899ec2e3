"""`db`: a damaged file is named with the rescue, a copy is whole or not there, and looking changes nothing."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import cli
from harness.store import Store
from tests.harness.store.test_rescue import filled, pages_of, spoil


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == code, result.output
    gc.collect()  # what the command had open is closed as at the end of its process
    return result


def test_a_damaged_file_is_found_and_what_can_be_read_is_saved(tmp_path: Path) -> None:
    path, saved = filled(tmp_path / "r.sqlite"), tmp_path / "saved.sqlite"
    spoil(path, pages_of(path, "generation")[4:5])
    checked = run("db", "check", "--db", str(path), code=1)
    assert "is damaged" in checked.output and "db rescue FILE" in checked.output.replace("\n", " ")
    facts = json.loads(run("db", "rescue", str(saved), "--db", str(path), "--json", code=3).stdout)
    assert facts["generation"] > 2900 and facts["verdict"] == 2000
    assert facts["unreadable"]["generation"].startswith("1 stretch")
    assert json.loads(run("db", "check", "--db", str(saved), "--json").stdout)["state"] == "sound"
    assert "exists already" in run("db", "rescue", str(saved), "--db", str(path), code=2).output


def test_of_a_file_without_its_first_page_a_check_names_the_rescue_and_that_says_what_it_did(tmp_path: Path) -> None:
    path, saved = filled(tmp_path / "r.sqlite"), tmp_path / "saved.sqlite"
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])
    checked = run("db", "check", "--db", str(path), code=1).output.replace("\n", " ")
    assert "its first page is lost" in checked and "db rescue FILE" in checked
    facts = json.loads(run("db", "rescue", str(saved), "--db", str(path), "--json", code=3).stdout)
    assert (facts["generation"], facts["verdict"], facts["unreadable"]) == (3000, 2000, {})
    assert "deleted" in facts["first page"]


def test_of_a_sound_file_the_rescue_has_everything(tmp_path: Path) -> None:
    path, saved = filled(tmp_path / "r.sqlite"), tmp_path / "saved.sqlite"
    facts = json.loads(run("db", "rescue", str(saved), "--db", str(path), "--json").stdout)
    assert facts["generation"] == 3000 and facts["unreadable"] == {}


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path / "r.sqlite")
    (tmp_path / "file").touch()
    output = run("db", "backup", str(tmp_path / "file" / "copy.sqlite"), "--db", str(path), code=2).output
    assert "file is a file, and a directory is needed there" in " ".join(output.split())
    spoil(path, [1])
    run("db", "backup", str(tmp_path / "copy.sqlite"), "--db", str(path), code=1)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "r.sqlite"]


@pytest.mark.parametrize("words", [["status"], ["db", "info"], ["list", "runs"], ["leaderboard"]])
def test_what_only_looks_makes_no_file(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "r.sqlite"
    run(*words, "--db", str(path), code=0 if words == ["status"] else 2)
    assert not any(tmp_path.iterdir())
    Store(path).close()
    before = path.read_bytes()
    run(*words, "--db", str(path))
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["r.sqlite"]


def test_a_backup_of_a_damaged_file_is_refused_and_names_the_rescue(tmp_path: Path) -> None:
    path = filled(tmp_path / "r.sqlite")
    spoil(path, pages_of(path, "generation")[4:5])
    output = run("db", "backup", str(tmp_path / "copy.sqlite"), "--db", str(path), code=1).output.replace("\n", " ")
    assert "r.sqlite: it is damaged" in output and "db rescue FILE" in output
    assert [file.name for file in tmp_path.iterdir()] == ["r.sqlite"]


def test_of_a_file_that_was_cut_is_said_what_is_missing(tmp_path: Path) -> None:
    path, saved = filled(tmp_path / "r.sqlite"), tmp_path / "saved.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[: 4096 * 60 + 1000])
    facts = json.loads(run("db", "rescue", str(saved), "--db", str(path), "--json", code=3).stdout)
    assert facts["missing"].startswith(f"{len(content) // 4096 - 61} pages at the end of ")
    assert facts["generation"] > 100
    assert facts["unreadable"]["verdict"] == "1 stretches", "how many rows they held is not known"
