"""Images of preference data as people have them (paths, bytes, base64, URLs, numbers), each as a file that is read when
it is needed.

What is embedded in a table or downloaded is kept once by its content under ``$DAMA_HOME``/cache/images, so that no
process holds it in memory and an image that many rows share is there once.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligners.pairs.rows import BadRow, Place
from harness.protocols.conversation import Image
from harness.util.caches import discard
from harness.util.download import DownloadError, Limits, download
from harness.util.files import write_bytes
from harness.util.images import changes_of, image_size, open_image
from harness.util.inside import VARIABLE, image_roots, inside
from harness.util.paths import cache_dir, kept_dir

NUMBERED = ("{}.jpg", "{}.png", "VG_100K/{}.jpg", "VG_100K_2/{}.jpg", "images/{}.jpg")
"""Where the image of a number lies under ``image_root``: Visual Genome's folders, or plainly."""
LONGEST_PATH = 1024
OF_AN_IMAGE = Limits(size=64 << 20, seconds=120.0)
"""Of one that is downloaded because a row names it."""


@dataclass(frozen=True)
class ImageSource:
    """Finds the images of rows.

    Args:
        root: the folder of relative paths, in place of the row's own.
        urls: whether images may be downloaded.
        data: folders that were named as the data: a file in one may name images in all of it.
    """

    root: Path | None = None
    urls: bool = False
    data: tuple[Path, ...] = ()

    def open(self, value: Any, place: Place) -> Image:
        """The image that ``value`` is, as a file. Raises BadRow naming the row; does not decode it."""
        if isinstance(value, Mapping):
            if value.get("image_id") is not None:
                return self._numbered(value["image_id"], place)
            keys = ", ".join(map(str, value))
            value = value.get("bytes") or value.get("path") or value.get("url")
            if value is None:
                raise BadRow(place, "image: an object without bytes, path or url, or empty ones", f" (it has {keys}).")
        if isinstance(value, bytes | bytearray):
            return Image(path=keep(bytes(value)))
        if not isinstance(value, str) or not value:
            raise BadRow(place, f"image: expected a path, base64, bytes or a URL, found {type(value).__name__}.")
        if value.startswith(("http://", "https://")):
            return Image(path=self._downloaded(value, place))
        if value.startswith("file://"):
            value = value.removeprefix("file://")
        folder = self.root or place.folder
        # A path is short; only what cannot be a file name is worth decoding.
        if len(value) < LONGEST_PATH and os.path.isfile(folder / value):  # Path.is_file raises for a name too long
            return Image(path=self._inside(folder / value, folder, place))
        try:
            encoded = value.partition("base64,")[2] if value.startswith("data:") else value
            data = base64.b64decode("".join(encoded.split()), validate=True)
            if len(value) < LONGEST_PATH and not value.startswith("data:"):
                image_size(data)  # a path without a dot may be base64 as well
            return Image(path=keep(data))
        except (binascii.Error, ValueError):
            hint = "" if self.root else " (--image-root DIR names another folder)"
            detail = f": {value[:80]!r}" + ("." if os.path.isabs(value) else f" under {folder}{hint}.")
            raise BadRow(place, "image: no such file, and not base64", detail, (folder / value[:255],)) from None

    def _numbered(self, number: Any, place: Place) -> Image:
        if self.root is None:
            raise BadRow(place, "the image is given by its number (image_id): set --image-root to the images' folder.")
        files = tuple(self.root / name.format(number) for name in NUMBERED)
        if there := next((file for file in files if file.is_file()), None):
            return Image(path=self._inside(there, self.root, place))
        places = ", ".join(name.format(number) for name in NUMBERED)
        raise BadRow(place, "the image of this number is not there", f": looked for {places} under {self.root}.", files)

    def _inside(self, file: Path, folder: Path, place: Place) -> Path:
        """The real path of ``file``, links followed. Raises BadRow where that is outside ``folder``."""
        real = inside(file, _roots((folder, *self.data), os.environ.get(VARIABLE)))
        if real is None:
            remedy = (
                f": {file} is not in {folder}. If it is meant, name the images' folder: {VARIABLE}=DIR where the paths "
                "in the pairs are right as they are (such as ../a.png), --image-root DIR where they begin in DIR."
            )
            reason = f"the image lies outside the data's folder ({VARIABLE}=DIR in the environment names another)"
            raise BadRow(place, reason, remedy, (file,))
        return real

    def _downloaded(self, url: str, place: Place) -> Path:
        if not self.urls:
            raise BadRow(place, "the image is a URL: set image_urls=true to download such images.")
        file = kept_dir("images") / "urls" / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}"
        try:
            with _one_at_a_time(str(file)):
                if str(file) not in _FOUND and not _is_image(file):
                    download(url, file, limits=OF_AN_IMAGE)
                _FOUND.add(str(file))
        except DownloadError as error:
            raise BadRow(place, "the image could not be downloaded", f" ({error})", None) from error
        return file


@functools.lru_cache(maxsize=64)
def _roots(folders: tuple[Path, ...], more: str | None) -> tuple[str, ...]:
    """What ``image_roots`` gives, once for the rows of a folder (and of a value of its variable)."""
    return image_roots(*folders)


def keep(data: bytes) -> Path:
    """The file of encoded bytes under the cache, written if it is not there yet."""
    digest = hashlib.sha256(data).hexdigest()
    file = cache_dir("images").resolve() / digest[:2] / digest
    if not file.exists() or file.stat().st_size != len(data):
        write_bytes(file, data)
    return file


def _is_image(file: Path) -> bool:
    """Whether an image was downloaded to ``file`` before; something else that is there is thrown away."""
    if not file.exists():
        return False
    try:
        open_image(file.read_bytes())
    except (OSError, ValueError) as error:
        discard(file, str(error))
        return False
    return True


def check(image: Image, place: Place) -> list[str]:
    """Decode ``image`` once; what that changes of it (``changes_of``). Raises BadRow if it cannot be done."""
    try:
        data = image.read()
        open_image(data)
        return changes_of(data)
    except (OSError, ValueError) as error:
        files = (image.path,) if image.path else ()
        named = f"{image.path}: " if image.path else ""
        raise BadRow(place, "the image cannot be read", f" ({named}{error}). Is it complete?", files) from error


_FOUND: set[str] = set()
"""Downloaded images that this process has looked at."""
_LOCKS: dict[str, threading.Lock] = {}
_GUARD = threading.Lock()


@contextlib.contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Two rows with the same URL do not write the same file at once."""
    with _GUARD:
        lock = _LOCKS.setdefault(name, threading.Lock())
    with lock:
        yield
