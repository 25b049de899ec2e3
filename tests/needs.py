"""What some tests need beside the checkout and its Python packages. Each absent thing is one skip that names it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping

import pytest

from harness.util.spacy_models import spacy_model
from tests.shared import ROOT


def package(name: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(name) is not None


def browser() -> bool:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    return chromium is not None and shutil.which("chromedriver") is not None


def cuda() -> bool:
    """Whether there is a GPU, or the tests for one are tried on a CPU."""
    import torch

    return torch.cuda.is_available() or os.environ.get("DAMA_TOY") == "1"


NEEDS: Mapping[str, tuple[Callable[[], bool], str]] = {
    # marker argument: whether it is here; what to say where it is not
    "reference": (ROOT.is_dir, "no reference data beside the checkout (set DAMA_SHARED to their folder)"),
    "browser": (browser, "no chromium or chromedriver: apt-get install chromium chromium-driver"),
    "tex": (lambda: shutil.which("pdflatex") is not None, "no pdflatex: apt-get install texlive-latex-base"),
    "spacy": (lambda: spacy_model() is not None, "no spaCy or no English model of it (extra nlp)"),
    "tensorboard": (package("tensorboard"), "no tensorboard (extra test)"),
    "cuda": (cuda, "no CUDA device; perf/gpu.sh runs these where there is one"),
    "scipy": (package("scipy"), "no scipy (extra test)"),
    "deepspeed": (package("deepspeed"), "no DeepSpeed (extra deepspeed)"),
}


def leave_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """Take the tests marked ``needs(NAME)`` whose need is absent out of ``items``, all but the first of each need.

    That one is skipped, and its reason says what is absent and how many tests need it. Returns those taken out.
    """
    absent = {need for need, (here, _) in NEEDS.items() if not here()}
    waiting: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        missing = [need for marker in item.iter_markers("needs") for need in marker.args if need in absent]
        if missing:
            waiting[missing[0]].append(item)
    for need, tests in waiting.items():
        tests[0].add_marker(pytest.mark.skip(reason=f"{NEEDS[need][1]}: {len(tests)} tests need it"))
    left_out = [item for tests in waiting.values() for item in tests[1:]]
    ids = {id(item) for item in left_out}
    items[:] = [item for item in items if id(item) not in ids]
    return left_out
