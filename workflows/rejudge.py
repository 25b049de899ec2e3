"""`rejudge`: a sample of stored answers judged again by another judge; no evaluation is stored, no row changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from harness.errors import UsageError
from harness.protocols.progress import Progress, Watcher
from harness.util.json_safe import json_safe
from harness.util.options import nested
from workflows.bars import shown
from workflows.requests import DB, Names, several, text_of
from workflows.results import RecordsOf
from workflows.settings import check_settings, take

if TYPE_CHECKING:
    from harness.store import EvaluationRecord, Store
    from leaderboards.rejudging import Rejudgement
    from leaderboards.snapshot import Snapshot
    from workflows.cost import BenchCost
    from workflows.judging import Judges
    from workflows.rejudge_parts import Part

SAMPLE = 100
"""Questions of a benchmark that are drawn where no number is given."""


@dataclass(frozen=True, repr=False)
class Rejudgements(RecordsOf["Rejudgement"]):
    """One a benchmark condition: how the other judge agrees, how figures shift, whether the ranking holds.

    ``usd`` is what the judge cost now (None: it has no price).
    """

    rejudgements: tuple[Rejudgement, ...]
    usd: float | None = None

    @property
    def complete(self) -> bool:
        """Whether the judge gave a verdict on every answer."""
        return all(each.complete for each in self.rejudgements)

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record a benchmark condition and run: its figure by both judges, the shift with its interval."""
        rows = [
            {
                **{name: getattr(each, name) for name in ("benchmark", "title", "a", "b", "samples", "of", "failed")},
                "run": shift.run,
                "metric": each.metric.name,
                "value_a": shift.a,
                "value_b": shift.b,
                **{name: getattr(shift.difference, name) for name in ("n", "low", "high", "p")},
                "shift": shift.difference.value,
            }
            for each in self.rejudgements
            for shift in each.shifts
        ]
        return [json_safe(row) for row in rows]

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Everything, as `rejudge --json` prints it: one object a benchmark condition; None where undefined."""
        return [json_safe(_facts(each)) for each in self.rejudgements]

    @property
    def _rows(self) -> Sequence[Rejudgement]:
        return self.rejudgements

    def __repr__(self) -> str:
        return f"Rejudgements({len(self.rejudgements)} benchmark conditions)"

    def __rich__(self) -> RenderableType:
        from leaderboards.formats.rejudging_view import rejudging_view

        return rejudging_view(self.rejudgements)


def rejudge(
    judge: str,
    *,
    sample: int = SAMPLE,
    benchmark: Names = (),
    run: Names = (),
    of: str | None = None,
    seed: int = 0,
    budget: float | None = None,
    prices: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    db: str | Path = DB,
    progress: bool | Watcher = True,
) -> Rejudgements:
    """Judge a drawn part of the stored answers again by another judge, and compare the two.

    The replies are stored and used by every later command that asks the same; no evaluation is.

    Args:
        judge: as of ``bench``: "openai:NAME[@BASE_URL]", "hf:ID_OR_DIR", "replay:FILE".
        sample: questions of each benchmark, drawn from all its parts, the same for every run.
        benchmark: only these; ``run``: only these runs' answers. One or several.
        of: the judge whose figures are checked, as tables name it (None: the one that there is).
        seed: of the drawing.
        budget, prices, settings, db, progress: as of ``bench``; of settings only the judge's ("judge.NAME").

    Raises HarnessError; a wrong name is its subclass UsageError.
    """
    options = RejudgeOptions(
        judge=judge, sample=sample, benchmark=benchmark, run=run, of=of, seed=seed, budget=budget, prices=prices,
        settings=settings or {}, db=db,
    )  # fmt: skip
    with shown(progress) as reported:
        return options.judge_again(reported)


@dataclass(frozen=True, kw_only=True)
class RejudgeOptions:
    """What `rejudge` is asked for; the same words as its options."""

    judge: str
    sample: int = SAMPLE
    benchmark: Names = ()
    run: Names = ()
    of: str | None = None
    seed: int = 0
    budget: float | None = None
    prices: str | Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    db: str | Path = DB

    def __post_init__(self) -> None:
        if self.sample < 1:
            raise UsageError(f"--sample {self.sample}: expected a whole number of at least 1.")

    def judges(self) -> Judges:
        """The other judge, as the options have it."""
        from workflows.judging import Judges

        check_settings(self.settings)
        settings = nested(self.settings)
        of_judge = take(settings, "judge")
        if settings:
            raise UsageError(
                f"--set {', '.join(settings)}: rejudge takes the judge's settings only (judge.NAME=VALUE)."
            )
        return Judges.of(self.judge, of_judge, self.budget, text_of(self.prices))

    def estimates(self) -> list[BenchCost]:
        """What the judge would be asked about each run's drawn answers; asks nothing."""
        from harness.store import Store
        from workflows.cost import bench_cost

        judges, store = self.judges(), Store.reading(self.db)
        costs = []
        for part in self._parts(store):
            part.require_another(judges.estimated(part.benchmark, part.folder))
            for evaluation, answers in part.runs:
                texts = {id_: answer.text for id_, answer in answers.items()}
                cost = bench_cost(
                    store, part.benchmark, part.samples, evaluation.model, judges, part.folder, answers=texts
                )
                costs.append(replace(cost, run=evaluation.run))
        return costs

    def judge_again(self, progress: Progress) -> Rejudgements:
        """Ask the judge what is not stored of its replies, and compare."""
        from harness.store import Store
        from workflows.activity import working
        from workflows.interruption import kept_answers

        judges, stored = self.judges(), Store.reading(self.db)
        parts = self._parts(stored)
        store = Store(stored.path)  # written only where there is something to ask
        for part in parts:
            part.require_another(judges.opened(part.benchmark, part.folder))
        items = [f"{evaluation.run} on {part.benchmark.name}" for part in parts for evaluation, _ in part.runs]
        found = []
        with working(store, "rejudge", items) as work, kept_answers(store, work.watch(progress)) as watched:
            for part in parts:
                found.append(part.compared(store, judges, watched))
                for evaluation, _ in part.runs:
                    work.finished(f"{evaluation.run} on {part.benchmark.name}")
        return Rejudgements(tuple(each for each in found if each is not None), judges.spent)

    def _parts(self, store: Store) -> list[Part]:
        """The benchmark conditions whose answers are judged again; UsageError where there are none."""
        from leaderboards.condition import condition_of, newest
        from leaderboards.selection import Selection
        from leaderboards.snapshot import Snapshot
        from workflows.rejudge_parts import drawn_part

        chosen = Selection(runs=several(self.run), benchmarks=several(self.benchmark))
        snapshot = Snapshot(store, Selection(hidden=store.hidden_runs() - {*chosen.runs}))
        judged = [e for e in snapshot.current if e.judge != "none" and not condition_of(e).eos_bias]
        chosen.require_known(judged, snapshot.groups)
        wanted = [e for e in judged if chosen.admits(e) and _asked_for(e, chosen, snapshot)]
        if not wanted:
            of = f" ({chosen.filters})" if chosen.filters else ""
            raise UsageError(f"{store.path} holds no answers that a judge scored{of}: `bench --judge JUDGE` first.")
        found = newest(_of_judge(wanted, self.of), lambda e: e.run)
        return [
            drawn_part(snapshot, condition, list(of.values()), sample=self.sample, seed=self.seed)
            for condition, of in found.items()
        ]


