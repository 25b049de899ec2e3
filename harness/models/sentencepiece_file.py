"""The pieces in a ``tokenizer.model`` of SentencePiece, read without its library: transformers wants that and protobuf,
in versions that fit each other, for a few lines of a format that does not change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.errors import UsageError

PIECE, TEXT = 1, 1
"""Numbers of fields of ``sentencepiece_model.proto``: ModelProto.pieces, and a piece's own ``piece``."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def pieces_of(file: Path) -> list[str]:
    """The vocabulary in the order of its ids. Raises UsageError for a file that is none of SentencePiece's."""
    try:
        found = [text for number, content in _fields(file.read_bytes()) if number == PIECE for text in _texts(content)]
    except (OSError, IndexError, ValueError) as error:
        raise UsageError(f"{file} is no SentencePiece model ({error}).") from error
    if not found:
        raise UsageError(f"{file} is no SentencePiece model (it has no pieces).")
    return found


def _texts(piece: bytes) -> Iterator[str]:
    return (content.decode() for number, content in _fields(piece) if number == TEXT)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message: (number, content), empty for those that are numbers."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("a field is longer than the file")
            yield number, data[at : at + length]
            at += length
        elif kind == VARINT:
            _, at = _varint(data, at)
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"a field of kind {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:  # ten bytes at most: a number of megabytes would take time that grows with its square
            raise ValueError("a number of more than 64 bits")
