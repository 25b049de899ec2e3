"""Arrays kept by key in the files of one folder: what is computed once for each pair, image or text.

A file holds many rows and is written whole or not at all, so that several processes may read and write one folder at
once; what two computed alike lies in one file or in two that agree. Its checksums (those of a zip archive) show damage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np

from harness.util.caches import discard
from harness.util.files import replacing
from harness.util.options import content_key
from harness.util.unpack import UNREADABLE

T = TypeVar("T")
ROWS, SECONDS = 4096, 30.0
"""Rows, and seconds after the last file, at which a new one is written: more than that is not lost."""
KEYS = "keys"
DAMAGED = (*UNREADABLE, ValueError, KeyError, TypeError)
"""What reading a damaged file raises."""


class ArrayStore(Generic[T]):
    """The rows in ``folder``, by key.

    Args:
        pack: rows as arrays by name, none of them named "keys".
        unpack: rows of those arrays, in order; raises ValueError, TypeError or KeyError for arrays that are no rows.
    """

    def __init__(
        self,
        folder: Path,
        pack: Callable[[Sequence[T]], Mapping[str, np.ndarray]],
        unpack: Callable[[Mapping[str, Any]], Sequence[T]],
    ) -> None:
        self.folder, self._pack, self._unpack = folder, pack, unpack

    def read(self, wanted: Collection[str]) -> dict[str, T]:
        """Those of the ``wanted`` rows that are there, by key; files without one of them are only looked into.

        A damaged file is removed with a warning, so that its rows are made anew.
        """
        found: dict[str, T] = {}
        for path in sorted(self.folder.glob("*.npz")):
            try:
                found.update(self._of_file(path, wanted))
            except FileNotFoundError:
                continue  # removed by another process meanwhile
            except DAMAGED as error:
                discard(path, str(error))
        return found

    def _of_file(self, path: Path, wanted: Collection[str]) -> Iterator[tuple[str, T]]:
        with np.load(path) as part:
            keys = part[KEYS].astype(str).tolist()
            if not any(key in wanted for key in keys):
                return iter(())
            rows = self._unpack(part)
        return iter([(key, row) for key, row in zip(keys, rows, strict=True) if key in wanted])

    def write(self, rows: Mapping[str, T]) -> None:
        """Keep ``rows`` in a file of their own."""
        arrays: dict[str, Any] = {KEYS: np.array(list(rows), dtype="S"), **self._pack(list(rows.values()))}
        with replacing(self.folder / f"{content_key(list(rows))}.npz") as part, part.open("wb") as file:
            np.savez(file, **arrays)

    def clear(self) -> None:
        """Remove every file."""
        for path in self.folder.glob("*.npz"):
            path.unlink(missing_ok=True)


class Saving(Generic[T]):
    """Keeps rows in ``store`` as they are made, some thousand a file; within ``with``, also if that ends early."""

    def __init__(self, store: ArrayStore[T]) -> None:
        self._store, self._rows = store, dict[str, T]()
        self._since = time.monotonic()

    def add(self, rows: Mapping[str, T]) -> None:
        """Take ``rows``, and write a file if it is time to."""
        self._rows.update(rows)
        if len(self._rows) >= ROWS or time.monotonic() - self._since >= SECONDS:
            self._write()

    def __enter__(self) -> Saving[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._write()

    def _write(self) -> None:
        if self._rows:
            self._store.write(self._rows)
        self._rows, self._since = {}, time.monotonic()
