"""What the results file holds, as typed records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.util.options import content_key

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class EvaluationSubject:
    """What is evaluated: the run's name, the model as a spec and as the key of its answers, where the data are.

    ``settings`` are the benchmark's, ``info`` is what else is worth knowing (route, notes on the data).
    """

    run: str
    model: str
    model_key: str
    alignment: str | None
    data_dir: str
    settings: Mapping[str, Any]
    info: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class NewEvaluation(EvaluationSubject):
    """One model on one benchmark under one judge: the figures, and what they were made from."""

    key: str = ""
    benchmark: str
    version: str
    mode: str
    judge: str
    data_key: str
    decoding: Mapping[str, Any]
    n: int
    n_scored: int
    n_failed: int
    metrics: Mapping[str, Mapping[str, Any]]

    def keyed(self, judge: str) -> NewEvaluation:
        """The evaluation under the key of what determines it, ``judge`` as it was asked for.

        So a rerun that gets the replies which an earlier one lacked replaces it.
        """
        determining = (self.run, self.model_key, self.benchmark, self.version, self.data_key, self.decoding)
        return dataclasses.replace(self, key=content_key(judge, *determining))


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord(NewEvaluation):
    """A stored evaluation: ``id`` is its row's, ``created`` an ISO time."""

    id: int
    settings: dict[str, Any]
    decoding: dict[str, Any]
    metrics: dict[str, dict[str, Any]]
    info: dict[str, Any]
    created: str


@dataclass(frozen=True)
class VerdictRecord:
    """The stored verdict on one answer in one judge run."""

    sample_id: str
    run: int
    group: str
    answer: str | None
    counts: dict[str, float]
    error: str | None
    details: dict[str, Any]


@dataclass(frozen=True)
class AlignmentRecord:
    """One alignment run. ``panel`` names the data condition it belongs to in a leaderboard ("clean", ...).

    ``status``: "running", "done", "failed", or "interrupted" (stopped, or its process is gone). ``seconds`` are of the
    whole run, with what is loaded, computed before the first step and saved. ``number`` is its place in one order with
    the evaluations' ids.
    """

    name: str
    method: str
    seed: int
    panel: str
    key: str
    config: dict[str, Any]
    info: dict[str, Any]
    status: str
    model_dir: str
    seconds: float
    created: str
    number: int = 0

    @property
    def training_seconds(self) -> float | None:
        """Seconds of the optimiser steps alone; None for a run that resumed, or of an earlier version."""
        seconds = self.info.get("training_seconds")
        return None if seconds is None else float(seconds)

    @property
    def parent(self) -> str | None:
        """The run that it started from; None for one that started from a model."""
        parent = self.info.get("lineage", {}).get("parent")
        return None if parent is None else str(parent)
