"""`plan`: from a pilot store, how many seeds, samples, judge runs and USD a wanted difference takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from harness.errors import UsageError
from leaderboards.planned import Planned, PlannedDesign
from workflows.requests import DB
from workflows.results import AlignResult, RecordsOf

if TYPE_CHECKING:
    from harness.protocols.metric import Metric
    from harness.store import EvaluationRecord
    from leaderboards.pilot import Pilot
    from leaderboards.planning import Components, Design

POWER = 0.8
LEVEL = 0.05
MOST = 1_000_000
"""Comparisons of a table: pairs of 1,400 rows."""


@dataclass(frozen=True, repr=False, kw_only=True)
class Plan(Planned, RecordsOf[PlannedDesign]):
    """What a comparison takes (``Planned``). Its records, and what is looped over, are the designs of its table."""

    @property
    def records(self) -> list[dict[str, Any]]:
        names = ("a", "b", "benchmark", "metric", "unit")
        return [{**{name: getattr(self, name) for name in names}, **asdict(design)} for design in self.table]

    @property
    def record(self) -> dict[str, Any]:
        """Everything as one JSON object."""
        return asdict(self)

    @property
    def _rows(self) -> Sequence[PlannedDesign]:
        return self.table

    def __repr__(self) -> str:
        return f"Plan({self.a!r} - {self.b!r}, {self.benchmark} {self.metric})"

    def __rich__(self) -> RenderableType:
        from leaderboards.formats.plan_view import plan_view

        return plan_view(self)


def plan(
    a: str | AlignResult,
    b: str | AlignResult = "base",
    *,
    benchmark: str | None = None,
    metric: str | None = None,
    difference: float | None = None,
    comparisons: int = 1,
    power: float = POWER,
    judge_runs: int | None = None,
    prices: str | Path | None = None,
    db: str | Path = DB,
) -> Plan:
    """How many seeds, samples, judge runs and USD a wanted difference takes, from the variances of a pilot store.

    Args:
        a, b: rows of a table: METHOD, METHOD@PANEL, a run or "base"; all seeds of a method count.
        benchmark: None: the only one that both were run on.
        metric: None: the benchmark's primary metric.
        difference: the wanted one, in the metric's unit; None: only the table is made.
        comparisons: as many pairs of rows the table will have: the level is Holm's first, 5 % over this number.
        power: the chance to see it, above 0.5 and below 1.
        judge_runs: of the table; None: as many as the pilot has.
        prices: YAML of your prices for the judge.

    Raises HarnessError; UsageError where the pilot cannot answer: one seed, nothing in common, an unknown name.
    """
    from leaderboards.pilot import pilot_of
    from leaderboards.planning import components, grid, needed
    from leaderboards.snapshot import Snapshot

    _require_ranges(difference, comparisons, power, judge_runs)
    one, other = (run.name if isinstance(run, AlignResult) else run for run in (a, b))
    pilot = pilot_of(Snapshot.reading(db, one, other), one, other, benchmark, metric)
    widest = _widest(pilot.metric, difference)
    found = components(*pilot.scores, pilot.metric, pilot.trained, pilot.seeds, pilot.methods)
    level = LEVEL / comparisons
    cost = judge_cost(pilot, Path(prices) if prices else None)

    def planned(design: Design) -> PlannedDesign:
        smallest = found.smallest(design, level, power)
        answers = design.samples * sum(k if of else 1 for k, of in zip(design.sides, pilot.trained, strict=True))
        calls = answers * design.judge_runs if pilot.judged else 0
        return PlannedDesign(
            seeds=design.seeds, samples=design.samples, judge_runs=design.judge_runs,
            smallest=smallest if math.isfinite(smallest) else None, answers=answers,
            judge_calls=calls, usd=None if cost is None else cost * calls,
        )  # fmt: skip

    available = pilot.available if pilot.size is None else pilot.size
    need = needed(found, difference, level, power, available) if difference is not None else None
    runs = judge_runs or found.pilot.judge_runs
    return Plan(
        a=pilot.labels[0], b=pilot.labels[1], benchmark=pilot.condition.benchmark, metric=pilot.metric.name,
        unit=pilot.metric.unit, wanted=difference, level=level, comparisons=comparisons, power=power,
        pilot=planned(found.pilot), shares=_shares(found), table=tuple(map(planned, grid(found, runs))),
        need=planned(need.design) if need else None, available=available, size=pilot.size, widest=widest,
        notes=(*pilot.notes, *_uneven(pilot.labels, found.pilot)),
    )  # fmt: skip


def _uneven(labels: tuple[str, str], pilot: Design) -> list[str]:
    """That the sides of the pilot have not as many seeds, of which a design has one number."""
    if pilot.of_sides is None:
        return []
    (a, b), (of_a, of_b) = labels, pilot.of_sides
    return [f"the pilot has {of_a} seeds of {a} and {of_b} of {b}, each counted as they are"]


def _require_ranges(difference: float | None, comparisons: int, power: float, judge_runs: int | None) -> None:
    """Raise UsageError for what nothing can be planned with. Half of the time or less a difference is missed as often
    as it is seen, which no design is made for."""
    for option, value, expected, sound in (
        ("--difference", difference, "above 0", difference is None or 0 < difference < math.inf),
        ("--comparisons", comparisons, f"1 to {MOST:,}", 1 <= comparisons <= MOST),
        ("--power", power, "above 0.5 and below 1", 0.5 < power < 1),
        ("--judge-runs", judge_runs, "at least 1", judge_runs is None or judge_runs >= 1),
    ):
        if not sound:
            raise UsageError(f"plan: {option} should be {expected}, found {value}.")


def _widest(metric: Metric, wanted: float | None) -> float | None:
    """The largest difference that two values of ``metric`` can have; None where it has no range. Raises UsageError
    where a larger one is ``wanted``."""
    widest = metric.bounds[1] - metric.bounds[0]
    if wanted is not None and wanted > widest:
        raise UsageError(f"plan: --difference should be at most {widest:g}, the whole range, found {wanted}.")
    return widest if math.isfinite(widest) else None


def _shares(found: Components) -> dict[str, float | None]:
    shares: dict[str, float | None] = {name: v if math.isfinite(v) else None for name, v in found.shares().items()}
    return shares if found.judge_known else {**shares, "judge_runs": None}


def judge_cost(pilot: Pilot, prices: Path | None) -> float | None:
    """USD of the judge for one answer in one judge run, as the pilot's replies cost; None where it has no price.

    With ``prices`` the replies' tokens are priced anew, by what prices a dry run (``Judge.cost``). A file that holds no
    prices is refused even where nothing is priced.
    """
    from harness.chat.prices import load_prices

    load_prices(prices)
    if not pilot.judged:
        return 0.0
    money, rated = 0.0, 0
    for evaluation in pilot.evaluations:
        usd = _usd(evaluation, prices)
        if usd is None:
            return None
        money += usd
        rated += evaluation.n_scored * int(evaluation.info["judging"].get("runs", 1))
    return money / rated if rated else None


def _usd(evaluation: EvaluationRecord, prices: Path | None) -> float | None:
    """What the replies behind an evaluation cost."""
    judging = evaluation.info.get("judging")
    if judging is None:
        return None
    if prices is None:
        return None if judging.get("usd") is None else float(judging["usd"])
    from harness.evaluation.resolve import make_benchmark
    from workflows.judging import Judges

    judges = Judges.of(judging["asked"], {}, None, str(prices))
    judge = judges.estimated(make_benchmark(evaluation.benchmark, evaluation.settings), Path(evaluation.data_dir))
    usage = Counter({**judging.get("tokens", {}), "calls": judging["replies"]})
    return None if judge is None else judge.cost(usage)
