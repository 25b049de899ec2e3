"""What the report shows once for each row that others can be compared with: cards, differences in cells, forests.

They are drawn on the server, one packed part for each reference, so that the page holds no second way to write a figure
or to draw a chart; its script puts the part of the chosen reference in place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from leaderboards import half_widths
from leaderboards.charts.forest import Estimate, forest
from leaderboards.charts.svg import fitting
from leaderboards.compared_with import compared_with
from leaderboards.declared import metric_title
from leaderboards.extrapolation import MARK
from leaderboards.page.answers import answers, kind_of
from leaderboards.page.samples import Chunks
from leaderboards.provenance import condition_key
from leaderboards.rows import Row, Table
from leaderboards.run_groups import BASE, DPO
from leaderboards.text import (
    against,
    compared,
    condition_titles,
    interval,
    is_matched,
    number,
    p_text,
    signed,
    stars,
)  # fmt: skip

SIGNS = {"better": "▲", "worse": "▼", "unsure": "·"}


def choices(tables: Sequence[Table]) -> list[str]:
    """The rows of one panel that all others can be compared with: every row, where there are at least two."""
    labels = list(dict.fromkeys(row.label for table in tables for row in table.rows))
    return labels if len(labels) > 1 else []


def first_choice(tables: Sequence[Table], labels: Sequence[str]) -> str:
    """The reference that a panel opens with: the one that its tables have, else DPO, else the base, else the first."""
    chosen = next((table.against for table in tables if table.against in labels), None)
    return chosen or next((name for name in (DPO, BASE) if name in labels), labels[0] if labels else "")


def tables_against(tables: Sequence[Table], reference: str) -> list[Table]:
    """The ``tables`` of a panel with the rows compared with ``reference``."""
    if any(reference in compared(table) for table in tables):
        return [table for table in tables if reference in table.references]
    return [against for table in tables if (against := compared_with(table, reference)) is not None]


def add_references(
    every: Sequence[Table],
    titles: Sequence[str],
    panels: Sequence[dict[str, Any]],
    palette: Mapping[str, int],
    chunks: Chunks,
    parts: Any,
) -> None:
    """Give every panel its references and what it opens with, and put what it shows of its tables against each of the
    others into ``chunks``, drawn by ``parts``, the macros of reference.html.j2.
    """
    for position, (title, panel) in enumerate(zip(titles, panels, strict=True)):
        tables = [table for table in every if table.panel == title]
        panel["references"] = choices(tables)
        panel["reference"] = opened = first_choice(tables, panel["references"])
        panel["shown"] = {"cards": [], "forests": [], "deltas": {}}
        panel["parts"] = []
        places = [row["label"] for row in panel["ranked"]]
        for i, reference in enumerate(panel["references"]):
            shown = reference_view(tables_against(tables, reference), reference, palette)
            shown["cards"].sort(key=lambda card: places.index(card["label"]))
            if reference == opened:
                panel["shown"] = shown
            part = {
                "cards": parts.cards(shown["cards"], palette),
                "forests": parts.forests(shown["forests"]),
                "deltas": {cell: parts.delta(delta) for cell, delta in shown["deltas"].items()},
            }
            if chunks.add(f"r{position}x{i}", part):
                panel["parts"].append([reference, f"r{position}x{i}"])
        if opened not in (reference for reference, _ in panel["parts"]):
            panel["parts"] = []


def reference_view(tables: Sequence[Table], reference: str, palette: Mapping[str, int]) -> dict[str, Any]:
    """What the page shows of one panel's ``tables`` against ``reference``: cards, forests, and by the key of a cell
    (``cell_key``) the difference that stands in it.
    """
    titles = condition_titles(table.condition for table in tables)
    return {
        "cards": answers(tables, reference),
        "forests": [
            chart for table in tables for chart in _forests(table, titles[table.condition], reference, palette)
        ],
        "deltas": {
            cell_key(table, metric, row.label): delta
            for table in tables
            for metric in table.headline
            for row in table.rows
            if (delta := _delta(row, metric, reference)) is not None
        },
    }


def cell_key(table: Table, metric: Metric, label: str) -> str:
    """What the page knows a cell of a panel's ranking by."""
    return f"{condition_key(table.condition)} {metric.name} {label}"


def _delta(row: Row, metric: Metric, reference: str) -> dict[str, str] | None:
    """The difference of a cell in words; None where there is none."""
    cell = row.cells[metric.name]
    d = cell.versus.get(reference)
    if d is None or not math.isfinite(d.value):
        return None
    p = cell.holm[reference]
    span, kind = interval(d.low, d.high, metric), kind_of(d, metric, p)
    return {
        "kind": kind,
        "text": f"{SIGNS[kind]} {signed(d.value, metric)}{stars(d, p)}",
        "range": span,
        "p": f"p {p_text(p)}",
        "about": f"against {row.references[reference]}: {signed(d.value, metric)} {span}, p {p_text(d.p)}, "
        f"Holm {p_text(p)}, {d.n} common samples{_parts(d, metric, '; ')}{_detectable(d, metric)}",
    }


def _parts(difference: Difference, metric: Metric, before: str = "") -> str:
    """What the interval is made of, whether the seeds disagree, and that no method is judged where a side has one seed;
    empty where nothing is known of it."""
    words = half_widths.named(difference, metric)
    if difference.signs_differ:
        which = "" if len(words) > 1 else "seeds "  # the last part is theirs
        words[-1:] = [" ".join([*words[-1:], f"({which}disagree in sign)"])]
    words += ["as checkpoints"] if words and difference.kind == "checkpoints" else []
    return before + ", ".join(words) if words else ""


def _detectable(difference: Difference, metric: Metric) -> str:
    if not math.isfinite(difference.smallest):
        return ""
    return f"; minimum detectable difference {number(difference.smallest, metric)} (80 % power)"


def _forests(table: Table, name: str, reference: str, palette: Mapping[str, int]) -> list[dict[str, Any]]:
    """For each headline metric the differences of all rows with their intervals; at equal coverage first."""
    forests = []
    for metric in sorted(table.headline, key=lambda m: not is_matched(table, m)):
        compared = [row for row in table.rows if reference in row.cells[metric.name].versus]
        rows = [_estimate(row, metric, reference, palette.get(row.label, 0)) for row in compared]
        if any(math.isfinite(row.value) for row in rows):
            title = f"{name} {metric_title(metric, table.condition.benchmark)}"
            wide = is_matched(table, metric)
            draw = partial(_drawn, rows, title, f"difference to {reference}")
            forests.append({"chart": fitting(draw) if wide else draw(376), "wide": wide})
    return forests


def _estimate(row: Row, metric: Metric, reference: str, colour: int) -> Estimate:
    """The difference of a row to a reference, as a line of a forest."""
    cell = row.cells[metric.name]
    d, holm = cell.versus[reference], p_text(cell.holm[reference])
    span = interval(d.low, d.high, metric)
    text = f"{signed(d.value, metric)}{'' if d.bracketed else MARK} {span}  p {holm}"
    parts = _parts(d, metric)
    note = f"{row.label} - {row.references[reference]}: {signed(d.value, metric)} {span}, Holm p {holm}; {parts}"
    return Estimate(
        against(row, reference), d.value, d.low, d.high, colour, text, note.rstrip("; "),
        more=parts, name=row.label, samples=d.samples, seeds=d.by_seed,
    )  # fmt: skip


def _drawn(rows: Sequence[Estimate], title: str, x: str, width: int) -> Markup:
    return forest(rows, title, x, width=width)
