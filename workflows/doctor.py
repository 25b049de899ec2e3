"""`doctor`: what is installed, what is missing, and the command that adds it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from typing import Any

from harness.util import nltk_data, spacy_models
from harness.util.spacy_models import PARSING, VECTORS

CORE = ("torch", "torchvision", "transformers", "peft", "accelerate", "open_clip_torch", "openai", "sqlite-utils")
PYTHON = ".venv/bin/python"
OPTIONAL = {
    # module: who needs it, the command that adds it
    "lmms_eval": ("tasks of lmms-eval (bench --benchmark lmms:TASK)", f'{PYTHON} -m pip install -e ".[general]"'),
    "num2words": ("the processor of SmolVLM models", f"{PYTHON} -m pip install num2words"),
    "bitsandbytes": ("base models in 4 or 8 bits (quantize=4bit)", f"{PYTHON} -m pip install bitsandbytes"),
    "deepspeed": ("sharding=zero2 and zero3", f"{PYTHON} -m pip install deepspeed"),
    "trl": ("the peer in perf/", f'{PYTHON} -m pip install -e ".[perf]"'),
    "spacy": ("official taggers and similarities, with a model below", f'{PYTHON} -m pip install -e ".[nlp]"'),
    PARSING: (
        "Object HalBench: parses the judge's object names officially; without it NLTK does",
        f"{PYTHON} -m spacy download {PARSING}",
    ),
    VECTORS: (
        "AMBER: similarity=spacy, the official rule; without it words are compared exactly",
        f"{PYTHON} -m spacy download {VECTORS}",
    ),
}
NLTK_DATA = {
    # resource: who needs it
    nltk_data.TAGGER: "AMBER and the captions of Object HalBench: nouns, officially by NLTK; "
    "without it a word list is used",
    nltk_data.WORDNET: "the same: singular forms",
    nltk_data.PUNKT: "AMBER and captions: sentences, officially; tasks of lmms-eval that cut texts into words",
}


def checks() -> list[dict[str, Any]]:
    """One row a check: name, state ("ok", "missing", "bad"), detail."""
    return [
        _row("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *(_package(name) for name in CORE),
        _torchvision(),
        _device(),
        *(_nltk(resource, what) for resource, what in NLTK_DATA.items()),
        _taggers(),
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


def _nltk(resource: str, what: str) -> dict[str, Any]:
    """One part of NLTK's data, unpacked or zipped, wherever it is looked for (NLTK_DATA too)."""
    name = f"nltk data {resource.rpartition('/')[2]}"
    if nltk_data.has(resource):
        return _row(name, "ok", what)
    return _row(name, "missing", f"{what}. Add it with: {PYTHON} cli.py fetch nlp")


def _taggers() -> dict[str, Any]:
    """Whether what is there of the taggers can be loaded and reads a word: data may be there and damaged."""
    faults = [*nltk_data.faults().values()]
    faults += [
        f"{model}: {fault}: run `{PYTHON} -m spacy download {model}`"
        for model in spacy_models.MODELS
        if (fault := spacy_models.problem(model))
    ]
    said = "; ".join(faults) or "what is installed of them reads words"
    return _row("taggers", "bad" if faults else "ok", said)


def _optional(module: str, what: str, command: str) -> dict[str, Any]:
    if importlib.util.find_spec(module):
        if module == "spacy" and not any(map(importlib.util.find_spec, spacy_models.MODELS)):
            return _row(module, "missing", f"{what}: it is installed without an English model")
        return _row(module, "ok", what)
    return _row(module, "missing", f"{what}. Add it with: {command}")
