"""Zip archives taken apart: the wanted members under their own names, none of them outside their folder."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

CHUNK = 1 << 20
MOST_TIMES = 100
"""An archive whose members are more times larger than itself is no data set: pictures hardly pack, text ten times."""
ROOM = 64 << 20
"""Bytes that any archive may unpack to."""
UNREADABLE = (zipfile.BadZipFile, OSError, RuntimeError, EOFError, zlib.error, lzma.LZMAError)
"""What zipfile raises for an archive that is damaged, encrypted, packed in an unknown way, or has no room here."""


def unpack(archive: Path, folder: Path, wanted: Sequence[tuple[str, str]]) -> None:
    """Take the members that ``wanted`` ((pattern, folder) each) names out under their own names.

    Whatever folders a member has in the archive, it comes to lie in its folder under ``folder``. Raises ValueError
    with the reason for an archive that cannot be read, or that would unpack to far more than it is.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = list(_wanted(zipped, wanted))
            size = sum(member.file_size for member, _ in members)
            if size > MOST_TIMES * archive.stat().st_size + ROOM:
                raise ValueError(f"it would unpack to {size:,} bytes, far more than pictures and tables do")
            for member, home in members:
                target = folder / home / Path(member.filename).name
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(f"{target.name}.part")
                partial.unlink(missing_ok=True)
                with zipped.open(member) as source, partial.open("xb") as out:
                    shutil.copyfileobj(source, out, CHUNK)
                partial.replace(target)
    except UNREADABLE as error:
        raise ValueError(str(error)) from error


def _wanted(zipped: zipfile.ZipFile, wanted: Sequence[tuple[str, str]]) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """The members to take out, each with its folder."""
    for member in zipped.infolist():
        name = Path(member.filename).name
        home = next((home for pattern, home in wanted if fnmatch(member.filename, pattern)), None)
        if home is not None and not member.is_dir() and name not in ("", "..") and not name.startswith("._"):
            yield member, home
