"""One reader of yes and no: the first word, and where it is asked for, "There is"."""

from __future__ import annotations

import pytest

from benchmarks.common.yes_no import read_yes_no


@pytest.mark.parametrize(
    ("answer", "first_word", "sentence"),
    [
        ("Yes.", "yes", "yes"),
        (" **no**, there is none", "no", "no"),
        ("YES!", "yes", "yes"),
        ("Nothing", None, None),
        ("There is a dog.", None, "yes"),
        ("There isn’t one", None, "no"),
        ("There are no dogs", None, "no"),
        ("I think yes", None, None),
        ("", None, None),
        ("Yes\0", None, None),
        ("\x1b[31mNo", None, None),
        ("\tYes\r\nIt stands there.", "yes", "yes"),
    ],
)
def test_yes_and_no(answer: str, first_word: str | None, sentence: str | None) -> None:
    assert (read_yes_no(answer), read_yes_no(answer, sentences=True)) == (first_word, sentence)