def _asked_for(evaluation: EvaluationRecord, chosen: Any, snapshot: Snapshot) -> bool:
    from leaderboards.selection import names_of

    return bool(chosen.asks_for(names_of(evaluation, snapshot.groups)))


def _of_judge(evaluations: Sequence[EvaluationRecord], of: str | None) -> list[EvaluationRecord]:
    """Those of the judge whose figures are checked; UsageError where it is not clear which that is."""
    from harness.errors import unknown_name

    names = list(dict.fromkeys(e.judge for e in evaluations))
    if of is not None and of not in names:
        raise unknown_name("judge among the evaluations", of, names)
    if of is None and len(names) > 1:
        raise UsageError(f"The answers were scored by {' and '.join(names)}: say with --of whose figures to check.")
    return [e for e in evaluations if e.judge == (of or names[0])]


def _facts(each: Rejudgement) -> dict[str, Any]:
    from workflows.agreement import record_of

    distinguished = [pair for pair in each.pairs if pair.fate]
    return {
        **{name: getattr(each, name) for name in ("benchmark", "title", "a", "b", "samples", "of", "failed", "reason")},
        "metric": each.metric.name,
        "agreement": [record_of(of) for of in each.agreements],
        "shifts": [{"run": s.run, "a": s.a, "b": s.b, **_difference(s.difference)} for s in each.shifts],
        "ranking": {
            "tau": each.tau and asdict(each.tau),
            "pairs": len(each.pairs),
            "compared": sum(pair.compared for pair in each.pairs),
            "level_by_one": sum(pair.level_by_one for pair in each.pairs),
            "swapped": [_pair(pair) for pair in each.pairs if pair.swapped],
            "distinguished": len(distinguished),
            **{fate: sum(p.fate == fate for p in distinguished) for fate in ("confirmed", "unsure", "reversed")},
        },
        "notes": list(each.notes),
    }


def _pair(pair: Any) -> dict[str, Any]:
    of = {"a": _difference(pair.a), "b": _difference(pair.b)}
    return {"first": pair.first, "second": pair.second, **of, "fate": pair.fate or None}


def _difference(difference: Any) -> dict[str, Any]:
    return {name: getattr(difference, name) for name in ("value", "low", "high", "p", "n")}
