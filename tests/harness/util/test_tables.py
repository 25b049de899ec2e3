"""Tables lose no character of a figure, whatever the console's width."""

from __future__ import annotations

import io
import re

import pytest
from rich.table import Table
from rich.text import Text

from harness.util.console import OF_A_FILE, Console

FIGURES = ("3.11–3.32", "+0.12**", "12.34 ±0.05", "-10.5*", "1648/1648")


def board(**column: object) -> Table:
    table = Table(title="Title", caption="Caption", box=None)
    table.add_column("Method")
    for number in range(len(FIGURES)):
        table.add_column(f"M{number}", justify="right", **column)  # type: ignore[arg-type]
    table.add_row("a-method-of-a-long-name", *map(Text, FIGURES))
    return table


def shown(table: Table, width: int | None) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [1, 10, 40, 60, 80, None])
@pytest.mark.parametrize("column", [{}, {"no_wrap": True}, {"overflow": "crop"}])
def test_no_figure_and_no_part_of_a_name_is_cut(width: int | None, column: dict[str, object]) -> None:
    text = shown(board(**column), width)
    for figure in FIGURES:
        assert len(re.findall(rf"(?<!\S){re.escape(figure)}(?!\S)", text)) == 1, (figure, text)
    assert "…" not in text and text.count("Title") == text.count("Caption") == 1
    if width in (40, 60):
        assert text.count("Method") > 1 and max(map(len, text.splitlines())) <= width
    if width is not None and width >= 80:
        assert text.count("Method") == 1
    letters = re.sub(r"Title|Caption|Method|\d\S*|[+-]\d\S*|±\S*|M\d|\s", "", text)
    assert letters == "a-method-of-a-long-name" * text.count("Method")


def test_columns_of_words_are_folded_and_keep_their_figures_beside_them() -> None:
    table = Table(box=None)
    for name in ("Run", "Metric"):
        table.add_column(name)
    table.add_column("Value", justify="right")
    table.add_row("a" * 30, "Informative ↑", "12.3456789")
    lines = shown(table, 40).splitlines()
    assert "12.3456789" in lines[1] and max(map(len, lines)) <= 40
    assert sum(line.count("a") for line in lines[1:]) == 31  # with that of Informative


def test_what_no_terminal_shows_is_as_wide_as_a_file_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert Console(file=io.StringIO()).width == OF_A_FILE
    assert Console(file=io.StringIO(), width=70).width == 70
    console = Console(file=io.StringIO())
    console.size = (50, 20)  # type: ignore[assignment]
    assert (console.width, console.height) == (50, 20)
    monkeypatch.setenv("COLUMNS", "90")
    assert Console(file=io.StringIO()).width == 90


def test_a_line_longer_than_the_console_is_wide_is_not_cut() -> None:
    console = Console(file=io.StringIO(), width=10)
    console.print("x" * 25, no_wrap=True, overflow="ignore")
    assert isinstance(console.file, io.StringIO) and console.file.getvalue() == "x" * 25 + "\n"
