"""`ablate --dry-run`: which runs there would be, what is stored of them already, and what the rest costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.protocols.benchmark import BENCHMARKS
from harness.protocols.external import ExternalBenchmark
from harness.protocols.progress import Progress, silent
from harness.store import Store
from harness.util.options import content_key
from harness.util.paths import nothing_kept
from leaderboards.snapshot import Snapshot
from workflows.ablate import bases_of
from workflows.ablation import Ablation, jobs
from workflows.ablation_jobs import check, planned
from workflows.align import dry_run
from workflows.benched import Read, is_benched, wanted_of
from workflows.cost import BenchCost, added_cost, cost_report, spec_cost
from workflows.embedded import embedded_world
from workflows.eval_models import EvalModel
from workflows.judging import Judges

TRAINING = ("steps", "TFLOP of training")
"""What is shown of the estimate of an alignment (aligners.training.cost)."""
COUNTED = ("generations", "judge_calls", "judge_prompt_tokens", "judge_completion_tokens")
"""What is shown of the estimate of a run's benchmarks (workflows.cost), with ``usd``."""


@nothing_kept()
def plan(ablation: Ablation, db: str, *, device: str, progress: Progress = silent) -> dict[str, Any]:
    """The runs of an ablation with their cost, and the sums; no world is built, no weights are loaded.

    ``runs``: of each its name, whether it is aligned already (``bases`` always are), steps and TFLOP of its training,
    and what `bench --dry-run` counts: answers, judge calls, their tokens and USD (None: the price is unknown). What is
    done already costs nothing. Where the embedded world is not built yet what depends on it is None, and ``notes`` say
    so.
    """
    store, everything = Store.planning(db), jobs(ablation, db)
    check(ablation, everything, store, device, only_estimate=True)
    root, notes = _root(ablation)
    costs = [] if root is None else _bench_costs(ablation, store, root, notes)
    rows, bases, read = [], bases_of(ablation, silent, built=False), Read(Snapshot(store))
    for base in bases:
        done = root is not None and is_benched(store, base, ablation, read=read)
        rows.append({"run": base.run, "aligned": True, **_training({}), **_bench(costs, done, root is not None)})
    estimates: dict[str, Mapping[str, Any]] = {}
    for n, job in enumerate(everything, start=1):
        spec, record = planned(store, job, device)
        if record is None:
            key = content_key({**spec.record, "seed": 0})  # seeds cost the same
            estimates.setdefault(key, dry_run(spec)["estimate"])
            notes += [note for note in [estimates[key]["notes"]] if note not in notes]
        model = EvalModel(job.name, f"run:{job.name}", job.name)
        done = record is not None and root is not None
        done = done and record is not None and is_benched(store, model, ablation, since=record.number, read=read)
        training = _training({} if record is not None else estimates[key])
        rows.append(
            {"run": job.name, "aligned": record is not None, **training, **_bench(costs, done, root is not None)}
        )
        progress("runs", n, len(everything))
    return {"runs": rows, "bases": [base.run for base in bases], "total": _total(rows), "notes": notes}


def _root(ablation: Ablation) -> tuple[Path | None, list[str]]:
    """Where the benchmarks' data are; None, and a note, where they are of an embedded world that is not built yet."""
    if ablation.data_dir is not None:
        return Path(ablation.data_dir), []
    world = embedded_world(ablation.world)
    root = world.tuning_dir if ablation.split == "tuning" else world.bench_dir
    if root.is_dir():
        return root, []
    return None, [f"the embedded world is built first, which takes minutes: {root}; answers are counted then"]


def _bench_costs(ablation: Ablation, store: Store, root: Path, notes: list[str]) -> list[BenchCost]:
    """What every run's benchmarks cost: the same for each that has no answers yet."""
    judges, model, costs = Judges.of(ablation.judge, {}, ablation.budget, ablation.prices), EvalModel("", "run:"), []
    for item in wanted_of(ablation):
        if issubclass(BENCHMARKS.get(item.name), ExternalBenchmark):
            notes.append(f"{item.name}: its answers are not counted, that is its own engine's business")
        else:
            costs.append(spec_cost(store, item, root, model, judges))
        if item.bracket and (added := added_cost(store, item, root, model, judges)) is not None:
            notes.append(
                f"{item.name}, eos_biases auto: of each run at most {added.generations:,} more answers and "
                f"{added.judge_calls:,} more calls, as far as its coverage curve needs points"
            )
    return costs


def _training(estimate: Mapping[str, Any]) -> dict[str, Any]:
    return {name: estimate.get(name) for name in TRAINING}


def _bench(costs: Sequence[BenchCost], done: bool, known: bool) -> dict[str, Any]:
    """The counts of one run: 0 where it is done already, None where they are not ``known``."""
    if not known:
        return dict.fromkeys((*COUNTED, "usd"))
    total = cost_report([] if done else costs)["total"]
    return {name: total.get(name, 0) for name in (*COUNTED, "usd")}


def _total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums over the runs; None where one is unknown. A run that is aligned already takes no training."""
    total: dict[str, Any] = {"runs": len(rows), "to align": sum(not row["aligned"] for row in rows)}
    for name in (*TRAINING, *COUNTED, "usd"):
        values = [0 if row["aligned"] and name in TRAINING else row[name] for row in rows]
        total[name] = None if None in values else sum(values)
    return total
