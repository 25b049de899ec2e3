"""What benchmarks name as their official files, and how they get here: downloads, archives, lists of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from harness.errors import DataError, HarnessError, UsageError
from harness.protocols.progress import Progress, silent
from harness.util.digests import fits, sha256
from harness.util.download import DownloadError, download, part_of
from harness.util.files import read_object, sweep, write_json
from harness.util.places import make_folder, require_no_file
from harness.util.unpack import unpack

GIVE_UP = 3
"""Listed files that fail before the others are not tried."""
HUB = "https://huggingface.co"
RECORD = "fetched.json"


@dataclass(frozen=True)
class Source:
    """One file of a benchmark at its home.

    Args:
        path: where it belongs in the benchmark's folder.
        url: its home.
        digest: its pin, as ``harness.util.digests`` reads it; a beginning of HEX is enough. "" if none is known.
        licence: of the data, as their home states it.
        unpack: for a zip archive, (pattern, folder) of the members to take out; the archive itself is not kept.
        gives: files and folders that must be there after unpacking, relative to the benchmark's folder.
    """

    path: str
    url: str
    digest: str = ""
    licence: str = ""
    unpack: tuple[tuple[str, str], ...] = ()
    gives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manual:
    """What has to be fetched by hand: what it is, where it is, why, and where it goes in the benchmark's folder."""

    path: str
    what: str
    url: str
    why: str


@dataclass(frozen=True)
class Listed:
    """Files that others name, which are fetched before: the images that a benchmark's questions ask about.

    Args:
        path: the folder that they belong in, in the benchmark's folder.
        what: "images of COCO val2014".
        urls: their homes by file name, read from the benchmark's folder; raises DataError where it cannot be.
        others: folders that may hold them instead.
    """

    path: str
    what: str
    urls: Callable[[Path], Mapping[str, str]]
    others: tuple[str, ...] = ()


AnySource = Source | Manual | Listed


@dataclass(frozen=True)
class Fetched:
    """What became of one source. ``detail`` says what to do where something is left to do."""

    path: str
    state: Literal["there", "fetched", "other", "by hand", "failed"]
    detail: str = ""


def fetch(
    sources: Sequence[AnySource], folder: Path, *, any_version: bool = False, progress: Progress = silent
) -> list[Fetched]:
    """Download ``sources`` into ``folder``; what is there already is checked and not fetched again.

    A file that fails does not keep the others from coming. ``any_version`` keeps files of another digest. Raises
    UsageError where ``folder`` is a file.
    """
    make_folder(folder)
    sweep(folder.absolute())
    return [_one(source, folder, any_version, progress) for source in sources]


def _one(source: AnySource, folder: Path, any_version: bool, progress: Progress) -> Fetched:
    if isinstance(source, Listed):
        return _all_listed(source, folder, progress)
    if isinstance(source, Manual):
        by_hand = folder / source.path
        if _is_there(by_hand):
            return Fetched(source.path, "there")
        return Fetched(
            source.path, "by hand", f"{source.why} Get {source.what} from {source.url} and put it at {by_hand}"
        )
    try:
        for _, home in source.unpack:
            require_no_file(folder / home)
        return _checked(source, folder) or _downloaded(source, folder, any_version, progress)
    except (DownloadError, UsageError) as error:
        return Fetched(source.path, "failed", str(error))


def _checked(source: Source, folder: Path) -> Fetched | None:
    """What is there of a source already; None where it has to come."""
    target = folder / source.path
    part_of(target, source.url, source.digest).forget()
    # An archive is removed when all of it is taken out: one that is there was left by a killed process.
    whole = not target.exists() and not _lacking(source, folder) if source.unpack else target.is_file()
    if not whole:
        return None
    if source.unpack or fits(target, source.digest):
        return Fetched(source.path, "there")
    return Fetched(source.path, "other", f"{target} is not the official file ({source.digest}); it was left as is")


def _downloaded(source: Source, folder: Path, any_version: bool, progress: Progress) -> Fetched:
    """A source from its home. Raises DownloadError."""
    target = folder / source.path
    if source.unpack and target.is_file() and fits(target, source.digest):
        digest = sha256(target)
    else:
        digest = download(mirrored(source.url), target, source.digest, any_version=any_version, progress=progress)
    if source.unpack:
        _take_apart(source, folder)
    _record(folder, source, digest)
    return Fetched(source.path, "fetched", f"sha256 {digest[:12]}" + (f", {source.licence}" if source.licence else ""))


def _take_apart(source: Source, folder: Path) -> None:
    """Unpack an archive and remove it. Raises DownloadError where that fails, or it does not hold what it should.

    Where what it holds cannot be written the archive stays: it says that not all of it is there.
    """
    archive = folder / source.path
    try:
        unpack(archive, folder, source.unpack)
    except (OSError, HarnessError) as error:
        raise DownloadError(
            f"{archive}: what it holds cannot be written ({error}). It is kept: make room, or make the folder yours to "
            "write to, and run the same command again."
        ) from error
    except ValueError as error:
        archive.unlink(missing_ok=True)
        raise DownloadError(f"{archive.name}: cannot be unpacked ({error}); it was removed.") from error
    archive.unlink(missing_ok=True)
    if lacking := _lacking(source, folder):
        raise DownloadError(f"{source.url}: the archive does not hold {', '.join(lacking)}; put it there by hand.")


def _lacking(source: Source, folder: Path) -> list[str]:
    """What an archive gives that is not there."""
    return [str(folder / name) for name in source.gives or (source.path,) if not _is_there(folder / name)]


def _all_listed(source: Listed, folder: Path, progress: Progress) -> Fetched:
    """Each file by itself, so that an interrupted command resumes; it stops where the home does not answer any more."""
    try:
        urls = source.urls(folder)
    except (DataError, OSError) as error:
        return Fetched(source.path, "failed", f"which {source.what} are needed is not known yet: {error}")
    held = next(
        (folder / name for name in (source.path, *source.others) if (folder / name).is_dir()), folder / source.path
    )
    missing = [name for name in urls if not (held / name).is_file()]
    failed: dict[str, str] = {}
    for done, name in enumerate(missing):
        progress(source.what, done, len(missing))
        try:
            download(mirrored(urls[name]), held / name)
        except DownloadError as error:
            failed[name] = str(error)
            if len(failed) == GIVE_UP:
                break
    progress(source.what, len(missing), len(missing))
    lacking = sum(not (held / name).is_file() for name in missing)
    if failed:
        return Fetched(
            source.path, "failed", f"{lacking} of {len(urls)} {source.what} are missing: {next(iter(failed.values()))}"
        )
    detail = f"{len(urls)} {source.what}"
    return (
        Fetched(source.path, "fetched", f"{detail}, {len(missing)} of them now")
        if missing
        else Fetched(source.path, "there", detail)
    )


def mirrored(url: str) -> str:
    """``url``, or the same at the mirror of the hub that HF_ENDPOINT names, as transformers takes it."""
    mirror = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return f"{mirror}{url.removeprefix(HUB)}" if mirror and url.startswith(f"{HUB}/") else url


def _is_there(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _record(folder: Path, source: Source, digest: str) -> None:
    """Note where a file came from, beside it."""
    path = folder / RECORD
    try:
        rows = read_object(path)
    except DataError:
        rows = {}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    rows[source.path] = {"url": source.url, "sha256": digest, "licence": source.licence, "fetched": when}
    write_json(path, rows)
