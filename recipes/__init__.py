"""Settings of alignments, ablations and distributed training, as YAML and JSON; part of the wheel."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import UsageError

RECIPES = Path(__file__).parent
"""The folder of the recipes."""


def recipe_names() -> list[str]:
    """The recipes that come with the harness: `--recipe NAME` works from any directory."""
    return sorted(file.stem for file in RECIPES.glob("*.yaml") if not file.stem.startswith("accelerate"))


def find_recipe(name: str | Path) -> Path:
    """The file ``name``, or the recipe of that name; a UsageError lists those that there are."""
    if os.path.isfile(name):  # unlike Path.is_file it takes a name that is too long
        return Path(name)
    if str(name) in recipe_names():
        return RECIPES / f"{name}.yaml"
    raise UsageError(f"{name}: no such file, and no recipe of that name: {', '.join(recipe_names())}.")
