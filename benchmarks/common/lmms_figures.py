"""Figures of lmms-eval's tasks that are no mean over documents (POPE's F1, MME's sums): as functions of documents.

A task aggregates a list of what it found on each document; given a part of the list it gives the figure of that part.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from harness.protocols.external import FigureOf

LONGEST = 0.3
"""Seconds of an aggregation above which it is not repeated: it may ask a judge for every document."""
NO_FIGURE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What the aggregation of a task raises for documents that it cannot sum up."""
UNIT = "question_id"
"""The field of what is found on a document that says which belong together: MME's two questions of an image."""


def means_of(values: Mapping[str, float], rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """The metrics of ``values`` (under whatever filters) that are the mean of the documents' own numbers."""
    of_metric: dict[str, list[float]] = defaultdict(list)
    for key, value in values.items():
        of_metric[key.split(",")[0]].append(value)
    return {
        metric
        for metric, figures in of_metric.items()
        if all(_is_mean([row[metric] for row in rows if metric in row], figure) for figure in figures)
    }


def figures_of(
    task: Any, values: Mapping[str, float], rows: Sequence[Mapping[str, Any]], means: Collection[str]
) -> dict[str, FigureOf]:
    """By name the figures of ``values`` that are none of the ``means``, as functions of document ids.

    Left out are those that the task's aggregation does not give again from the ``rows`` (one a document, as lmms-eval
    logs them): they need more than the rows, or take too long.
    """
    made = {}
    for metric, value in values.items():
        items = {str(row["doc_id"]): row[metric] for row in rows if metric in row}
        aggregate = task.aggregation().get(metric)
        if metric in means or not items or aggregate is None or "args" in inspect.signature(aggregate).parameters:
            continue
        figure_of, began = _of(aggregate, items), time.monotonic()
        if math.isclose(figure_of(list(items)), value, rel_tol=1e-9) and time.monotonic() - began < LONGEST:
            made[metric] = figure_of
    return made


def _is_mean(items: Sequence[Any], value: float) -> bool:
    numbers = [float(item) for item in items if isinstance(item, bool | int | float)]
    whole = bool(items) and len(numbers) == len(items)
    return whole and math.isclose(sum(numbers) / len(numbers), value, rel_tol=1e-9, abs_tol=1e-12)


def unit_of(row: Mapping[str, Any]) -> str:
    """What a document is left out with: the question that its values name, else itself."""
    named = (value[UNIT] for value in row.values() if isinstance(value, Mapping) and UNIT in value)
    return str(next(named, row["doc_id"]))


def _of(aggregate: Callable[[list[Any]], Any], items: Mapping[str, Any]) -> FigureOf:
    def figure(ids: Sequence[str]) -> float:
        some = [items[id_] for id_ in ids if id_ in items]
        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                return float(aggregate(some)) if some else math.nan
        except NO_FIGURE:
            return math.nan

    return figure
