from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.util import files
from harness.util.files import Taken, making, read_json, read_object, replacing, write_json, write_text


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.txt"
    write_text(file, "old")
    assert stat.S_IMODE(file.stat().st_mode) & 0o600 == 0o600
    file.chmod(0o640)
    write_text(file, "new")
    assert file.read_text() == "new" and stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(file.parent) == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with pytest.raises(OSError, match="disk full"), replacing(file) as part:
        part.write_text("ne")
        raise OSError("disk full")
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


KILLED = """
import os, sys
from pathlib import Path
from harness.util.files import Taken, making, replacing
with replacing(Path(sys.argv[1]) / "a.txt") as part, making(Path(sys.argv[1]) / "b") as made:
    part.write_text("half")
    (made / "c").write_text("half")
    os._exit(9)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_one_and_what_is_being_written_stays(tmp_path: Path) -> None:
    with replacing(tmp_path / "mine.txt") as part:
        part.write_text("mine")
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=20, check=False)
        assert len(os.listdir(tmp_path)) == 3
        left = next(entry.name for entry in tmp_path.glob(".a.txt.*.part"))
        for suffix in ("-wal", "-shm", "-journal"):
            (tmp_path / (left + suffix)).touch()
        files.sweep.cache_clear()  # as in another process
        write_text(tmp_path / "a.txt", "whole")
        assert sorted(os.listdir(tmp_path)) == sorted([part.name, "a.txt"])
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "mine.txt"] and (tmp_path / "mine.txt").read_text() == "mine"


def test_a_folder_appears_whole_or_not_at_all_and_the_first_stays(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="half"), making(tmp_path / "a"):
        raise ValueError("half")
    assert not os.listdir(tmp_path)
    with pytest.raises(Taken, match="something in it already"), making(tmp_path / "a") as made:
        (made / "by").write_text("one")
        with making(tmp_path / "a") as other:
            (other / "by").write_text("two")
    assert (tmp_path / "a" / "by").read_text() == "two" and os.listdir(tmp_path) == ["a"]


def test_a_link_is_followed_and_what_is_no_file_is_written_to_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "link").symlink_to("a")
    write_text(tmp_path / "link", "new")
    write_text(Path("/dev/null"), "gone")
    assert (tmp_path / "a").read_text() == "new" and (tmp_path / "link").is_symlink()
    assert not Path("/dev/null").is_file()


def test_a_text_with_a_lone_surrogate_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x\ud800")
    assert (tmp_path / "a").read_text() == "x\\ud800"


def test_json_is_read_back_and_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1, Path("b")]})
    assert read_object(tmp_path / "a.json") == {"é": [1, "b"]}
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "b.json") == [1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1,\n oops}', "line 2, column 2"),
        (b"\xff", "not valid JSON"),
        ('{"a": 1}'.encode("utf-16"), "it is in UTF-16"),
        (b"[" * 100_000, "not valid JSON"),
        (b"1" * 10_000, "not valid JSON"),
        (b"[1]", "expected a JSON object, found list"),
    ],
)
def test_what_is_no_json_object_is_named_with_its_file(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        read_object(file)
    assert str(file) in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot read .*none\.json: No such file"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize("swept", ["before it is opened", "before it is locked"])
def test_a_file_that_another_process_sweeps_at_once_is_made_again(
    swept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is locked it looks like what a killed process left."""
    made: list[Path] = []
    make, opened = files._temporary_file, os.open

    def removed_at_first(prefix: str, suffix: str, folder: Path) -> str:
        made.append(Path(make(prefix, suffix, folder)))
        if len(made) == 1 and swept == "before it is opened":
            made[0].unlink()
        return str(made[-1])

    def removed_then(path: Path, flags: int, *mode: int) -> int:
        lock = opened(path, flags, *mode)
        if len(made) == 1 and path == made[0]:
            made[0].unlink()
        return lock

    monkeypatch.setattr(files, "_temporary_file", removed_at_first)
    if swept == "before it is locked":
        monkeypatch.setattr(os, "open", removed_then)
    with replacing(tmp_path / "kept.txt") as part:
        part.write_text("whole")
    assert (len(made), (tmp_path / "kept.txt").read_text()) == (2, "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
