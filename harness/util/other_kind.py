"""What a file is that was expected to be another: what lies on disks under a wrong name, in words."""

from __future__ import annotations

LFS = b"version https://git-lfs.github.com/spec"
BEGINNINGS = (
    (LFS, "it is a Git LFS pointer and not the file itself: get that with `git lfs pull`"),
    (b"<!doctype html", "it is an HTML page"),
    (b"<html", "it is an HTML page"),
    (b"<svg", "it is an SVG drawing"),
    (b"<?xml", "it is XML"),
    (b"%pdf", "it is a PDF"),
    (b"\x1f\x8b", "it is compressed (gzip): unpack it"),
    (b"pk\x03\x04", "it is a zip archive: unpack it"),
)
"""How files begin, in small letters."""
BOXES = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "it is HEIC, which is not read: convert it to JPEG"),
    b"avif": "it is AVIF, which this Pillow does not read: convert it to JPEG",
}
"""Of files of boxes by their brand; any other is a video."""
LOOKED_AT = 64


def other_kind(data: bytes) -> str:
    """What the beginning of a file says that it is, with what to do about it; "" where it says nothing."""
    if not data:
        return "it is empty"
    if data[4:8] == b"ftyp":
        return BOXES.get(data[8:12], "it is a video")
    begins = data[:LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((said for mark, said in BEGINNINGS if begins.startswith(mark)), "")
