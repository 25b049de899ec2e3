"""lmms:TASK: every task of lmms-eval (extra ``general``), asked of our models and stored like our own benchmarks."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.lmms_figures import figures_of, means_of, unit_of
from benchmarks.common.lmms_tasks import names_under, task_names
from harness.errors import HarnessError, UsageError, unknown_name
from harness.protocols.benchmark import BENCHMARKS, Benchmark, Metric, Sample, Sums, Verdict, ratio
from harness.protocols.external import AnswerFunction, ExternalBenchmark, ExternalResult
from harness.registry import Family
from harness.util.distributed import alone
from harness.util.json_safe import json_safe

PREFIX = "lmms"
Z = 1.96  # lmms-eval gives standard errors


def installed() -> bool:
    return importlib.util.find_spec("lmms_eval") is not None


def require() -> None:
    """Raise a UsageError that says how to add lmms-eval where it is missing."""
    if not installed():
        raise UsageError(
            "lmms-eval is not installed. Add it with:\n"
            "  .venv/bin/python -m pip install -c constraints.txt -e '.[general]'"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """lmms-eval prints and logs freely: its words go to stderr, and only warnings of them."""
    from loguru import logger

    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    with contextlib.redirect_stdout(sys.stderr):
        yield


def task_manager(names: Sequence[str], include: Path | None) -> Any:
    """The index that knows all of ``names``; the user's YAML files in ``include`` go first.

    Raises UsageError where neither they nor lmms-eval's own have one of the names.
    """
    from lmms_eval.tasks import TaskManager

    own = set(names_under(include)) if include else set()
    known = own | set(task_names())
    for name in names:
        if name not in known:
            raise unknown_name("lmms-eval task", name, known)
    mine = set(names) <= own
    return TaskManager(verbosity="ERROR", include_path=str(include) if own else None, include_defaults=not mine)


def load_tasks(names: Sequence[str], manager: Any) -> dict[str, Any]:
    """The tasks of ``names`` with their data, groups taken apart."""
    from lmms_eval.tasks import get_task_dict

    try:
        return dict(_leaves(get_task_dict(list(names), manager)))
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise HarnessError(f"lmms-eval cannot load {', '.join(names)}: {type(error).__name__}: {error}") from error


def _leaves(tasks: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for name, task in tasks.items():
        if isinstance(task, Mapping):
            yield from _leaves(task)
        else:
            yield str(name), task


@dataclass(frozen=True, kw_only=True)
class LmmsTask(ExternalBenchmark):
    """A task or group of lmms-eval; a group gives a result for each of its tasks."""

    name: ClassVar[str] = PREFIX
    paper: ClassVar[str] = "https://arxiv.org/abs/2407.12772"

    @property
    def version(self) -> str:
        return f"lmms-eval {importlib.metadata.version('lmms_eval')}" if installed() else "lmms-eval"

    @property
    def mode(self) -> str:
        return "lmms-eval's rules"

    def check(self) -> None:
        """Raises UsageError that says how to add lmms-eval where it is missing."""
        require()

    def run(self, answer: AnswerFunction, root: Path, limit: int | None) -> Sequence[ExternalResult]:
        """Figures as lmms-eval has them, and a verdict for each document; ``root`` may hold task files."""
        require()
        with _quiet(), alone():
            from lmms_eval.evaluator import simple_evaluate

            from benchmarks.common.lmms_bridge import Bridge

            names = [self.name.removeprefix(f"{PREFIX}:")]
            manager = task_manager(names, root)
            tasks = load_tasks(names, manager)
            bridge = Bridge(answer, tasks)
            output = simple_evaluate(
                model=bridge, tasks=list(tasks.values()), limit=limit, log_samples=True, process_docs_parallel=1,
                task_manager=manager,
            )  # fmt: skip
            return [self._result(name, task, output, bridge.failures[name]) for name, task in tasks.items()]

    def _result(self, name: str, task: Any, output: Mapping[str, Any], failures: Mapping[int, str]) -> ExternalResult:
        rows, metrics = output["samples"].get(name, []), _metrics(output, name)
        values = {key: figure["value"] for key, figure in metrics.items()}
        means = means_of(values, rows)
        answered: list[tuple[Sample, str | None, Verdict]]
        answered = [(_sample(row), _answer(row), _verdict(row, means)) for row in rows]
        answered += [(Sample(str(i), ""), None, Verdict({}, error=f"no answer: {why}")) for i, why in failures.items()]
        options = dict(task.config.generation_kwargs or {}) if task.config else {}
        return ExternalResult(
            name=f"{PREFIX}:{name}",
            version=f"{self.version} {name} v{output['versions'].get(name, 0)}",
            mode=self.mode,
            decoding={k: v for k, v in options.items() if isinstance(v, str | int | float | bool)},
            answered=answered,
            metrics=metrics,
            figures=figures_of(task, values, rows, means),
        )

    def stored_metrics(self, samples: Sequence[Sample], figures: Mapping[str, Mapping[str, Any]]) -> list[Metric]:
        """The figures as means over documents; those without a value of each document are NaN."""
        return [
            Metric(name, _mean(name.split(",")[0]), figure["higher_is_better"], "") for name, figure in figures.items()
        ]


@cache
def _task(name: str) -> type[Benchmark]:
    """The benchmark of one task, a class like those of other benchmarks; nothing of lmms-eval is imported."""
    return type("LmmsTask", (LmmsTask,), {"name": f"{PREFIX}:{name}", "__doc__": f"lmms-eval's task {name}."})


def _describe() -> dict[str, Any]:
    """All tasks in one row, or how to add them."""
    if not installed():
        return {"name": "lmms:TASK", "is": "tasks of lmms-eval; add them with: pip install -e '.[general]'"}
    names = task_names()
    return {"name": "lmms:TASK[,TASK]", "is": f"{len(names)} tasks and groups of lmms-eval", "tasks": ", ".join(names)}


def _mean(name: str) -> Callable[[Sums], NDArray[np.float64]]:
    return ratio(name, f"scored_{name}", scale=1.0)


def _sample(row: Mapping[str, Any]) -> Sample:
    asked = next((part for part in row["arguments"] if isinstance(part, str)), "")
    return Sample(str(row["doc_id"]), asked, data={"target": str(row["target"])}, group=unit_of(row))


def _answer(row: Mapping[str, Any]) -> str:
    answer: Any = row["resps"]
    while isinstance(answer, list) and answer:
        answer = answer[0]
    return str(answer)


def _verdict(row: Mapping[str, Any], means: Collection[str]) -> Verdict:
    """The document's own values of the figures that are ``means`` of them.

    What a task's filter makes of an answer may be anything: it is kept as it can be stored, words for what JSON lacks.
    """
    values = {name: float(row[name]) for name in means if name in row}
    kept = {"target": row["target"], "filtered": row["filtered_resps"]}
    counts = {**values, **{f"scored_{name}": 1.0 for name in values}}  # a mean over the documents that have it
    return Verdict(counts, details=json_safe(kept, undefined=False))


def _metrics(output: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Value and interval on lmms-eval's own scale, by ``metric`` (``metric,filter`` where the filter has a name)."""
    results = output["results"][name]
    better = output["higher_is_better"].get(name, {})
    table = {}
    for key, value in results.items():
        metric, _, rule = key.partition(",")
        if not rule or metric.endswith(("_stderr", "_stderr_clt", "_stderr_clustered")) or not _is_number(value):
            continue
        error = results.get(f"{metric}_stderr,{rule}")
        spread = Z * error if _is_number(error) else None
        table[metric if rule == "none" else key] = {
            "value": float(value),
            "low": None if spread is None else value - spread,
            "high": None if spread is None else value + spread,
            "unit": "",
            "higher_is_better": better.get(metric),
        }
    return table


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


BENCHMARKS.register_family(PREFIX, Family(_task, _describe))
