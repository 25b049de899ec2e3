"""CHAIR_i at the base model's coverage: hallucination compared where models mention equally much.

Shorter answers hallucinate less and cover less, so CHAIR_i alone rewards silence. Greedy decoding with a bias on the
end-of-sequence logit moves a model along its own coverage-hallucination curve; CHAIR_i is read off that curve at the
coverage (object recall) that the base model has without a bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table as RichTable

from harness.metrics import RESAMPLES, SEED, columns_of, matrix, named_sums
from harness.run import metrics_of
from harness.stats import bootstrap_sums
from harness.store import EvaluationRecord, Store
from leaderboards.markdown import grid
from leaderboards.rows import Condition, condition_of
from leaderboards.text import panel_title

BENCHMARK = "object_halbench"
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Matched:
    """CHAIR_i of one label at the base's coverage, with its difference to a reference; percentages."""

    label: str
    value: float
    low: float
    high: float
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


def curve(store: Store, evaluations: Sequence[EvaluationRecord]) -> tuple[Points, Points]:
    """Coverage and CHAIR_i at every EOS bias, each of shape [biases, 1 + resamples]; entry 0 is the estimate itself.

    The resamples are drawn with one seed over the samples in one order, so two runs' entries are paired.
    """
    coverage, chair = [], []
    for evaluation in sorted(evaluations, key=lambda e: e.decoding["eos_bias"]):
        metrics = {metric.name: metric for metric in metrics_of(store, evaluation)}
        rows = store.verdicts(evaluation.id)
        columns = columns_of(rows)
        values = matrix(rows, columns)
        draws = bootstrap_sums(values, [row.group for row in rows], resamples=RESAMPLES, seed=SEED)
        sums = named_sums(columns, np.vstack([values.sum(axis=0, keepdims=True), draws]))
        coverage.append(metrics["recall"].of(sums))
        chair.append(metrics["chair_i"].of(sums))
    return np.array(coverage), np.array(chair)


def at_coverage(coverage: Points, chair: Points, target: Points) -> Points:
    """CHAIR_i where each column's curve meets ``target``, shape [1 + resamples].

    Linear between the points of the curve; beyond its ends the last segment is prolonged.
    """
    found = np.empty(target.shape)
    for i, wanted in enumerate(target):
        order = np.argsort(coverage[:, i], kind="stable")
        x, y = coverage[order, i], chair[order, i]
        right = int(np.clip(np.searchsorted(x, wanted), 1, len(x) - 1))
        width = x[right] - x[right - 1]
        slope = (y[right] - y[right - 1]) / width if width > 0 else 0.0
        found[i] = y[right - 1] + slope * (wanted - x[right - 1])
    return found


def matched(
    store: Store, labels: Mapping[str, Sequence[str]], base: str = "base", reference: str | None = None
) -> list[Matched]:
    """One row a label (its runs averaged, seed by seed), for labels whose runs all have a curve.

    ``labels`` maps a label to its runs; the base's run gives the coverage. ``reference`` names the label that
    differences are taken to (default: ``base``).
    """
    everything = store.evaluations(benchmark=BENCHMARK)
    standing = [_shared(e) for e in everything if e.run == base and not e.decoding["eos_bias"]]
    curves: dict[str, dict[float, EvaluationRecord]] = {}
    for evaluation in everything:
        if standing and _shared(evaluation) == standing[-1]:
            curves.setdefault(evaluation.run, {})[evaluation.decoding["eos_bias"]] = evaluation
    if len(curves.get(base, {})) < 2:
        return []
    coverage, chair = curve(store, list(curves[base].values()))
    unbiased = sorted(curves[base]).index(0.0)
    target = coverage[unbiased]
    found = {base: chair[unbiased]}
    for label, runs in labels.items():
        points = [list(curves.get(run, {}).values()) for run in runs]
        if points and all(len(p) > 1 for p in points):
            found[label] = np.mean([at_coverage(*curve(store, p), target) for p in points], axis=0)
    against = found.get(reference or base)
    return [_row(label, values, None if label == (reference or base) else against) for label, values in found.items()]


def _shared(evaluation: EvaluationRecord) -> Condition:
    """What the points of a curve have in common: the condition but for the bias."""
    condition = condition_of(evaluation)
    return replace(condition, decoding=tuple(item for item in condition.decoding if item[0] != "eos_bias"))


def _row(label: str, values: Points, against: Points | None) -> Matched:
    low, high = np.percentile(values[1:], [2.5, 97.5])
    if against is None:
        return Matched(label, float(values[0]), float(low), float(high))
    change = values - against
    change_low, change_high = np.percentile(change[1:], [2.5, 97.5])
    return Matched(label, float(values[0]), low, high, float(change[0]), float(change_low), float(change_high))


TITLE = "Object HalBench CHAIRi at the base's coverage"
NOTE = "% ↓, read off each method's coverage curve (greedy decoding with a bias on the end-of-sequence logit)"


def terminal_table(panel: str, rows: Sequence[Matched]) -> RichTable:
    """The matched figures of a panel as a rich table."""
    table = RichTable(
        title=f"[bold]{TITLE}[/]  [cyan]{panel_title(panel)}[/]",
        caption=NOTE,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in HEADER:
        table.add_column(name, justify="left" if name == HEADER[0] else "right")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def markdown_table(panel: str, rows: Sequence[Matched]) -> str:
    """The matched figures of a panel as Markdown, with a heading."""
    return f"## {TITLE}: {panel_title(panel)}\n\n{NOTE}\n\n{grid(HEADER, [_cells(row) for row in rows])}"


HEADER = ("Method", "CHAIRi", "95 % interval", "Difference to dpo", "95 % interval of it")


def _cells(row: Matched) -> list[str]:
    cells = [row.label, f"{row.value:.1f}", f"({row.low:.1f}, {row.high:.1f})"]
    if row.difference is None or row.difference_low is None or row.difference_high is None:
        return [*cells, "–", "–"]
    star = "*" if row.difference_low * row.difference_high > 0 else ""
    return [*cells, f"{row.difference:+.1f}{star}", f"({row.difference_low:+.1f}, {row.difference_high:+.1f})"]
