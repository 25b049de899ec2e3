"""spaCy's English models: their names, the best one that is installed, and whether it can be loaded."""

from __future__ import annotations

import importlib.util

PARSING = "en_core_web_trf"
"""Parses names officially in Object HalBench."""
VECTORS = "en_core_web_lg"
"""Compares words officially in AMBER."""
MODELS = (PARSING, VECTORS, "en_core_web_md", "en_core_web_sm")
"""From the best to the smallest."""


def has_model(name: str) -> bool:
    """Whether spaCy and its model ``name`` are installed."""
    return all(importlib.util.find_spec(module) is not None for module in ("spacy", name))


def spacy_model() -> str | None:
    """The best installed English model, None if there is none."""
    return next(filter(has_model, MODELS), None)


def problem(name: str) -> str | None:
    """What keeps the model ``name`` from reading two words; None where nothing does, or it is not installed."""
    if not has_model(name):
        return None
    import spacy

    try:
        nouns = [token.lemma_ for token in spacy.load(name)("two dogs") if token.tag_ == "NNS"]
    except Exception as error:  # whatever another package raises is the finding
        return " ".join(str(error).split())[:200]
    return None if nouns == ["dog"] else f"it reads {nouns} in 'two dogs'"
