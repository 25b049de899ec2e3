"""Leaderboards as CSV and JSON: one record per row and metric, numbers as numbers."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from leaderboards.rows import REFERENCES, Cell, Row, Table

VERSUS = ("row", "value", "low", "high", "p", "n", "smallest", "p_holm")
FIELDS = (
    *("panel", "benchmark", "version", "mode", "judge", "data", "eos_bias", "decoding", "method", "seeds"),
    *("n", "n_scored", "n_failed", "metric", "unit", "higher_is_better", "value", "low", "high", "seed_sd"),
    *(f"vs_{name}" if field == "value" else f"vs_{name}_{field}" for name in REFERENCES for field in VERSUS),
)
"""The fields of every record, in order: CSV has its header without any."""


def records(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """One flat record per panel, benchmark, row and metric, all metrics included; None where nothing counts."""
    return [
        {
            "panel": table.panel,
            "benchmark": table.condition.benchmark,
            "version": table.condition.version,
            "mode": table.condition.mode,
            "judge": table.condition.judge,
            "data": table.condition.data_hash,
            "eos_bias": table.condition.eos_bias,
            "decoding": " ".join(f"{name}={value}" for name, value in table.condition.decoding),
            "method": row.label,
            "seeds": len(row.runs),
            "n": row.n,
            "n_scored": row.n_scored,
            "n_failed": row.n_failed,
            "metric": metric.name,
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
            "value": finite(row.cells[metric.name].value),
            "low": finite(row.cells[metric.name].low),
            "high": finite(row.cells[metric.name].high),
            "seed_sd": finite(row.cells[metric.name].spread),
            **_versus(row, row.cells[metric.name]),
        }
        for table in tables
        for row in table.rows
        for metric in table.metrics
    ]


def to_json(tables: Sequence[Table]) -> str:
    """The records as a JSON array."""
    return json.dumps(records(tables), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(tables: Sequence[Table]) -> str:
    """The records as CSV with a header; an absent number is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records(tables))
    return text.getvalue()


def _versus(row: Row, cell: Cell) -> dict[str, float | int | str | None]:
    """The difference to each reference in columns ``vs_dpo``, ``vs_dpo_low``... (the same for every record)."""
    out: dict[str, float | int | str | None] = {}
    for name in REFERENCES:
        found = cell.versus.get(name)
        out[f"vs_{name}_row"] = row.references.get(name)
        for field in ("value", "low", "high", "p", "n"):
            key = f"vs_{name}" if field == "value" else f"vs_{name}_{field}"
            out[key] = None if found is None else finite(getattr(found, field))
        out[f"vs_{name}_smallest"] = None if found is None else finite(found.smallest)
        out[f"vs_{name}_p_holm"] = finite(cell.holm.get(name, math.nan))
    return out


def finite(value: float | int) -> float | int | None:
    """``value``, or None where it is NaN or infinite, which JSON cannot hold."""
    return value if math.isfinite(value) else None
