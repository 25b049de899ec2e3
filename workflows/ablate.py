"""`ablate` and `demo`: every method under every condition; each run is aligned, benchmarked and stored."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from harness.cluster.connection import Cluster
from harness.errors import Interrupted, UsageError
from harness.protocols.progress import Progress, silent
from harness.store import Store
from harness.util.distributed import visible_gpus
from harness.util.pool import Pool, Threads, report, threads, workers
from leaderboards.snapshot import Snapshot
from workflows.ablation import Ablation, Job, base_run, jobs
from workflows.ablation_jobs import check, is_stored, kept, resolved
from workflows.ablation_outcome import Outcome, Shortfall, shortfall
from workflows.activity import working
from workflows.bench import bench_model
from workflows.benched import Files, Read, is_benched, wanted_of
from workflows.curve_points import lacks_points
from workflows.embedded import data_root, is_embedded_model
from workflows.eval_models import EvalModel
from workflows.judging import Judges
from workflows.purse import Purse

Log = Callable[[str], None]
Task = Callable[[Ablation], tuple[Any, ...]]
"""What is submitted to a worker, for an ablation with the budget that is left."""


def ablate(
    ablation: Ablation,
    db: str,
    *,
    device: str,
    log: Log,
    progress: Callable[[int, int], None],
    steps: Progress = silent,
    cluster: Cluster | None = None,
) -> Outcome:
    """Align and benchmark base and every job. What is stored already is not done again.

    On a ``cluster`` each job has a worker of it at a time, and all is stored from here. With a budget the runs go one
    after the other: no two judges can spend the same money.
    """
    everything, store, outcome = jobs(ablation, db), Store(db), Outcome()
    check(ablation, everything, store, device)
    bases = bases_of(ablation, steps)
    items = [*(base.run for base in bases), *(job.name for job in everything)]
    purse = Purse(store, ablation, wanted_of(ablation))
    done, begun = 0, 0
    many = 1 if ablation.budget is not None else ablation.workers
    interrupted = stopped(store, everything, device)
    with working(store, "ablate", items) as work, interrupted, pool(many, device, cluster) as processes:
        steps = work.watch(steps)
        for names, tasks in _rounds(store, bases, everything, ablation, device, cluster):
            begun += len(names)
            total = max(begun, len(items))
            for name in names:
                if name not in tasks:
                    done += 1
                    work.finished(name)
            progress(done, total)
            for name, future in _finished(processes, tasks, ablation, purse, outcome, steps):
                done += 1
                progress(done, total)
                error = future.exception()
                if error is not None:
                    outcome.failures.append(f"{name}: {error}")
                    work.failed(outcome.failures[-1], error)
                else:
                    outcome.incomplete += future.result()
                    work.finished(name)
                log(f"{name}: {'failed' if error else 'incomplete' if future.result() else 'done'}")
    return outcome


def _rounds(
    store: Store,
    bases: Sequence[EvalModel],
    everything: Sequence[Job],
    ablation: Ablation,
    device: str,
    cluster: Cluster | None,
) -> Iterator[tuple[list[str], dict[str, Task]]]:
    """What is done one after the other: the names of a round, and its tasks, which what is stored already has not.

    The bases and the runs; controls that match another run's beta, which come after it; and runs whose curves lack a
    point because the base, at whose coverage they are read, was benchmarked after them.
    """
    files: Files = {}
    begun = False
    for controls in (False, True):
        read = Read(Snapshot(store), files)
        batch = [job for job in everything if (job.match is not None) == controls]
        missing = [job for job in batch if not is_stored(store, job, device, read)]
        tasks: dict[str, Task] = {job.name: partial(_job_task, job, device, cluster) for job in missing}
        first = () if controls else bases
        lacking = [base for base in first if not is_benched(store, base, ablation, read=read)]
        of_bases: dict[str, Task] = {b.run: partial(_base_task, str(store.path), b, device, cluster) for b in lacking}
        begun = begun or bool(of_bases or tasks)
        yield [*(base.run for base in first), *(job.name for job in batch)], {**of_bases, **tasks}
    snapshot, wanted = Snapshot(store), wanted_of(ablation)
    # Where nothing was missing, no curve lacks a point.
    late = [job for job in everything if begun and lacks_points(snapshot, job.name, wanted)]
    yield [job.name for job in late], {job.name: partial(_job_task, job, device, cluster) for job in late}


def _job_task(job: Job, device: str, cluster: Cluster | None, ablation: Ablation) -> tuple[Any, ...]:
    return run_job, dataclasses.replace(job, ablation=ablation), device, cluster


def _base_task(db: str, base: EvalModel, device: str, cluster: Cluster | None, ablation: Ablation) -> tuple[Any, ...]:
    return run_base, db, base, ablation, device, cluster


def _finished(
    processes: Pool | Threads,
    tasks: Mapping[str, Task],
    ablation: Ablation,
    purse: Purse,
    outcome: Outcome,
    steps: Progress,
) -> Iterator[tuple[str, Future[list[Shortfall]]]]:
    """Run ``tasks`` and yield each as it ends: all at once, or with a budget one by one while money is left."""
    if ablation.budget is None:
        pending = {processes.submit(*task(ablation)): name for name, task in tasks.items()}
        for future in processes.finished(pending, steps):
            yield pending[future], future
        return
    for name, task in tasks.items():
        left = purse.left or 0.0
        if left <= 0 or any(shortfall.unpaid for shortfall in outcome.incomplete):
            outcome.unpaid.append(name)
            continue
        future = processes.submit(*task(dataclasses.replace(ablation, budget=left)))
        for each in processes.finished([future], steps):
            yield name, each


@contextlib.contextmanager
def stopped(store: Store, planned: Sequence[Job], device: str) -> Iterator[None]:
    """An interruption within it says what is kept of the ``planned`` runs."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted.of(stop, kept(store, planned, device)) from stop


