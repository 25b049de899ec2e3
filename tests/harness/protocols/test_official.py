"""Whether official figures rest on official resources."""

from __future__ import annotations

from harness.protocols.official import differing, level, unofficial


def test_figures_are_fully_official_only_with_every_official_resource() -> None:
    official = ("nouns", "nltk", "nltk")
    assert unofficial(official) == {"unofficial": []}
    assert level(unofficial(official)) == "full"
    fallback = unofficial(official, ("similarity", "exact", "spacy"))
    assert (level(fallback), differing(fallback)) == ("rules", ["similarity: exact (officially spacy)"])


def test_what_was_not_recorded_is_neither() -> None:
    assert (level({}), differing({})) == (None, [])
