"""sqlite_utils without pandas: it takes one type of it, which no value here has, and a second of every command."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from sqlite_utils import Database


def database(connection: sqlite3.Connection) -> Database:
    """The tables behind ``connection``."""
    with _without("pandas") if "sqlite_utils" not in sys.modules else contextlib.nullcontext():
        from sqlite_utils import Database
    return Database(connection)


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Within it ``module`` cannot be imported, unless it was before."""
    if module in sys.modules:
        yield
        return
    modules = cast(dict[str, Any], sys.modules)
    modules[module] = None
    try:
        yield
    finally:
        del modules[module]
