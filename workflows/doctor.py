"""`doctor`: what is installed, what is missing, and the command that adds it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from typing import Any

CORE = ("torch", "torchvision", "transformers", "peft", "accelerate", "open_clip_torch", "openai", "sqlite-utils")
OPTIONAL = {
    "lmms_eval": ("lmms-eval tasks", 'pip install -e ".[general]"'),
    "spacy": ("Object HalBench with spaCy's tagger, AMBER's similarity", 'pip install -e ".[nlp]"'),
    "trl": ("the peer in perf/", 'pip install -e ".[perf]"'),
    "bitsandbytes": ("4-bit base models", "pip install bitsandbytes"),
}


def checks() -> list[dict[str, Any]]:
    """One row a check: name, state ("ok", "missing", "bad"), detail."""
    return [
        _row("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *(_package(name) for name in CORE),
        _torchvision(),
        _device(),
        _nltk(),
        *(_optional(module, *why) for module, why in OPTIONAL.items()),
    ]


def _row(name: str, state: str, detail: str) -> dict[str, Any]:
    return {"name": name, "state": state, "detail": detail}


def _package(name: str) -> dict[str, Any]:
    try:
        return _row(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return _row(name, "bad", f"not installed in {sys.prefix}: run `make install`")


def _torchvision() -> dict[str, Any]:
    from harness.util import torchvision_shim

    try:
        import torchvision  # noqa: F401
    except Exception as error:  # whatever keeps it from importing is the finding
        return _row("torchvision import", "bad", f"{error}: reinstall it in the version that matches torch")
    if torchvision_shim.declare_missing_operators():
        return _row("torchvision import", "ok", "a CUDA build beside a CPU torch: its missing operators are declared")
    return _row("torchvision import", "ok", "its own operators")


def _device() -> dict[str, Any]:
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        count = torch.cuda.device_count()
        return _row("device", "ok", f"{count} x {torch.cuda.get_device_name(0)}, {memory:.0f} GiB each")
    return _row("device", "ok", f"CPU, {torch.get_num_threads()} threads (torch build: {torch.version.cuda or 'CPU'})")


def _nltk() -> dict[str, Any]:
    import nltk

    try:
        nltk.data.find("taggers/averaged_perceptron_tagger_eng")
        nltk.data.find("corpora/wordnet")
        return _row("nltk data", "ok", "tagger and WordNet found: AMBER and Object HalBench use them")
    except LookupError:
        command = "python -m nltk.downloader averaged_perceptron_tagger_eng wordnet"
        return _row("nltk data", "missing", f"the lexicon tagger is used; official tagging: {command}")


def _optional(module: str, what: str, command: str) -> dict[str, Any]:
    if importlib.util.find_spec(module):
        return _row(module, "ok", what)
    return _row(module, "missing", f"{what}: {command}")
