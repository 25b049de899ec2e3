"""The budget of an ablation's judge, over runs that each open the judge anew."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UsageError
from harness.evaluation.judge import JudgeUsage
from harness.evaluation.resolve import data_dir, make_benchmark
from harness.protocols.judge import Judge
from harness.store import Store
from workflows.ablation import Ablation
from workflows.benchmark_spec import BenchmarkSpec
from workflows.embedded import data_root
from workflows.judging import Judges


class Purse:
    """What is left of ``ablation.budget``: that less what the replies stored since now cost.

    ``wanted`` are its benchmarks.

    Raises UsageError where the judge has no budget, or no price to count by.
    """

    def __init__(self, store: Store, ablation: Ablation, wanted: Sequence[BenchmarkSpec]) -> None:
        self._store, self._budget, self._judge, self._before = store, ablation.budget, None, 0.0
        if self._budget is not None:
            self._judge = _judge_of(ablation, wanted)
            self._before = self._spent(self._judge)

    @property
    def left(self) -> float | None:
        """USD; None without a budget."""
        if self._budget is None or self._judge is None:
            return None
        return self._budget - (self._spent(self._judge) - self._before)

    def _spent(self, judge: Judge) -> float:
        """What all stored replies of the judge cost."""
        usage = JudgeUsage()
        for reply in self._store.replies(judge.name, judge.endpoint).values():
            usage.add(reply)
        money = judge.cost(usage.amounts)
        if money is None:
            raise UsageError(f"--budget: the price of {judge.name} is unknown, so what it costs cannot be counted.")
        return money


def _judge_of(ablation: Ablation, wanted: Sequence[BenchmarkSpec]) -> Judge:
    judges = Judges.of(ablation.judge, {}, ablation.budget, ablation.prices)
    root = data_root(ablation.data_dir, world=ablation.world, split=ablation.split)
    for item in wanted:
        judge = judges.estimated(make_benchmark(item.name, item.settings), data_dir(item.name, root))
        if judge is not None:
            return judge
    raise UsageError("--budget: none of these benchmarks asks a judge, so there is nothing to pay.")
