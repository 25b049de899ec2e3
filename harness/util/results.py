"""Stdout is a command's results and nothing else: what other code prints meanwhile goes to stderr."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO, TypeVar, cast

Work = TypeVar("Work", bound=Callable[..., Any])


class _Results:
    """The stream of results: stdout, also while sys.stdout is stderr for everybody else (``only_results``)."""

    def __init__(self) -> None:
        self.kept: TextIO | None = None

    @property
    def stream(self) -> TextIO:
        return sys.stdout if self.kept is None else self.kept

    def write(self, text: str) -> int:
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


_results = _Results()
RESULTS = cast(TextIO, _results)


@contextlib.contextmanager
def only_results() -> Iterator[None]:
    """Within it what is printed by a plug-in or a library goes to stderr, so that `--json` stays JSON."""
    before = _results.kept
    _results.kept = _results.stream
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _results.kept = before


def with_results_alone(work: Work) -> Work:
    """A command's function within ``only_results``; given twice it is the same."""
    if getattr(work, "results_alone", False):
        return work

    @functools.wraps(work)
    def alone(*arguments: Any, **options: Any) -> Any:
        with only_results():
            return work(*arguments, **options)

    alone.results_alone = True  # type: ignore[attr-defined]
    return alone  # type: ignore[return-value]
