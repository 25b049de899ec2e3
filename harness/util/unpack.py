"""Zip archives taken apart: the wanted members under their own names, none of them outside their folder."""

from __future__ import annotations

import contextlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from harness.util.files import replacing

CHUNK = 1 << 20
MOST_TIMES = 100
"""An archive whose members are more times larger than itself is no data set: pictures hardly pack, text ten times."""
ROOM = 64 << 20
"""Bytes that any archive may unpack to."""
UNREADABLE = (zipfile.BadZipFile, OSError, RuntimeError, EOFError, zlib.error, lzma.LZMAError)
"""What zipfile raises for an archive that is damaged, encrypted, or packed in an unknown way."""


def unpack(archive: Path, folder: Path, wanted: Sequence[tuple[str, str]]) -> None:
    """Take the members that ``wanted`` ((pattern, folder) each) names out under their own names.

    Whatever folders a member has in the archive, it comes to lie in its folder under ``folder``. Raises ValueError
    with the reason for an archive that cannot be read, or that would unpack to far more than it is: then nothing of it
    is kept. Raises OSError or HarnessError where a member cannot be written: the archive is not to blame.
    """
    taken: list[Path] = []
    with contextlib.ExitStack() as stack:
        with _reading():
            zipped = stack.enter_context(zipfile.ZipFile(archive))
        members = list(_wanted(zipped, wanted))
        size = sum(member.file_size for member, _ in members)
        if size > MOST_TIMES * archive.stat().st_size + ROOM:
            raise ValueError(f"it would unpack to {size:,} bytes, far more than pictures and tables do")
        try:
            for member, home in members:
                target = folder / home / Path(member.filename).name
                with replacing(target, synced=False) as part, part.open("wb") as out:
                    out.writelines(_chunks(zipped, member))
                taken.append(target)
        except ValueError:
            for target in taken:  # a part of what it gives would pass for all of it
                target.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise ValueError(str(error)) from error


def _chunks(zipped: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of a member. Raises ValueError."""
    with contextlib.ExitStack() as stack:
        with _reading():
            source = stack.enter_context(zipped.open(member))
        chunk = b"..."
        while chunk:
            with _reading():
                chunk = source.read(CHUNK)
            yield chunk


def _wanted(zipped: zipfile.ZipFile, wanted: Sequence[tuple[str, str]]) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """The members to take out, each with its folder."""
    for member in zipped.infolist():
        name = Path(member.filename).name
        home = next((home for pattern, home in wanted if fnmatch(member.filename, pattern)), None)
        if home is not None and not member.is_dir() and name not in ("", "..") and not name.startswith("._"):
            yield member, home
