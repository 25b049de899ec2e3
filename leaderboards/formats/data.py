"""Leaderboards and comparisons as records: one per row and metric, numbers as numbers; as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from harness.protocols.benchmark import Metric
from harness.util.visible import on_one_line
from leaderboards.comparison import Comparison
from leaderboards.condition import Condition
from leaderboards.evaluators import official_differs, official_level
from leaderboards.formats.registry import FORMATS, Format
from leaderboards.rows import SUSPECT, Cell, Row, Table
from leaderboards.run_groups import BASE, REFERENCES
from leaderboards.text import asked_words, finite
from leaderboards.view import View

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of a cell that a spreadsheet computes; the last four are full-width forms of the first."""
VERSUS = ("row", "value", "low", "high", "p", "n", "smallest", "p_holm")
PARTS = ("half_samples", "half_seeds", "kind", "signs_differ")
"""Of a difference: the half-widths of its 95 % interval from samples and from training seeds, whether it is one of
methods or of checkpoints, and whether the seeds disagree in sign."""
AGAINST = tuple("vs_against" if field == "value" else f"vs_against_{field}" for field in (*VERSUS, *PARTS))
"""Fields of the row that all others are compared with, where one was asked for."""
FIELDS = (
    *("panel", "benchmark", "version", "mode", "judge", "data", "eos_bias", "decoding", "method", "seeds"),
    *(
        "n",
        "n_scored",
        "n_failed",
        "n_empty",
        "n_cut",
        "metric",
        "unit",
        "higher_is_better",
        "value",
        "low",
        "high",
        "seed_sd",
        "extrapolated",
        "bracketed",
        "trivial",
    ),
    *(f"vs_{name}" if field == "value" else f"vs_{name}_{field}" for name in REFERENCES for field in VERSUS),
    *("half_samples", "half_seeds"),
    *(f"vs_{name}_{field}" for name in REFERENCES for field in PARTS),
    *("official", "official_differs", "evaluator", "extraction", "tagger", "prompt", "base"),
    "n_images_trained_on",
)
"""The fields of every record, in order: CSV has its header without any. Later ones stand at the end."""


def records(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """One flat record per panel, benchmark, row and metric, all metrics included; None where nothing counts.

    ``trivial`` says what answers that need no model score in the same metric ({"always No": 79.7}); they are no rows.
    """
    found = [
        {
            **_about(table),
            "method": row.label,
            "seeds": len(row.runs),
            "n": row.n,
            "n_scored": row.n_scored,
            "n_failed": row.n_failed,
            **{f"n_{name}": row.answers.get(name) for name in SUSPECT},
            **_figure(metric, row.cells[metric.name]),
            "trivial": _trivial(table, metric),
            **_evaluator(table, row, metric),
            **_versus(row, row.cells[metric.name], table.against),
            "n_images_trained_on": row.trained_on,
            **_synthetic(table.condition),
        }
        for table in tables
        for row in table.rows
        for metric in table.metrics
    ]
    order = (*FIELDS, *AGAINST, "synthetic")
    return [{name: record[name] for name in order if name in record} for record in found]


def _evaluator(table: Table, row: Row, metric: Metric) -> dict[str, Any]:
    """What evaluated a row; ``official`` of official figures alone, ``base``: what the base has in the same metric."""
    base = next((other.cells[metric.name].value for other in table.rows if other.label == BASE), math.nan)
    official = official_level(row, metric)
    return {
        "official": official,
        "official_differs": "; ".join(official_differs(row)) if official == "rules" else None,
        "evaluator": _joined(of.key for of in row.evaluators),
        "extraction": _joined(of.extraction for of in row.evaluators),
        "tagger": _joined(of.tagger for of in row.evaluators),
        "prompt": _joined(of.prompt for of in row.evaluators),
        "base": finite(base),
    }


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _trivial(table: Table, metric: Metric) -> dict[str, float] | None:
    """By what each trivial answer is called its figure; None where it has none."""
    given = {label: figures.get(metric.name, math.nan) for label, figures in table.trivial.items()}
    return {label: value for label, value in given.items() if math.isfinite(value)} or None


def _about(table: Table) -> dict[str, Any]:
    """Which table a record is of."""
    condition = table.condition
    return {
        "panel": table.panel,
        "benchmark": condition.benchmark,
        "version": condition.version,
        "mode": condition.mode,
        "judge": condition.judge,
        "data": condition.data_hash,
        "eos_bias": condition.eos_bias,
        "decoding": " ".join([*(f"{name}={value}" for name, value in condition.decoding), *asked_words(condition)]),
    }


def _figure(metric: Metric, cell: Cell) -> dict[str, Any]:
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "value": finite(cell.value),
        "low": finite(cell.low),
        "high": finite(cell.high),
        "seed_sd": finite(cell.spread),
        "extrapolated": finite(cell.extrapolated),
        "bracketed": cell.bracketed,
        "half_samples": finite(cell.samples),
        "half_seeds": finite(cell.seeds),
    }


