"""JSON lines: what is read, and what every error names."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DataError
from harness.util.jsonl import iter_jsonl, iter_values, write_jsonl


def test_lines_come_with_their_numbers_blank_ones_and_byte_order_marks_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n\xef\xbb\xbf{"a": "x\xe2\x80\xa8y"}')
    assert list(iter_jsonl(path)) == [(1, {"a": 1}), (4, {"a": "x\u2028y"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", r"a\.jsonl line 2: not valid JSON .*; expected a row\."),
        (
            b'{"a": "cut off\n',
            r"line 2: not valid JSON \(Unterminated string starting at, column 7\); expected a row\.",
        ),
        (b"[1]", r"a\.jsonl line 2: expected a row, found list\."),
        (b'"\xff"', r"a\.jsonl line 2: not valid JSON"),
        (b"[" * 100_000, r"a\.jsonl line 2: not valid JSON"),
    ],
)
def test_an_error_names_file_and_line_and_what_was_expected(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n" + line)
    with pytest.raises(DataError, match=message):
        list(iter_jsonl(path, "a row"))


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot read .*none\.jsonl: No such file"):
        list(iter_values(tmp_path / "none.jsonl"))


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [{"text": "é\n\u2028", "n": None}, {}]
    write_jsonl(tmp_path / "b.jsonl", rows)
    assert [row for _, row in iter_jsonl(tmp_path / "b.jsonl")] == rows
