"""Stores like those of real studies: several methods with seeds on two benchmarks, or answers of others alone.

The counts are drawn with a fixed seed; nothing is claimed of them but that they can be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.protocols.benchmark import Sample, Verdict
from harness.store import Store
from tests.leaderboards.fakes import add

METHODS = ("dpo", "hardness", "gap", "dama")


def study(
    path: Path,
    *,
    methods: Sequence[str] = METHODS,
    seeds: int = 3,
    panels: Sequence[str] = ("clean",),
    images: int = 40,
) -> Store:
    """``methods`` aligned on each of ``panels`` with logs, gaps and hardness, their base, and all of their answers."""
    store, rng = Store(path), np.random.default_rng(20261127)
    _samples(store, images)
    _evaluate(store, rng, "base", 0.45, images, None)
    for p, panel in enumerate(panels):
        for m, method in enumerate(methods):
            for seed in range(seeds):
                run = f"{method}-{panel}-s{seed}" if p else f"{method}-s{seed}"
                config = {"objective": {"keep": 0.8}}
                log = store.start_alignment(run, method=method, seed=seed, panel=panel, key=run, config=config)
                log.log_hardness("train", {f"p{i}": float(np.sin(i) + i / 20) for i in range(30)})
                log.log_hardness("heldout", {f"h{i}": float(np.cos(i) + i / 20) for i in range(30)})
                for step in range(0, 41, 10):
                    for split, letter in (("train", "p"), ("heldout", "h")):
                        gaps = [(f"{letter}{i}", step * (i / 20 + m / 9) / 10 + rng.normal(0, 0.2)) for i in range(30)]
                        log.log_gaps(step, split, gaps)
                for step in range(1, 41):
                    beta = 0.1 + m * step / 2000
                    logged = {"loss": 0.69 - step / 100, "beta_mean": beta, "gap": step / 9, "aM": 1 + m / 9}
                    log.log_step(step, {**logged, "r_bar": step / 9, "tokens": 900 + 50 * m})
                store.finish_alignment(run, status="done", model_dir="m", seconds=10.0 + m)
                rate = 0.42 - 0.05 * m + 0.03 * p + rng.normal(0, 0.02)
                _evaluate(store, rng, run, rate, images, run)
    return store


def answers_of_others(path: Path, names: Sequence[str], *, images: int = 40) -> Store:
    """Answers that were scored from files or asked of an API: no run was aligned here, and none of them is a base."""
    store, rng = Store(path), np.random.default_rng(7)
    _samples(store, images)
    for i, name in enumerate(names):
        _evaluate(store, rng, name, 0.15 + 0.4 * i / len(names), images, None, biases=(0.0,))
    return store


def _samples(store: Store, images: int) -> None:
    store.save_samples(
        "d",
        [
            Sample(str(i), f"What is in picture {i}?", group=f"image-{i}", data={"type": "attribute"})
            for i in range(images)
        ],
    )


def _evaluate(
    store: Store,
    rng: np.random.Generator,
    run: str,
    rate: float,
    images: int,
    alignment: str | None,
    biases: Sequence[float] = (-1.0, 0.0, 1.0),
) -> None:
    """Object HalBench at every bias, and MMHal."""
    for bias in biases:
        verdicts = {str(i): _caption(rng, rate * (1 - 0.25 * bias), 0.55 - 0.15 * bias) for i in range(images)}
        sums = {name: sum(v.counts[name] for v in verdicts.values()) for name in verdicts["0"].counts}
        figures = {"chair_i": sums["hallucinated"] / sums["mentions"], "recall": sums["recalled"] / sums["truths"]}
        stored = {name: {"value": 100 * value, "higher_is_better": name == "recall"} for name, value in figures.items()}
        decoding = {"eos_bias": bias}
        add(store, run, verdicts, benchmark="object_halbench", alignment=alignment, decoding=decoding, metrics=stored)
    rated = {str(i): _rated(rng, rate) for i in range(images)}
    add(store, run, rated, benchmark="mmhal", alignment=alignment, judge="a judge")


def _caption(rng: np.random.Generator, rate: float, share: float) -> Verdict:
    named = int(rng.binomial(6, share))
    wrong = int(rng.binomial(named + 1, min(rate, 0.95)))
    counts = {
        "responses": 1.0, "naming": float(named + wrong > 0), "hallucinating": float(wrong > 0), "words": 9.0 + named,
        "hallucinated": float(wrong), "mentions": float(named + wrong), "recalled": float(named), "truths": 6.0,
    }  # fmt: skip
    return Verdict(counts, details={"hallucinated": ["answer"] if wrong else []})


def _rated(rng: np.random.Generator, rate: float) -> Verdict:
    rating = int(np.clip(rng.normal(5 - 6 * rate, 1.2), 0, 6))
    wrong = rating < 3
    counts = {
        "rated": 1.0,
        "rated_attribute": 1.0,
        "rating_attribute": float(rating),
        "rating": float(rating),
        "hallucinated": float(wrong),
        "informative": float(rating if wrong else rating - 3),
    }
    return Verdict(counts)