def pool(
    count: int, device: str, cluster: Cluster | None = None
) -> contextlib.AbstractContextManager[Pool] | contextlib.AbstractContextManager[Threads]:
    """Worker processes: one a GPU, which it alone sees, or two with a thread each, which beat one with two threads.

    On a ``cluster`` threads of this process, each of which waits for one worker of it.
    """
    if cluster is not None:
        return threads(min(count or cluster.workers, cluster.workers), cluster.ended.set)
    import torch

    gpus = visible_gpus(torch.cuda.device_count()) if device in ("auto", "cuda") else []
    many = count or len(gpus) or max(1, min(2, os.cpu_count() or 1))
    return workers(many, threads=None if gpus else 1, gpus=gpus)


def bases_of(ablation: Ablation, progress: Progress, *, built: bool = True) -> list[EvalModel]:
    """The base models; what all jobs share (the embedded world, once a panel) is built, unless ``built`` is false."""
    if "model" in ablation.common:
        model = str(ablation.common["model"])
        spec = model if model.startswith("run:") else f"hf:{model.removeprefix('hf:')}"
        if ablation.data_dir is None and not spec.startswith("run:") and not is_embedded_model(spec):
            raise UsageError(
                f"ablation recipe: {model} is not a model of the embedded world, whose data stand in where none are "
                "named: add data_dir, the folder of your benchmarks' data."
            )
        return [EvalModel(base_run(None), spec)]
    from workflows.align import resolve_alignment

    bases = {}
    for base, panel in itertools.product(ablation.bases or (None,), ablation.panels):
        of_base = {} if base is None else {"sft_seed": base}
        settings = {**ablation.world, **ablation.common, **(panel.set or {}), **of_base, "method": "dpo"}
        resolved = resolve_alignment(settings, progress, built=built)
        bases[base_run(base)] = f"hf:{resolved.train.model}"
    return [EvalModel(run, spec) for run, spec in bases.items()]


def run_base(
    db: str, base: EvalModel, ablation: Ablation, device: str, cluster: Cluster | None = None
) -> list[Shortfall]:
    """Benchmark the base model; returns the evaluations that are incomplete."""
    with _one_worker(cluster) as worker:
        return _bench(Store(db), base, ablation, device, worker)


def run_job(job: Job, device: str, cluster: Cluster | None = None) -> list[Shortfall]:
    """Align and benchmark one job, in a process of its own or by one worker of ``cluster``.

    Returns the evaluations that are incomplete.
    """
    from workflows.align import align

    store = Store(job.db)
    with _one_worker(cluster) as worker:
        record = align(store, resolved(store, job, device), cluster=worker, progress=report)
        eval_model = EvalModel(record.name, f"run:{record.name}", record.name)
        return _bench(store, eval_model, job.ablation, device, worker)


@contextlib.contextmanager
def _one_worker(cluster: Cluster | None) -> Iterator[Cluster | None]:
    """Room for one worker of ``cluster``, which is ended after it; None without a cluster."""
    if cluster is None:
        yield None
        return
    part = cluster.part(1)
    try:
        yield part
    finally:
        part.stop()


def _bench(
    store: Store, eval_model: EvalModel, ablation: Ablation, device: str, cluster: Cluster | None
) -> list[Shortfall]:
    root = data_root(ablation.data_dir, world=ablation.world, split=ablation.split)
    judges = Judges.of(ablation.judge, {}, ablation.budget, ablation.prices)

    def progress(step: str, done: int, total: int, note: str = "") -> None:
        report(f"{eval_model.run}: {step}", done, total, note)

    judges.cluster, judges.progress = cluster, progress
    wanted = wanted_of(ablation)
    records = bench_model(store, eval_model, wanted, root, judges, device=device, cluster=cluster, progress=progress)
    return [shortfall(record) for record in records if record.n_scored < record.n]
