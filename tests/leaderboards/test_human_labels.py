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
