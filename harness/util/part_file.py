"""The beginning of a file that is being downloaded, and which version of the file it is of."""

from __future__ import annotations

from email.message import Message
from pathlib import Path


class PartFile:
    """What is there of a file, and beside it which version that is of, so that no two are joined to one.

    ``checked``: the whole is compared with a digest, so that a part of unknown origin may be continued.
    """

    def __init__(self, file: Path, url: str, *, checked: bool) -> None:
        self.file, self._url, self._note = file, url, file.with_name(file.name + ".of")
        if file.exists() and not checked and not self.version:
            self.discard()

    @property
    def version(self) -> str:
        """The home's name for it (ETag or time); "" where it is not known."""
        try:
            url, _, version = self._note.read_text().partition("\n")
        except (OSError, ValueError):
            return ""
        return version if url == self._url else ""

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def begin(self, headers: Message) -> None:
        """Note what is about to be written from its beginning."""
        tag = headers.get("ETag", "")
        version = headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
        self._note.write_text(f"{self._url}\n{version}")

    def discard(self) -> None:
        self.file.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove the note of a version where there is no file of it: the process was killed as it ended."""
        if not self.file.exists():
            self._note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        self.file.replace(target)
        self._note.unlink(missing_ok=True)
