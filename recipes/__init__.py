"""Settings of alignments, ablations and distributed training, as YAML and JSON; part of the wheel."""

from __future__ import annotations

from pathlib import Path

RECIPES = Path(__file__).parent
"""The folder of the recipes."""


def recipe_names() -> list[str]:
    """The recipes that come with the harness: `--recipe NAME` works from any directory."""
    return sorted(file.stem for file in RECIPES.glob("*.yaml") if not file.stem.startswith("accelerate"))
