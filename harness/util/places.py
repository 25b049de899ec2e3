"""Where files and folders are to be written: what stands in the way is one message, whoever writes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from harness.errors import Transient, UsageError

NOT_YOURS = "Make it yours to read and write, or name another place (--db, --out, DAMA_HOME)"
REMEDIES = {
    errno.ENOSPC: "Free the disk",
    errno.EDQUOT: "Free the disk: your share of it is used up",
    errno.EROFS: "Make the disk writable or name another place (--db, --out, DAMA_HOME)",
    errno.EACCES: NOT_YOURS,
    errno.EPERM: NOT_YOURS,
    errno.EIO: "Check the disk",
    errno.ENAMETOOLONG: "Give it a shorter name",
    errno.ELOOP: "Remove the link that leads to itself",
}
"""What a user can do against a disk's errors."""


def of_the_disk(error: BaseException) -> Transient | None:
    """``error`` in words, if a disk that is full, broken or not to be written to is its cause; else None.

    What copies and writes weights wraps the system's error in one of its own, which quotes it.
    """
    quoted = re.search(r"(?:\bos error |\[Errno )(\d+)", str(error))
    number = (error.errno if isinstance(error, OSError) else 0) or int(quoted[1] if quoted else 0)
    remedy = REMEDIES.get(number)
    if remedy is None:
        return None
    file = getattr(error, "filename", None)
    what = f"{file}: {os.strerror(number)}" if file else os.strerror(number)
    return Transient(f"{what}. {remedy}, then run the same command again: what was stored before is kept.")


@contextlib.contextmanager
def placing(path: Path) -> Iterator[None]:
    """A block that makes room for ``path``: what keeps it from that raises HarnessError, a name that nothing can have
    UsageError.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a link to itself; ValueError: NUL in a name
        if isinstance(error, OSError) and (said := of_the_disk(error)):
            raise said from error
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be written ({why}): name another place.") from error


def make_folder(folder: Path) -> Path:
    """``folder``, made if absent. Raises UsageError as ``require_no_file`` does, HarnessError as ``placing``."""
    with placing(folder):
        require_no_file(folder)
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def require_no_file(folder: Path) -> None:
    """Raise UsageError where a file is in the place of ``folder``, or of a folder above it."""
    file = next((each for each in (*reversed(folder.parents), folder) if each.exists() and not each.is_dir()), None)
    if file is not None:
        raise UsageError(f"{file} is a file, and a directory is needed there: move it, or name a directory elsewhere.")


def require_no_folder(file: Path) -> None:
    """Raise UsageError where a directory is in the place of ``file``."""
    if file.is_dir():
        raise UsageError(f"{file} is a directory, and a file is needed there: move it, or name a file elsewhere.")
