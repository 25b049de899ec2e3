"""`--eos-bias auto`: points are added to a model's coverage curve until it can be read at the base's coverage."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from harness.models.spec import model_id
from harness.protocols.progress import Progress
from harness.store import EvaluationRecord, Store
from harness.util.options import overlay
from leaderboards.bracket import MOST, has_base, lack
from leaderboards.condition import condition_of
from leaderboards.run_groups import BASE, run_groups
from leaderboards.snapshot import Snapshot
from workflows.benchmark_spec import BenchmarkSpec
from workflows.eval_models import EvalModel

Bias = float | Literal["auto"]
"""A bias on the end-of-sequence logit, or as many as it takes."""
AUTO: Literal["auto"] = "auto"


def biased(settings: Mapping[str, Any], bias: float) -> dict[str, Any]:
    """A benchmark's settings with a bias on the end-of-sequence logit."""
    return overlay(settings, {"decoding": {"eos_bias": bias}})


def added_points(
    store: Store, unbiased: EvaluationRecord, evaluate_at: Callable[[float], Iterator[EvaluationRecord]], since: int = 0
) -> Iterator[EvaluationRecord]:
    """Evaluate a model at one bias after the other until the base's coverage lies within its curve, or no more may be
    added; ``unbiased`` is its evaluation without one, ``since`` as of ``lack``.

    It ends early where nothing of a point could be scored or its judge was not paid.
    """
    while (found := lack(Snapshot(store), unbiased, since)) is not None and found.bias is not None:
        made = list(evaluate_at(found.bias))
        yield from made
        if not made or any(not e.n_scored or "unpaid" in e.info.get("judging", {}) for e in made):
            return


def lacks_points(snapshot: Snapshot, run: str, benchmarks: Sequence[BenchmarkSpec]) -> bool:
    """Whether a point is to be added to a curve of ``run``, on those of the ``benchmarks`` that want them bracketed."""
    if not any(item.bracket for item in benchmarks):
        return False
    found = [lack(snapshot, evaluation) for evaluation in _unbiased(snapshot, run, benchmarks)]
    return any(each is not None and each.bias is not None for each in found)


def warn_without_base(store: Store, models: Sequence[EvalModel], benchmarks: Sequence[BenchmarkSpec]) -> None:
    """Warn of those of ``models`` whose curves have no base to be read at, so that they got no point."""
    if not any(item.bracket for item in benchmarks):
        return
    snapshot = Snapshot(store)
    for model in models:
        for evaluation in _unbiased(snapshot, model.run, benchmarks):
            if not has_base(snapshot, evaluation):
                warnings.warn(
                    f"--eos-bias auto: {model.run} on {evaluation.benchmark}: there is no base under the same "
                    "conditions, so no point was added. Bench the base model too.",
                    stacklevel=2,
                )


def _unbiased(snapshot: Snapshot, run: str, benchmarks: Sequence[BenchmarkSpec]) -> list[EvaluationRecord]:
    """The newest evaluation of ``run`` without a bias on each of ``benchmarks`` whose curve is to be bracketed."""
    wanted = {item.name for item in benchmarks if item.bracket}
    of_run = (e for e in snapshot.all_stored if e.run == run and e.benchmark in wanted)
    return list({e.benchmark: e for e in of_run if not condition_of(e).eos_bias}.values())


def at_bias(progress: Progress, bias: float) -> Progress:
    """``progress`` whose steps say at which point of the curve they are."""

    def named(step: str, done: int, total: int, note: str = "") -> None:
        progress(f"{step} at EOS bias {bias:+g}", done, total, note)

    return named


def may_add(store: Store, model: EvalModel, benchmark: BenchmarkSpec) -> int:
    """How many points a model's curve gets at most: none where it is a base, or its curve is stored and lacks none."""
    if _is_base(store, model) or not benchmark.bracket:
        return 0
    snapshot = Snapshot(store)
    evaluated = bool(_unbiased(snapshot, model.run, [benchmark]))
    return 0 if evaluated and not lacks_points(snapshot, model.run, [benchmark]) else MOST


def bases_first(store: Store, models: Sequence[EvalModel]) -> list[EvalModel]:
    """``models`` with those in front that others started from: the others' curves are read at their coverage."""
    return sorted(models, key=lambda model: not _is_base(store, model))


def _is_base(store: Store, model: EvalModel) -> bool:
    """Whether runs started from a model, or it is called so."""
    bases = set(run_groups(store.alignments()).bases.values())
    return model.run == BASE or bool({model.spec, model_id(model.spec)} & bases)
