"""index.txt names, for each kind of report, tests that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import absent

LINES = (Path(__file__).parent / "index.txt").read_text(encoding="utf-8").splitlines()
ROWS = [[cell.strip() for cell in line.split("|")] for line in LINES if not line.startswith("#")]
NUMBERED = (
    "01 04 05 06 13 14 15 16 17 20 22 24 25 28 29 31 32 33 34 37 "
    "38 40 41 43 44 46 48 49 50 52 54 55 57 59 61 63 65 66 69 74"
)


def test_every_numbered_report_is_there_once_with_its_source_what_is_right_and_a_test() -> None:
    assert " ".join(row[0] for row in ROWS if row[0] != "-") == NUMBERED
    assert all(len(row) == 4 and all(row) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2][:60])
def test_its_tests_exist(row: list[str]) -> None:
    assert absent(row[3].split()) == []


def test_a_test_that_does_not_exist_is_found() -> None:
    missing = ["tests/cases/test_index.py::test_none", "tests/none.py::test_none"]
    assert absent([*missing, "tests/cases/test_index.py::test_its_tests_exist"]) == missing
