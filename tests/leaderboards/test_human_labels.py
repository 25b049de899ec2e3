"""People's labels: a number and whose answer it is of, or the row is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DataError
from leaderboards.human_labels import read_human_labels


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"id": "1", "label": 1' + "0" * 400 + "}", "should be a number"),
        ('{"id": "1", "label": "1_0"}', "should be a number"),
        ('{"id": "1", "label": "nan"}', "should be a number"),
        ('{"id": "1", "label": 1e308}', "should be a number"),  # of which no mean can be made
        ('{"id": "1", "label": [1]}', "should be a number"),
        ('{"id": "1", "label": 1, "run": 0}', "should be the name of a run, found 0"),
        ('{"id": "1", "label": 1, "run": false}', "should be the name of a run, found False"),
        ('{"id": "1", "label": 1, "run": []}', "should be the name of a run"),
    ],
)
def test_what_is_no_number_or_no_runs_name_is_refused_with_its_line(row: str, said: str, tmp_path: Path) -> None:
    """A run that is no text is not the same as none: the label would be of another model's answer."""
    file = tmp_path / "labels.jsonl"
    file.write_text('{"id": "0", "label": "yes", "run": null}\n' + row + "\n")
    with pytest.raises(DataError, match=rf"labels\.jsonl line 2: .*{said}"):
        read_human_labels(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,label\n0,1\n1,0,5\n", "line 3: 3 cells, where the header has 2"),  # 0.5 as some countries write it
        ("id,label,label\n0,1,0\n", "line 1: expected the columns id and label, each once"),
        ("id;label\n0;1\n", "line 1: expected the columns id and label, each once; found .'id;label'."),
        ("sample,label\n0,1\n", "line 1: expected the columns id and label"),
    ],
)
def test_a_table_whose_cells_are_not_its_headers_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """Read as it is, "0,5" was the label 0, and of two columns of labels the last one counted."""
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=rf"labels\.csv {said}"):
        read_human_labels(file)
