"""What stands where something is to be written is one message that names it, whatever command writes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import cli
from harness.errors import HarnessError
from harness.store import Store
from harness.util.files import making, replacing
from harness.util.places import make_folder, of_the_disk
from tests.leaderboards.fakes import example
from workflows.export import export

POPE = '{"question_id": 1, "image": "a.jpg", "text": "Is there a dog?", "label": "yes"}\n'
IN_THE_WAY = {
    "dir": "is a directory, and a file is needed there",
    "file/x": "is a file, and a directory is needed there",
    "file/x/y": "is a file, and a directory is needed there",
    "loop": "leads to itself|Symlink loop|cannot be written",
    "loop/x": "leads to itself|Symlink loop|cannot be written",
    "n" * 300: "shorter name",
    "a\0b": "null",
    "/proc/none": "cannot be written|Make it yours",
}
"""Places where no file can be, and what is said of each (Python's own words differ with its version)."""


def write(path: Path) -> None:
    with replacing(path) as part:
        part.write_text("x")


def fill(path: Path) -> None:
    with making(path / "made") as part:
        (part / "a").write_text("x")


def obstacles(root: Path) -> Path:
    (root / "dir").mkdir()
    (root / "file").write_text("mine")
    (root / "loop").symlink_to(root / "loop")
    return root


@pytest.mark.parametrize("place", IN_THE_WAY)
def test_a_place_where_nothing_can_be_made_is_named_and_left_as_it_is(place: str, tmp_path: Path) -> None:
    path = obstacles(tmp_path) / place
    makers: list[Callable[[Path], object]] = [write] if place == "dir" else [write, fill, make_folder]
    for make in makers:
        with pytest.raises(HarnessError, match=IN_THE_WAY[place]):
            make(path)
    assert sorted(os.listdir(tmp_path)) == ["dir", "file", "loop"] and (tmp_path / "file").read_text() == "mine"


COMMANDS = {
    "prompts": ["prompts", "pope", "--data-dir", "{data}", "--out"],
    "leaderboard": ["leaderboard", "--db", "{db}", "--format", "markdown", "--out"],
    "export": ["export", "--db", "{db}", "--table", "generation", "--out"],
    "backup": ["db", "backup", "--db", "{db}"],
    "merge": ["db", "merge", "{db}", "--into"],
}


def test_a_report_that_could_not_be_written_is_refused_before_the_first_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    words = ["ablate", "--db", str(tmp_path / "r.sqlite"), "--out", str(tmp_path / "file" / "x")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2 and "file is a file, and a directory is needed there" in " ".join(
        result.output.split()
    )
    assert not (tmp_path / "r.sqlite").exists()


def test_a_link_to_itself_is_no_file_to_merge_into(tmp_path: Path) -> None:
    one, two = (str(example(obstacles_in).path) for obstacles_in in (tmp_path / "a", tmp_path / "b"))
    result = CliRunner().invoke(cli, ["db", "merge", one, two, "--into", str(obstacles(tmp_path) / "loop")])
    assert result.exit_code in (1, 2) and isinstance(result.exception, SystemExit), result.exception


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_folder_whose_name_is_no_utf_8_is_written_to(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "a\udcff"
    assert export(Store.reading(example(tmp_path).path), folder, kind, ["verdict"])["verdict"] > 0
    assert (folder / f"verdict.{kind}").stat().st_size > 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_the_same_of_a_file_in_the_way(command: str, tmp_path: Path) -> None:
    obstacles(tmp_path)
    for split in ("random", "popular", "adversarial"):
        (tmp_path / f"coco_pope_{split}.json").write_text(POPE)
    given = {"db": str(example(tmp_path).path), "data": str(tmp_path)}
    words = [word.format(**given) for word in COMMANDS[command]]
    result = CliRunner().invoke(cli, [*words, str(tmp_path / "file" / "x")])
    assert result.exit_code == 2, result.output
    assert f"{tmp_path}/file is a file, and a directory is needed there: move it" in " ".join(result.output.split())


def test_an_error_of_the_disk_says_what_to_do_and_another_is_none() -> None:
    said = str(of_the_disk(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.txt")))
    assert said.startswith("a.txt: No space left on device. Free the disk, then run the same command again")
    wrapped = RuntimeError("Error while serializing: I/O error: Read-only file system (os error 30)")
    assert str(of_the_disk(wrapped)).startswith("Read-only file system. Make the disk writable")
    assert of_the_disk(BrokenPipeError(errno.EPIPE, "x")) is None
