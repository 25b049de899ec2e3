"""Progress bars of rich, on stderr or in a notebook: what `progress=True` means."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.protocols.progress import Progress, silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


SOON, EVERY = 2.0, 10.0
"""Seconds before the first line of a step, and between two, where stderr is no terminal."""


class Lines:
    """Bars for a log file: lines of a step that takes longer than two seconds, now and then and when it is done."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begun: dict[str, float] = {}
        self._written: dict[str, float] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        begun = self._begun.setdefault(step, now)
        finished = done >= total
        due = now - self._written.get(step, -EVERY) >= EVERY or finished
        if due and (now - begun >= SOON or done == 0):
            self._written[step] = now
            self.console.out(f"{step}: {done} of {total}", highlight=False)
        if finished:
            self._begun.pop(step)
            self._written.pop(step, None)


class Bars:
    """A bar for each step under way: a ``harness.protocols.progress.Progress`` that draws."""

    def __init__(self, progress: RichProgress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        from rich.markup import escape

        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(escape(step), total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)
        if done >= total:  # what is done makes room for what is not
            self._progress.remove_task(self._tasks.pop(step))

    @property
    def console(self) -> Console:
        """Where a line stands above the bars."""
        return self._progress.console


@contextlib.contextmanager
def bars(console: Console | None = None) -> Iterator[Bars | Lines]:
    """Bars on ``console`` (default: stderr; in a notebook the cell's output), lines where it is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    shown = Console(stderr=True, emoji=False) if console is None else console
    if not (shown.is_terminal or shown.is_jupyter):
        yield Lines(shown)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=shown) as progress:
        yield Bars(progress)


@contextlib.contextmanager
def shown(progress: bool | Progress) -> Iterator[Progress]:
    """The Progress that ``progress`` stands for: bars, none, or the caller's own."""
    if progress is True:
        with bars() as drawn:
            yield drawn
    else:
        yield silent if progress is False else progress
