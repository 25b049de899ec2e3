"""Does alignment help? A method's verdict in words against each row it is compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from leaderboards.conclusion import summed_up
from leaderboards.declared import benchmark_title, declared, metric_name, metric_title
from leaderboards.rows import Row, Table
from leaderboards.run_groups import REFERENCES
from leaderboards.text import better, figure, interval, is_matched, p_text, primary_metric, signed

WORDS = {"unsure": "not distinguishable from", "better": "better than", "worse": "worse than"}
MATCHED_WORDS = WORDS | {"better": "hallucinates less than", "worse": "hallucinates more than"}


EXTRAPOLATED = "extrapolated, so not judged against"
NOTHING_SHARED = "cannot be compared with"
CHECKPOINTS = " (as checkpoints)"


def answers(tables: Sequence[Table], reference: str = "") -> list[dict[str, Any]]:
    """For every row of a panel a verdict in words against ``reference``, and after it against DPO and base where the
    tables have these differences; on the primary figure of the table that is put into words. None of fewer rows.
    """
    table = summed_up(tables) if tables else None
    metric = primary_metric(table) if table else None
    if table is None or metric is None or not any(row.cells[metric.name].versus for row in table.rows):
        return []
    return [_answer(table, row, metric, reference) for row in table.rows]


def _answer(table: Table, row: Row, metric: Metric, reference: str) -> dict[str, Any]:
    """A row's figure with its verdicts, of which it has none where it is the reference itself."""
    cell = row.cells[metric.name]
    names = [name for name in dict.fromkeys((reference, *REFERENCES)) if name in cell.versus]
    verdicts = [_verdict(table, row, metric, name) for name in names]
    return {
        "label": row.label,
        "kind": verdicts[0]["kind"] if verdicts else "unsure",
        "verdicts": verdicts,
        "figure": figure(row, metric) + (" %" if metric.unit == "%" else ""),
        "interval": interval(cell.low, cell.high, metric),
        "what": _what(table, metric),
        "is_reference": row.label == reference,
    }


def _what(table: Table, metric: Metric) -> str:
    """The metric in words."""
    benchmark = table.condition.benchmark
    tradeoff = declared(benchmark).tradeoff
    if tradeoff and is_matched(table, metric):
        return f"{metric_name(benchmark, tradeoff[0])} at the base's coverage ↓"
    return f"{benchmark_title(benchmark)} {metric_title(metric, benchmark)}"


def _verdict(table: Table, row: Row, metric: Metric, reference: str) -> dict[str, str]:
    """How a row compares with one reference, in words and figures."""
    cell = row.cells[metric.name]
    difference, p = cell.versus[reference], cell.holm[reference]
    kind = kind_of(difference, metric, p)
    words = MATCHED_WORDS if is_matched(table, metric) else WORDS
    span = interval(difference.low, difference.high, metric)
    said = words[kind] if difference.bracketed else EXTRAPOLATED
    if not math.isfinite(difference.value):
        said = NOTHING_SHARED
    one_seed = CHECKPOINTS if difference.kind == "checkpoints" and said in words.values() else ""
    return {
        "kind": kind,
        "text": f"{said} {row.references[reference]}{one_seed}",
        "detail": f"{signed(difference.value, metric)} {span}, Holm\u00a0p\u00a0{p_text(p)}",
    }


def kind_of(difference: Difference, metric: Metric, p_holm: float) -> str:
    """Whether a difference is "better", "worse" or "unsure"."""
    return {True: "better", False: "worse", None: "unsure"}[better(difference, metric, p_holm)]
