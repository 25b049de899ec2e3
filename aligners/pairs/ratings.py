"""Preferences that the data states as ratings of several completions or as the number of the better of two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aligners.pairs.rows import BadRow, NoPreference, Place, Row


def preferred_of_two(row: Row, place: Place) -> tuple[Any, Any]:
    """(chosen, rejected) of ``output_1``, ``output_2`` and ``preference``, 1 or 2 (LLaVA-RLHF)."""
    number = str(row["preference"]).removesuffix(".0")  # CSV files have texts
    if number not in ("1", "2"):
        raise BadRow(place, f"preference={row['preference']!r}: expected 1 or 2.")
    first, second = row["output_1"], row["output_2"]
    return (first, second) if number == "1" else (second, first)


def best_and_worst(completions: Any, place: Place) -> tuple[Any, Any]:
    """The responses of the best and the worst mean rating over all aspects (VLFeedback), or score (BPO).

    Of equal ratings the first counts. A completion with a rating that is no number is left out, as VLFeedback's own
    training does. Raises NoPreference where fewer than two are rated or all are rated alike.
    """
    rated = []
    for response, given in _completions(completions, place):
        rating = _rating(given)
        if rating is not None:
            rated.append((rating, response))
    if len(rated) < 2:
        raise NoPreference(place, "fewer than two completions have ratings.")
    best, worst = max(rated, key=lambda each: each[0]), min(rated, key=lambda each: each[0])
    if best[0] == worst[0]:
        raise NoPreference(place, "all completions are rated alike.")
    return best[1], worst[1]


def _completions(value: Any, place: Place) -> Sequence[tuple[Any, Any]]:
    """(response, annotations or score) of a list of dictionaries, or of a dictionary of lists as in parquet files."""
    if isinstance(value, Mapping) and isinstance(value.get("response"), list):
        count = len(value["response"])
        if not all(isinstance(column, list) and len(column) == count for column in value.values()):
            raise BadRow(place, f"completions: expected lists of {count} entries each, as there are responses.")
        value = [{name: column[i] for name, column in value.items()} for i in range(count)]
    if not isinstance(value, list) or not all(isinstance(each, Mapping) and "response" in each for each in value):
        raise BadRow(place, "completions: expected a list of {response, annotations} or {response, score}.")
    return [(each["response"], each.get("annotations") or each.get("score")) for each in value]


def _rating(given: Any) -> float | None:
    """A score, or the mean of {aspect: {"Rating": "4"}}; None where one is no number."""
    if not isinstance(given, Mapping):
        given = {"score": {"Rating": given}}
    try:
        ratings = [float(aspect["Rating"]) for aspect in given.values()]
    except (TypeError, ValueError, KeyError):
        return None
    return sum(ratings) / len(ratings) if ratings and all(map(math.isfinite, ratings)) else None
