"""What evaluated the rows of tables: which figures are official by their rules only, and which rows are not comparable.

A table never mixes judges, versions, data or decodings (``leaderboards.condition``). What the condition does not hold,
a prompt's text or a list of synonyms, is part of an evaluator's fingerprint all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from harness.evaluation.fingerprint import Fingerprint
from harness.protocols.benchmark import Metric
from harness.protocols.official import Level, is_official, level
from harness.store import EvaluationRecord
from leaderboards.condition import condition_of
from leaderboards.declared import benchmark_title, primary_of
from leaderboards.rows import Row, Table
from leaderboards.run_groups import BASE
from leaderboards.snapshot import Snapshot

RULES_ONLY = "‡"
"""Stands after an ``official_*`` figure that follows the official rules with other resources."""
OFFICIALLY = f"{RULES_ONLY} By the official rules only, with other resources: not comparable with published figures."


def official_level(row: Row, metric: Metric) -> Level | None:
    """How far an ``official_*`` figure of a row is official: by the rules only where an evaluation of the row is.

    None of other figures, and where older evaluations do not say.
    """
    levels = {evaluator.official for evaluator in row.evaluators}
    if not is_official(metric.name):
        return None
    return "rules" if "rules" in levels else "full" if levels == {"full"} else None


def official_mark(row: Row, metric: Metric) -> str:
    """The sign after a row's figure."""
    return RULES_ONLY if official_level(row, metric) == "rules" else ""


def stored_mark(evaluation: EvaluationRecord, metric: str) -> str:
    """The sign after a figure of a stored evaluation."""
    return RULES_ONLY if is_official(metric) and level(evaluation.info) == "rules" else ""


def official_differs(row: Row) -> list[str]:
    """The resources of a row that are not the official ones."""
    return list(dict.fromkeys(part for evaluator in row.evaluators for part in evaluator.differs))


def rules_only(tables: Sequence[Table]) -> list[str]:
    """The sentence on what is marked in ``tables``: the resources of each benchmark that differ; none without."""
    differing: dict[str, dict[str, None]] = defaultdict(dict)
    for table in tables:
        for row in table.rows:
            if any(official_mark(row, metric) for metric in table.metrics):
                differing[benchmark_title(table.condition.benchmark)].update(dict.fromkeys(official_differs(row)))
    said = [f"{title}: {'; '.join(parts)}" for title, parts in differing.items()]
    return [f"{OFFICIALLY} {'. '.join(said)}."] if said else []


def different_evaluators(tables: Sequence[Table]) -> list[str]:
    """Of each panel and benchmark with several evaluators a sentence: what differs, and whose figures each made."""
    rows: dict[tuple[str, str], dict[Fingerprint, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    for table in tables:
        for row in table.rows:
            for evaluator in row.evaluators:
                rows[table.panel, table.condition.benchmark][evaluator][row.label] = None
    return [
        f"{benchmark_title(benchmark)}{f' ({panel})' if panel else ''} has {len(made)} evaluators, whose figures are "
        f"not to be compared with each other: {'; '.join(_each(made))}."
        for (panel, benchmark), made in rows.items()
        if len(made) > 1
    ]


def _each(made: Mapping[Fingerprint, Mapping[str, None]]) -> list[str]:
    """Of every evaluator its key, what of it the others do not have in common, and its rows."""
    words = {evaluator: evaluator.words for evaluator in made}
    names = dict.fromkeys(name for of in words.values() for name in of)
    apart = [name for name in names if len({of.get(name) for of in words.values()}) > 1]
    own = {evaluator: [f"{name} {of.get(name, 'none')}" for name in apart] for evaluator, of in words.items()}
    return [f"{each.key} ({', '.join(own[each])}): {', '.join(rows)}" for each, rows in made.items()]


def base_of(snapshot: Snapshot, evaluation: EvaluationRecord) -> EvaluationRecord | None:
    """The evaluation of the base model under the condition of ``evaluation``: its figure is what that evaluator gives a
    known model. In the panel of the run, or the first that has one; None where the base was not evaluated so."""
    names, condition = snapshot.groups, condition_of(evaluation)
    aligned = names.alignments.get(evaluation.alignment or "")
    same = [e for e in snapshot.current if e.benchmark == evaluation.benchmark and condition_of(e) == condition]
    panels = names.panels if aligned is None else [aligned.panel]
    return next((e for panel in panels for e in same if names.label(e, panel) == BASE), None)


def base_value(snapshot: Snapshot, evaluation: EvaluationRecord) -> dict[str, Any] | None:
    """The base's own value in the primary figure: {"run", "metric", "value"}."""
    base = base_of(snapshot, evaluation)
    if base is None:
        return None
    metric = primary_of(base.benchmark, snapshot.metrics(base))
    if metric is None or metric.name not in base.metrics:
        return None
    return {"run": base.run, "metric": metric.name, "value": base.metrics[metric.name]["value"]}
