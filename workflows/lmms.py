"""`bench --benchmark lmms:TASK`: tasks of lmms-eval on our models, stored and shown like our own benchmarks."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError, unknown_name
from harness.evaluation.score import lmms_means
from harness.protocols.benchmark import Sample, Verdict
from harness.protocols.model import Model
from harness.protocols.progress import Progress, silent
from harness.store import EvaluationRecord, EvaluationSubject, NewEvaluation, Store
from harness.util.distributed import alone
from harness.util.environment import environment
from harness.util.json_safe import json_safe
from harness.util.options import content_key

PREFIX = "lmms:"
Z = 1.96  # lmms-eval gives standard errors


def is_lmms(name: str) -> bool:
    """Whether ``name`` is a task of lmms-eval."""
    return name.startswith(PREFIX)


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


def task_names() -> list[str]:
    """All tasks and groups of the installed lmms-eval (some seconds)."""
    require()
    with _quiet():
        from lmms_eval.tasks import TaskManager

        return list(TaskManager(verbosity="ERROR").all_tasks)


def load_tasks(names: Sequence[str], include: Path | None) -> dict[str, Any]:
    """The tasks of ``names`` with their data, groups taken apart; the user's YAML files in ``include`` go first."""
    from lmms_eval.tasks import TaskManager, get_task_dict

    manager = None
    if include is not None and any(include.rglob("*.yaml")):
        manager = TaskManager(verbosity="ERROR", include_path=str(include), include_defaults=False)
    if manager is None or not set(names) <= set(manager.all_tasks):
        manager = TaskManager(verbosity="ERROR", include_path=str(include) if include else None)
    for name in names:
        if name not in manager.all_tasks:
            raise unknown_name("lmms-eval task", name, manager.all_tasks)
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


def bench_tasks(
    store: Store,
    model: Model,
    names: Sequence[str],
    subject: EvaluationSubject,
    *,
    include: Path | None = None,
    limit: int | None = None,
    fresh: bool = False,
    progress: Progress = silent,
) -> Iterator[EvaluationRecord]:
    """Run tasks (names without the prefix) on ``model`` and store an evaluation of each.

    ``include`` is a directory with task files of the user's own.
    """
    require()
    with _quiet(), alone():
        from lmms_eval.evaluator import simple_evaluate

        from harness.evaluation.lmms_bridge import Bridge

        tasks = load_tasks(names, include)
        bridge = Bridge(store, model, tasks, fresh=fresh, progress=progress)
        found = simple_evaluate(
            model=bridge, tasks=list(tasks.values()), limit=limit, log_samples=True, process_docs_parallel=1
        )
        records = [_save(store, name, task, found, bridge.failures[name], subject) for name, task in tasks.items()]
    yield from records


def _save(
    store: Store,
    name: str,
    task: Any,
    found: Mapping[str, Any],
    failures: Mapping[int, str],
    subject: EvaluationSubject,
) -> EvaluationRecord:
    """Store one task: its figures as lmms-eval has them, and a verdict a document."""
    logged = found["samples"].get(name, [])
    version = f"lmms-eval {importlib.metadata.version('lmms_eval')} {name} v{found['versions'].get(name, 0)}"
    samples = [_sample(row) for row in logged]
    lost = [Sample(str(doc_id), "", data={}) for doc_id in failures]
    verdicts: list[tuple[str, int, str, str | None, Verdict]]
    verdicts = [(str(row["doc_id"]), 0, "", _answer(row), _verdict(row, found["results"][name])) for row in logged]
    verdicts += [(str(i), 0, "", None, Verdict({}, error=f"no answer: {why}")) for i, why in failures.items()]
    key = content_key(f"{PREFIX}{name}", [(s.id, s.prompt, dict(s.data)) for s in (*samples, *lost)])
    store.save_samples(key, [*samples, *lost])
    settings = dict(task.config.generation_kwargs or {}) if task.config else {}
    evaluation = NewEvaluation(
        **{**vars(subject), "info": {**subject.info, "software": environment()}},
        benchmark=f"{PREFIX}{name}",
        version=version,
        mode="lmms-eval's rules",
        judge="none",
        data_key=key,
        decoding={k: v for k, v in settings.items() if isinstance(v, str | int | float | bool)},
        n=len(logged) + len(failures),
        n_scored=len(logged),
        n_failed=len(failures),
        metrics=_metrics(found, name),
    ).keyed("none")
    store.save_evaluation(evaluation, verdicts)
    return store.evaluations(key=evaluation.key)[0]


def _sample(row: Mapping[str, Any]) -> Sample:
    asked = next((part for part in row["arguments"] if isinstance(part, str)), "")
    return Sample(str(row["doc_id"]), asked, data={"target": str(row["target"])})


def _answer(row: Mapping[str, Any]) -> str:
    answer: Any = row["resps"]
    while isinstance(answer, list) and answer:
        answer = answer[0]
    return str(answer)


def _verdict(row: Mapping[str, Any], results: Mapping[str, Any]) -> Verdict:
    """The document's own values of the task's figures, where they are numbers.

    What a task's filter makes of an answer may be anything: it is kept as it can be stored, words for what JSON lacks.
    """
    figures = {key.split(",")[0] for key in results}
    values = {k: float(v) for k, v in row.items() if k in figures and isinstance(v, bool | int | float)}
    kept = {"target": row["target"], "filtered": row["filtered_resps"]}
    return Verdict(lmms_means(values), details=json_safe(kept, undefined=False))


def _metrics(found: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Value and interval on lmms-eval's own scale, by ``metric`` (``metric,filter`` where the filter has a name)."""
    results = found["results"][name]
    better = found["higher_is_better"].get(name, {})
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
