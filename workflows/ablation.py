"""An ablation recipe and the runs that it plans: every method under every condition and seed."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import UsageError
from harness.util.names import require_name, require_text
from harness.util.options import build


@dataclass(frozen=True)
class Ablation:
    """An ablation recipe. Every row of ``methods`` is ``{method, label?, set?, match?}``; a list in ``set`` is swept.

    Args:
        common: settings of every run (model, data, epochs...).
        world: settings of the embedded world, where no model and data are given.
        panels: conditions of the data, each ``{name, set}``; a panel of the leaderboard each.
        methods: what is compared. ``match: LABEL`` sets beta to the mean effective beta of that label's run (control).
        seeds: alignment seeds.
        suite: the benchmark suite of every model.
        benchmarks: single benchmarks in place of the suite.
        split: of the embedded world; settings are chosen on "tuning", results are of "report".
        eos_biases: points of the hallucination-against-coverage curve beside 0.
        data_dir: benchmark data; None for the embedded world.
        judge: judge of the suite; None for the embedded world's own.
        limit: only the first so many samples of each benchmark; None for all.
        budget: USD that the judge may cost at most, over all runs; None for no limit.
        prices: a YAML file over the built-in price table, as of `bench --prices`; None for none.
        workers: processes at a time; 0 for one per accelerator, or one per core up to two on a CPU.
    """

    methods: tuple[dict, ...]  # type: ignore[type-arg]
    panels: tuple[dict, ...] = ({"name": "", "set": {}},)  # type: ignore[type-arg]
    seeds: tuple[int, ...] = (0, 1)
    common: dict = field(default_factory=dict)  # type: ignore[type-arg]
    world: dict = field(default_factory=dict)  # type: ignore[type-arg]
    suite: str = "hallucination"
    benchmarks: tuple[str, ...] = ()
    split: Literal["report", "tuning"] = "report"
    eos_biases: tuple[float, ...] = ()
    data_dir: str | None = None
    judge: str | None = None
    limit: int | None = None
    budget: float | None = None
    prices: str | None = None
    workers: int = 0


@dataclass(frozen=True)
class Job:
    """One alignment with its evaluation, small enough to send to another process."""

    db: str
    name: str
    label: str
    panel: str
    settings: dict[str, Any]
    match: str | None
    ablation: Ablation


def read_ablation(values: Mapping[str, Any]) -> Ablation:
    """An Ablation from a recipe's dictionary; unknown keys and rows without a method raise a UsageError."""
    ablation = build(Ablation, values, "ablation recipe")
    for row in ablation.methods:
        if "method" not in row or set(row) - {"method", "label", "set", "match"}:
            raise UsageError(f"ablation recipe: {row}: expected {{method, label, set, match}}.")
    return ablation


def jobs(ablation: Ablation, db: str) -> list[Job]:
    """Panels x methods x settings x seeds. Raises UsageError where two runs would have one name."""
    planned = []
    for panel, seed, row in itertools.product(ablation.panels, ablation.seeds, ablation.methods):
        for label, swept in sweep(row):
            name = "-".join(filter(None, [slug(label), slug(panel.get("name", "")), f"s{seed}"]))
            settings = {
                **ablation.world,
                **ablation.common,
                **panel.get("set", {}),
                **swept,
                "method": row["method"],
                "seed": seed,
            }
            require_name("ablation recipe: run", name)
            require_text("ablation recipe: panel", panel.get("name", ""))
            planned.append(Job(db, name, label, panel.get("name", ""), settings, row.get("match"), ablation))
    repeated = sorted(name for name, count in Counter(job.name for job in planned).items() if count > 1)
    if repeated:
        raise UsageError(
            f"ablation recipe: {', '.join(repeated)}: more than one run of this name. Give each row of methods a "
            "label, each panel a name, and each seed once."
        )
    return planned


def sweep(row: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of the values listed in ``row["set"]``, labelled by the swept values."""
    given = {k: v if isinstance(v, list) else [v] for k, v in (row.get("set") or {}).items()}
    for values in itertools.product(*given.values()):
        chosen = dict(zip(given, values, strict=True))
        swept = [f"{k}={v}" for k, v in chosen.items() if len(given[k]) > 1]
        yield " ".join([row.get("label", row["method"]), *swept]), chosen


def slug(text: str) -> str:
    """``text`` as part of a run's name."""
    return re.sub(r"[^\w=.]+", "-", text.lower()).strip("-")
