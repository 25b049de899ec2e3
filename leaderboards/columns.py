"""Beside whose figures an evaluation stands in tables, and by what other columns of its benchmark differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from harness.store import EvaluationRecord
from leaderboards.condition import Condition, condition_of
from leaderboards.text import decoding_text, distinguishing

SHOWN = 3
"""Columns, and runs of each, that are named."""


def of_file(record: EvaluationRecord, others: Iterable[EvaluationRecord]) -> str:
    """Of answers from a file: how they count as generated, which runs of ``others`` are in one column with them, and
    of those that are not by what their columns differ (points of coverage curves aside).
    """
    own, runs = condition_of(record), defaultdict[Condition, list[str]](list)
    for each in others:
        condition = condition_of(each)
        if each.benchmark == record.benchmark and each.run != record.run and condition.eos_bias == own.eos_bias:
            runs[condition].append(each.run)
    beside = runs.pop(own, [])
    places = [f"in one column with {_listed(beside)}" if beside else "in a column of its own"]
    for condition, names in list(runs.items())[:SHOWN]:
        words = distinguishing([own, condition])
        places.append(f"not with {_listed(names)} ({', '.join(words[condition])}; here {', '.join(words[own])})")
    return (
        f"{record.run} stands {', '.join(places)}. A file does not say how its answers were generated: these count as "
        f"{decoding_text(own)}; --set decoding.NAME=VALUE says otherwise"
    )


def _listed(names: Sequence[str]) -> str:
    once = list(dict.fromkeys(names))
    return ", ".join(once[:SHOWN]) + (f" and {len(once) - SHOWN} more" if len(once) > SHOWN else "")
