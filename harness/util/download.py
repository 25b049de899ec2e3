"""Files from their official home: resumable downloads, checked by their digests."""

from __future__ import annotations

import math
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from harness.errors import HarnessError, Transient
from harness.protocols.progress import Progress, silent
from harness.util.digests import actual, fits, sha256
from harness.util.hosts import Private, check_url, opener
from harness.util.other_kind import LFS
from harness.util.part_file import PartFile
from harness.util.places import make_folder, require_no_folder

CHUNK = 1 << 20
TRIES = 4
TIMEOUT = 60.0
PASSING = {408, 425, 429, 500, 502, 503, 504}


class DownloadError(HarnessError):
    """A file could not be fetched; what came of it is kept beside its place as NAME.part."""


class Unreached(DownloadError, Transient):
    """Its home did not answer, or broke off, however often it was asked."""


def download(
    url: str,
    target: Path,
    digest: str = "",
    *,
    any_version: bool = False,
    limits: Limits | None = None,
    progress: Progress = silent,
) -> str:
    """Fetch ``url`` to ``target`` and return its sha256. An interrupted download resumes where it stopped.

    A host of the public internet leads to no private one; with ``limits`` it must itself be public.
    Raises DownloadError if the home does not answer, breaks off again and again, or gives other bytes than ``digest``,
    and if there is no room for the file: something else has its name.
    """
    _make_room(target)
    part = part_of(target, url, digest)
    resumed = part.file.exists()
    _complete(url, part, target.name, limits, progress)
    if not fits(part.file, digest) and resumed:  # its beginning may be of an older version
        part.discard()
        _complete(url, part, target.name, limits, progress)
    with part.file.open("rb") as stream:
        pointer = stream.read(len(LFS)) == LFS
    if pointer:
        part.discard()
        raise DownloadError(f"{url}: the home gives a Git LFS pointer instead of the file; clone it with `git lfs`.")
    if not fits(part.file, digest) and not any_version:
        found = actual(part.file, digest)
        part.discard()
        raise DownloadError(
            f"{url}: expected {digest}, found {found}; nothing was kept. The home may have another version "
            "now: --any-version takes it (it is recorded, and figures on it bear a note)."
        )
    part.finish(target)
    return sha256(target)


def _make_room(target: Path) -> None:
    """Make the folder of ``target``. Raises DownloadError where something else is in its place, or in the file's."""
    try:
        make_folder(target.parent)
        require_no_folder(target)
    except HarnessError as error:
        raise DownloadError(str(error)) from error


def part_of(target: Path, url: str, digest: str) -> PartFile:
    return PartFile(target.with_name(target.name + ".part"), url, checked=bool(digest))


@dataclass(frozen=True)
class Limits:
    """What a file may be that only a row of data names: its bytes, and the seconds it may take in all."""

    size: int
    seconds: float


def _complete(url: str, part: PartFile, name: str, limits: Limits | None, progress: Progress) -> None:
    reason = ""
    kind: type[DownloadError] = Unreached
    try:
        asking = opener(public=limits is not None or _is_public(url))
        end = time.monotonic() + limits.seconds if limits else math.inf
        for attempt in range(TRIES):
            if attempt:
                time.sleep(min(8.0, 0.25 * 2**attempt))
            try:
                if _continue(asking, url, part, name, limits.size if limits else math.inf, end, progress):
                    return
                reason = f"broke off after {part.size} bytes"
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code} {error.reason}"
                if error.code not in PASSING:
                    kind = DownloadError
                    break
            except (OSError, HTTPException) as error:
                cause = getattr(error, "reason", error)
                reason = str(cause) or type(error).__name__
                if isinstance(cause, Private):
                    kind = DownloadError
                    break
    except ValueError as error:  # no URL, or more than may be
        reason, kind = str(error), DownloadError
        part.discard()
    raise kind(f"{url}: {reason}. Run the same command again to resume, or put the file in place by hand.")


def _is_public(url: str) -> bool:
    """Whether ``url`` leads to the public internet, so that it must not lead on to a private host."""
    try:
        check_url(url)
    except Private:
        return False
    return True


def _continue(
    asking: urllib.request.OpenerDirector,
    url: str,
    part: PartFile,
    name: str,
    most: float,
    end: float,
    progress: Progress,
) -> bool:
    """Add what is missing to ``part``; whether it is complete now. Raises ValueError for more than ``most`` bytes, or
    where ``end`` (of the monotonic clock) has come.
    """
    have, headers = part.size, {"User-Agent": "dama-harness", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": part.version} if part.version else {})
    try:
        response: HTTPResponse = asking.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing behind what is there, or another file by now
            whole = str(error.headers.get("Content-Range") or "").rpartition("/")[2]
            if whole == str(have):
                return True
            part.discard()
            return False
        raise
    with response:
        if response.status != 206 or _start(response) not in (None, have):  # no ranges, or another version now
            if response.status == 206:
                part.discard()
                return False
            have = 0
            part.begin(response.headers)
        total = have + response.length if response.length else 0
        with part.file.open("ab" if have else "wb") as out:
            while chunk := response.read1(CHUNK):
                out.write(chunk)
                have += len(chunk)
                if max(total, have) > most:
                    raise ValueError(f"it has more than {most:,.0f} bytes")
                if time.monotonic() > end:
                    raise ValueError("it takes too long")
                progress(name, have, max(total, have))
    return not total or have == total


def _start(response: HTTPResponse) -> int | None:
    """The first byte of a partial answer; None where it does not say."""
    found = re.match(r"bytes (\d{1,18})-", response.headers.get("Content-Range") or "")
    return int(found[1]) if found else None
