"""The model card of an aligned model: what it was made of, and how training went."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from harness.models.sources import may_be_hub_id, parts
from harness.util.files import write_text

ROWS = 20
COLUMNS = ("loss", "margin", "accuracy", "gap", "beta_mean", "filtered", "lr")
PACKAGES = ("torch", "transformers", "peft", "accelerate")


def write_card(folder: Path, record: Mapping[str, Any], curve: Sequence[Mapping[str, float]]) -> None:
    """Write README.md to ``folder``. ``curve``: the metrics of every step, with ``step``."""
    recipe = {key: value for key, value in record.items() if isinstance(value, str | int | float | bool | None)}
    data, base = record["data"], parts(str(record["model"]))[0]
    lines = [
        "---",
        *([f"base_model: {base}"] if may_be_hub_id(base) else []),  # the hub refuses a path
        "tags: [preference-alignment, multimodal]",
        "---",
        "",
        f"# {Path(base).name} aligned with {record['method']}",
        "",
        f"{record['steps']} steps of {record['batch_size']} pairs, seed {record['seed']}, {record['seconds']:.0f} s.",
        "",
        "## Recipe",
        "",
        "```yaml",
        yaml.safe_dump({**recipe, "objective": dict(record["objective"])}, sort_keys=True).strip(),
        "```",
        "",
        "## Data",
        "",
        f"{data['pairs']} pairs of `{data['source']}`, sha256 `{data['hash']}`.",
        *(f"Dropped {each['rows']}: {reason}." for reason, each in data["dropped"].items()),
        "",
        "## Training",
        "",
        *_table(curve),
        "",
        "## Versions",
        "",
        ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]),
        "",
    ]
    write_text(folder / "README.md", "\n".join(lines))


def _table(curve: Sequence[Mapping[str, float]]) -> list[str]:
    """At most ``ROWS`` steps at equal distances, the last one among them."""
    if not curve:
        return ["Nothing was recorded."]
    count = min(ROWS, len(curve))
    chosen = [curve[(index + 1) * len(curve) // count - 1] for index in range(count)]
    names = [name for name in COLUMNS if name in curve[0]]
    rows = [f"| {row['step']:.0f} | " + " | ".join(f"{row[name]:.4g}" for name in names) + " |" for row in chosen]
    return ["| step | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1), *rows]
