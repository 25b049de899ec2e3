"""Progress bars of rich, on stderr or in a notebook: what `progress=True` means."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from harness.protocols.progress import Progress, Watcher, silent
from harness.util.log import Verbosity, verbosity

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import Task, TaskID


SOON, EVERY = 2.0, 10.0
"""Seconds before the first line of a step, and between two, where stderr is no terminal."""


@dataclass
class Begun:
    """A step under way: when it was first heard of and how much was done then (a resumed one begins in the middle)."""

    at: float
    done: int
    written: float = float("-inf")
    shown: bool = False

    def speed(self, now: float, done: int) -> float:
        """Things done a second since then; 0 where nothing can be said."""
        return (done - self.done) / (now - self.at) if now > self.at else 0.0


class Lines:
    """Bars for a log file: lines of a step that takes longer than two seconds, now and then and when it is done.

    ``write`` gets each line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._begun: dict[str, Begun] = {}

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        begun = self._begun.setdefault(step, Begun(now, done))
        finished = done >= total
        due = now - begun.written >= EVERY or finished
        if due and (now - begun.at >= SOON or done == 0 or (finished and begun.shown)):
            begun.written, begun.shown = now, True
            speed = begun.speed(now, done)
            left = "" if finished or not speed else f"{timedelta(seconds=round((total - done) / speed))} left"
            words = (f"{step}: {done} of {total}", note, speed_text(speed), left)
            self._write("  ".join(filter(None, words)))
        if finished:
            self._begun.pop(step)


class ConsoleLines(Lines):
    """Lines on ``console``."""

    def __init__(self, console: Console) -> None:
        super().__init__(lambda text: console.out(text, highlight=False))
        self.console = console


def speed_text(speed: float) -> str:
    """Things a second, or seconds a thing where there are fewer; nothing where there are none."""
    if speed <= 0:
        return ""
    return f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"


class Bars:
    """A bar for each step under way: a ``harness.protocols.progress.Progress`` that draws."""

    def __init__(self, progress: RichProgress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total, completed=done, note="")
        self._progress.update(self._tasks[step], completed=done, total=total, note=note)
        if done >= total:  # what is done makes room for what is not
            self._progress.remove_task(self._tasks.pop(step))

    @property
    def console(self) -> Console:
        """Where a line stands above the bars."""
        return self._progress.console


@contextlib.contextmanager
def bars(console: Console | None = None) -> Iterator[Bars | ConsoleLines]:
    """Bars on ``console`` (default: stderr; in a notebook the cell's output), lines where it is no terminal.

    With `--quiet` nothing is shown.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column
    from rich.text import Text

    from harness.util.console import Console

    class Speed(ProgressColumn):
        """Things done a second."""

        def render(self, task: Task) -> Text:
            return Text(speed_text(task.speed or 0.0), "dim")

    class Note(ProgressColumn):
        """The only column that a narrow terminal cuts."""

        def render(self, task: Task) -> Text:
            return Text(task.fields["note"], "dim", no_wrap=True, overflow="ellipsis")

    quiet = verbosity() is Verbosity.QUIET
    shown = Console(stderr=True, quiet=quiet) if console is None else console
    if quiet or not (shown.is_terminal or shown.is_jupyter):
        yield ConsoleLines(shown)
        return
    bar = BarColumn(40 if shown.width >= 140 else 12)
    counts = (MofNCompleteColumn(), TimeRemainingColumn(), Speed(), Note(Column(no_wrap=False)))
    with RichProgress(TextColumn("{task.description}", markup=False), bar, *counts, console=shown) as progress:
        yield Bars(progress)


@contextlib.contextmanager
def shown(progress: bool | Watcher) -> Iterator[Progress]:
    """The Progress that ``progress`` stands for: bars, none, or the caller's own."""
    if progress is True:
        with bars() as drawn:
            yield drawn
    elif progress is False:
        yield silent
    else:
        own = progress
        yield lambda step, done, total, note="": own(step, done, total)