def _synthetic(condition: Condition) -> dict[str, str]:
    """The field of records that are of made-up data; others do not have it."""
    return {"synthetic": condition.synthetic} if condition.synthetic else {}


def to_json(tables: Sequence[Table]) -> str:
    """The records as a JSON array."""
    return json.dumps(records(tables), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(tables: Sequence[Table]) -> str:
    """The records as CSV with a header; an absent number is empty."""
    text = io.StringIO()
    rows = records(tables)
    some = [name for name in (*AGAINST, "synthetic") if any(name in row for row in rows)]
    writer = csv.DictWriter(text, [*FIELDS, *some], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        trivial = "; ".join(f"{label}: {value:g}" for label, value in (row["trivial"] or {}).items())
        writer.writerow({name: spreadsheet_cell(value) for name, value in {**row, "trivial": trivial}.items()})
    return text.getvalue()


def spreadsheet_cell(value: Any) -> Any:
    """``value`` as a cell that no spreadsheet takes for a formula: a text that begins one gets an apostrophe before it.

    Numbers stay numbers, also negative ones. Source: OWASP, CSV Injection.
    """
    if not isinstance(value, str):
        return value
    text = on_one_line(value)
    return f"'{text}" if value.startswith(FORMULA) or text.startswith(FORMULA) else text


def _versus(row: Row, cell: Cell, against: str | None) -> dict[str, float | int | str | None]:
    """The difference to each reference in columns ``vs_dpo``, ``vs_dpo_low``... (the same for every record), and to the
    row that was asked for in ``vs_against``...
    """
    out: dict[str, float | int | str | None] = {}
    named = {name: name for name in REFERENCES} | ({"against": against} if against is not None else {})
    for column, name in named.items():
        difference = cell.versus.get(name)
        out[f"vs_{column}_row"] = row.references.get(name)
        for field in ("value", "low", "high", "p", "n"):
            key = f"vs_{column}" if field == "value" else f"vs_{column}_{field}"
            out[key] = None if difference is None else finite(getattr(difference, field))
        out[f"vs_{column}_smallest"] = None if difference is None else finite(difference.smallest)
        out[f"vs_{column}_p_holm"] = finite(cell.holm.get(name, math.nan))
        out[f"vs_{column}_half_samples"] = None if difference is None else finite(difference.samples)
        out[f"vs_{column}_half_seeds"] = None if difference is None else finite(difference.seeds)
        out[f"vs_{column}_kind"] = None if difference is None else difference.kind
        out[f"vs_{column}_signs_differ"] = None if difference is None else difference.signs_differ
    return out


def comparison_records(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Flat records of a comparison for JSON; None where a number is undefined."""
    return [
        {
            **{k: v for k, v in asdict(c.condition).items() if k not in ("decoding", "asked", "synthetic")},
            **({"asked": ", ".join(asked_words(c.condition))} if c.condition.asked else {}),
            "eos_bias": c.condition.eos_bias,
            "metric": c.metric.name,
            "unit": c.metric.unit,
            "higher_is_better": c.metric.higher_is_better,
            "a": finite(c.a),
            "b": finite(c.b),
            "difference": finite(c.difference.value),
            "low": finite(c.difference.low),
            "high": finite(c.difference.high),
            "samples": finite(c.difference.samples),
            "seeds": finite(c.difference.seeds),
            "kind": c.difference.kind,
            "by_seed": [finite(difference) for difference in c.difference.by_seed],
            "p": finite(c.difference.p),
            "p_holm": finite(c.p_holm),
            "family": c.family,
            "primary": c.primary,
            "p_mcnemar": c.p_mcnemar,
            "n_common": c.difference.n,
            "smallest": finite(c.difference.smallest),
            "extrapolated": finite(c.difference.extrapolated),
            "bracketed": c.difference.bracketed,
            **_synthetic(c.condition),
        }
        for c in comparisons
    ]


class Csv(Format):
    """One line a record, every metric included; published figures never stand among them."""

    name = "csv"
    suffixes = (".csv",)

    def render(self, view: View) -> str:
        return to_csv(view.full_tables)


class Json(Format):
    """An array of records, every metric included; published figures never stand among them."""

    name = "json"
    suffixes = (".json",)

    def render(self, view: View) -> str:
        return to_json(view.full_tables)


FORMATS.register("csv", Csv)
FORMATS.register("json", Json)
