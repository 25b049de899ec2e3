"""What a run, a row or a panel may be called: names become folders, columns of tables and words of command lines."""

from __future__ import annotations

import hashlib

from harness.errors import UsageError
from harness.util.visible import UNSEEN, escaped

LONGEST = 200
"""Bytes of a name in UTF-8: a file system takes 255, and a key and an ending come after it."""
SEPARATORS = '/\\:*?"<>|'
"""Separate folders here or elsewhere, or stand in no file name of Windows."""
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""What Windows takes for a device in every folder, whatever ending follows."""


def fault_of_text(text: str) -> str:
    """Why ``text`` cannot stand in one cell of a table (a label, a panel); "" if it can."""
    if UNSEEN.search(text) or "\n" in text or "\t" in text:
        return "it holds characters that cannot be seen (control characters, line breaks, marks of direction)"
    if text != text.strip():
        return "it begins or ends with a space"
    if (size := len(text.encode("utf-8", "replace"))) > LONGEST:
        return f"it is {size} bytes long, {LONGEST} are allowed"
    return ""


def fault_of_name(name: str) -> str:
    """Why nothing can be called ``name`` that a folder is named after; "" if it can."""
    if not name.strip():
        return "it is empty"
    if fault := fault_of_text(name):
        return fault
    if found := next((c for c in name if c in SEPARATORS), ""):
        return f"it holds {found}, which separates folders or stands in no file name of some systems"
    if name.startswith((".", "-", "~")):
        return f"it begins with {name[0]}"
    if name.endswith("."):
        return "it ends with a full stop"
    if name.partition(".")[0].strip().lower() in DEVICES:
        return "some systems take it for a device"
    return ""


def require_name(what: str, name: str) -> str:
    """``name``, if a run or a row can be called so. Raises UsageError, which says ``what`` gave it (``--name``)."""
    return _require(what, name, fault_of_name(name))


def require_text(what: str, text: str) -> str:
    """``text``, if it can stand in a cell of a table. Raises UsageError, which says ``what`` gave it."""
    return _require(what, text, fault_of_text(text))


def one_entry(name: str) -> str:
    """``name`` as one entry of a folder, whatever it is: its hash where it would be another folder's or none.

    For names that come out of a file, where refusing them would hide the rest of it.
    """
    harmless = (
        name not in ("", ".", "..") and not set(name) & set("/\\\0") and len(name.encode("utf-8", "replace")) <= 255
    )
    return name if harmless else hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:24]


def _require(what: str, text: str, fault: str) -> str:
    if fault:
        shown = escaped(text).replace("\n", "\\n").replace("\t", "\\t")
        cut = shown if len(shown) <= 60 else f"{shown[:60]}..."
        raise UsageError(f"{what} '{cut}': {fault}. Take letters, digits and - _ . = + instead.")
    return text
