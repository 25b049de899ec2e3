"""What a terminal would obey instead of showing it is left out or written out, and everything else is kept."""

from __future__ import annotations

import unicodedata

import pytest

from harness.util.visible import escaped, on_one_line, stripped

OBEYED = {
    "\x1b": r"\x1b", "\x07": r"\x07", "\b": r"\x08", "\r": r"\r", "\x9b": r"\x9b", "\x7f": r"\x7f", "\0": r"\x00",
    "\u202e": r"\u202e", "\u2066": r"\u2066", "\u2069": r"\u2069", "\u200b": r"\u200b", "\u200d": r"\u200d",
    "\ufeff": r"\ufeff", "\u2028": r"\u2028", "\ud800": r"\ud800", "\U000e0041": r"\U000e0041",
}  # fmt: skip


@pytest.mark.parametrize("character", OBEYED)
def test_what_a_terminal_would_obey_is_left_out_or_written_out(character: str) -> None:
    assert stripped(f"a{character}b") == "ab"
    assert escaped(f"a{character}b") == f"a{OBEYED[character]}b"


def test_no_control_character_but_tab_and_line_feed_is_shown() -> None:
    every = "".join(map(chr, range(0x3000)))
    left = {c for c in stripped(every) if unicodedata.category(c) in ("Cc", "Zl", "Zp")}
    assert left == {"\n", "\t"}
    assert {c for c in stripped(every) if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "RLI")} == set()


def test_writing_of_any_script_is_kept_as_it_is() -> None:
    text = "ü 中文 שלום شجرة 🦊 \\ [red] :smile: {0}\n\tx"
    assert stripped(text) == escaped(text) == text


def test_a_windows_line_end_is_a_line_end_and_a_lone_return_overwrites_nothing() -> None:
    assert stripped("a\r\nb") == "a\nb"
    assert stripped("safe\rowned") == "safeowned"
    assert on_one_line("a\n\tb\x1b") == "a  b"
