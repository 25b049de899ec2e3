from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.util.files import read_json, read_object, replacing, write_json, write_text


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
        (b"\xff\xfe", "not valid JSON"),
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
