"""A small store to build leaderboards from: one benchmark of six images, two seeds of two methods, and a base."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.protocols.benchmark import Metric, Verdict, ratio
from harness.store import EvaluationRecord, NewEvaluation, Store
from leaderboards.snapshot import Snapshot

METRICS = [
    Metric("chair", ratio("hallucinated", "mentions"), False),
    Metric("accuracy", ratio("correct", "asked"), True),
    Metric("mentions", ratio("mentions", "asked", scale=1.0), None, unit="per answer"),
    Metric("official_chair", ratio("hallucinated", "mentions"), False),
]


class FixedMetrics(Snapshot):
    """A snapshot whose evaluations all have the same metrics, whatever their benchmark's are."""

    def __init__(self, store: Store, metrics: Sequence[Metric]) -> None:
        super().__init__(store)
        self.fixed = metrics

    def metrics(self, evaluation: EvaluationRecord) -> Sequence[Metric]:
        return self.fixed


def snapshot(store: Store, metrics: Sequence[Metric] = METRICS) -> Snapshot:
    return FixedMetrics(store, metrics)


def verdict(hallucinated: float, mentions: float = 4.0) -> Verdict:
    return Verdict(
        {"hallucinated": hallucinated, "mentions": mentions, "correct": float(hallucinated < 2), "asked": 1.0}
    )


def add(store: Store, run: str, verdicts: Mapping[str, Verdict], **changes: Any) -> None:
    """Store an evaluation of ``run`` in place of an earlier one; its stored chair is the sum's ratio."""
    good = [v.counts for v in verdicts.values() if v.error is None]
    mentions = sum(v.get("mentions", 0.0) for v in good)
    chair = 100 * sum(v["hallucinated"] for v in good) / mentions if mentions else math.nan
    record: dict[str, Any] = {
        "key": run + str(changes), "run": run, "model": f"run:{run}", "model_key": run, "benchmark": "amber",
        "alignment": run if run != "base" else None, "settings": {}, "version": "1", "mode": "plain", "judge": "none",
        "data_key": "d", "data_dir": ".", "decoding": {"eos_bias": 0.0}, "n": len(verdicts), "n_scored": len(good),
        "n_failed": len(verdicts) - len(good), "info": {},
        "metrics": {"chair": {"value": chair, "low": 0.0, "high": 50.0, "unit": "%", "higher_is_better": False}},
        **changes,
    }  # fmt: skip
    with store.transaction() as db:  # in place of an earlier one, whichever is the better
        db.execute("DELETE FROM evaluation WHERE key = ?", [record["key"]])
    store.save_evaluation(NewEvaluation(**record), ((i, 0, f"image-{i}", "an answer", v) for i, v in verdicts.items()))


def answers(hallucinated: Sequence[float]) -> dict[str, Verdict]:
    return {str(i): verdict(count) for i, count in enumerate(hallucinated)}


def example(path: Path) -> Store:
    """base 50 %; dpo 25 % and 50 % in its seeds; dama 12.5 % in both, with one failed sample."""
    store = Store(path / "results.sqlite")
    for method, seed in (("dpo", 0), ("dpo", 1), ("dama", 0), ("dama", 1)):
        name = f"{method}-s{seed}"
        log = store.start_alignment(name, method=method, seed=seed, panel="clean", key=name, config={})
        for step in (0, 10):
            for split in ("train", "heldout"):
                log.log_gaps(step, split, [(f"p{i}", step * i / 10 + seed) for i in range(6)])
        if method == "dama":
            for split in ("train", "heldout"):
                log.log_hardness(split, {f"p{i}": float(i) for i in range(6)})
        store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
    add(store, "base", answers([2, 2, 2, 2, 2, 2]))
    add(store, "dpo-s0", answers([1, 1, 1, 1, 1, 1]))
    add(store, "dpo-s1", answers([2, 2, 2, 2, 2, 2]))
    add(store, "dama-s0", answers([0, 1, 0, 1, 0, 1]))
    add(store, "dama-s1", {**answers([1, 0, 1, 0, 1, 0]), "5": Verdict({"official_errors": 1.0}, error="no reply")})
    return store


def one_seed(path: Path) -> Store:
    """One seed a method, six images that all agree: base 50 %, dpo 25 %, dama 0 %."""
    store = Store(path / "results.sqlite")
    for method, hallucinated in (("dpo", 1), ("dama", 0)):
        store.start_alignment(f"{method}-s0", method=method, seed=0, panel="clean", key=method, config={})
        store.finish_alignment(f"{method}-s0", status="done", model_dir="m", seconds=1.0)
        add(store, f"{method}-s0", answers([hallucinated] * 6))
    add(store, "base", answers([2] * 6))
    return store
