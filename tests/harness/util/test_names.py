"""Names stay in their folder and in their cell, whoever gave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.util.names import fault_of_name, one_entry, require_name, require_text

REFUSED = {
    "../../x": "/", "a/b": "/", "/abs": "/", "a\\b": "\\", "C:x": ":", ".": "begins with .", "..": "begins with .",
    ".hidden": "begins with .", "-rf": "begins with -", "~root": "begins with ~", "": "empty", "  ": "empty",
    "a\0b": "cannot be seen", "a\nb": "cannot be seen", "a\tb": "cannot be seen", "a\x1b[31mb": "cannot be seen",
    "\u202eb": "cannot be seen", "a\u200bb": "cannot be seen", "a\ud800": "cannot be seen", "x.": "full stop",
    "x ": "a space", " x": "a space", "a" * 300: "300 bytes", "ü" * 101: "202 bytes", "CON": "device",
    "nul.txt": "device", "Lpt9.a.b": "device", "a|b": "|", "a?": "?",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_would_leave_its_folder_or_its_line_is_refused(name: str) -> None:
    assert REFUSED[name] in fault_of_name(name)
    with pytest.raises(UsageError, match=r"^--name .") as refused:
        require_name("--name", name)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "name", ["dama-s0", "dpo lr=1e-05", "LLaVA 1.5 (ours)", "Köder", "狐", "console", "a.b", "a" * 200]
)
def test_ordinary_names_are_allowed(name: str) -> None:
    assert require_name("--name", name) == name


def test_a_label_may_hold_what_no_folder_is_named_after_but_nothing_unseen() -> None:
    assert require_text("label", "a/b: [v2] <x>?") == "a/b: [v2] <x>?"
    for text in ("a\nb", "\x1b]8;;http://x\x07y", "a\u2067"):
        with pytest.raises(UsageError, match=r"label .*cannot be seen"):
            require_text("label", text)


@pytest.mark.parametrize("stored", ["../../etc/x", "/etc/passwd", "..", "a\0b", "a" * 400, "", "a\\..\\b"])
def test_a_stored_name_is_one_entry_of_its_folder_whatever_it_is(tmp_path: Path, stored: str) -> None:
    inside = tmp_path / one_entry(stored)
    assert inside.resolve().parent == tmp_path.resolve() and inside.name == one_entry(stored)
    assert one_entry(stored) != one_entry(stored + "x") and one_entry("dama-s0") == "dama-s0"
