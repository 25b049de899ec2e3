"""Training on the workers of a cluster: what it records comes back as it happens, and the results file stays here."""

from __future__ import annotations

import os
import shutil
import socket
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cluster.connection import Cluster, load_ray, sent_environment
from harness.cluster.holder import of_this_project, work_in
from harness.cluster.work import Loss, Lost, Work
from harness.cluster.workers import PLACING, POLL, Workers
from harness.errors import HarnessError, Interrupted, Transient, UsageError
from harness.protocols.progress import Progress
from harness.protocols.recorder import Recorder
from harness.util.distributed import rank_and_world_size
from harness.util.pool import sendable
from workflows.training import heldout_of, train

if TYPE_CHECKING:
    from workflows.align_spec import AlignSpec

RAISED = "UserExceptionWithTraceback"
"""What Ray Train calls an error that a rank raised; all others say that a rank is gone, or never began."""
STARTING = "600"
"""Seconds that the ranks may take to be there; Ray's thirty do not load torch on a busy machine."""
EVERY = 0.2
"""Seconds between two reports of a step."""
Event = tuple[str, tuple[Any, ...]]
"""The name of a method of ``Recorder``, "progress", "warning", "error" or "arrived", and what it is called with."""


class Inbox:
    """A process of the cluster that keeps what the ranks of a training report until it is asked for."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def put(self, event: Event) -> None:
        """Keep ``event``; those of one sender stay in order."""
        self._events.append(event)

    def take(self) -> list[Event]:
        """What has come since it was asked last."""
        taken, self._events = self._events, []
        return taken


class SentRecorder:
    """A ``Recorder`` of a rank whose records go to an inbox; so do its progress and its warnings."""

    def __init__(self, inbox: Any) -> None:
        self._inbox, self._reported = inbox, {"": 0.0}

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        self.send("log_step", step, dict(metrics))

    def log_gaps(self, step: int, split: str, gaps: Sequence[tuple[str, float]]) -> None:
        self.send("log_gaps", step, split, list(gaps))

    def log_hardness(self, split: str, deltas: Mapping[str, float]) -> None:
        self.send("log_hardness", split, dict(deltas))

    def log_info(self, values: Mapping[str, Any]) -> None:
        self.send("log_info", dict(values))

    def progress(self, step: str, done: int, total: int, note: str = "") -> None:
        """Report how far ``step`` is; most reports between two are left out."""
        now = time.monotonic()
        if done >= total or now - self._reported.get(step, 0.0) > EVERY:
            self._reported[step] = now
            self.send("progress", step, done, total, note)

    def send(self, name: str, *values: Any) -> Any:
        """Send an event; returns the reference that says when it has arrived."""
        return self._inbox.put.remote((name, values))


class _Received:
    """What an inbox holds, given to the recorder and shown; the first error that a rank reported is kept."""

    def __init__(self, cluster: Cluster, recorder: Recorder, progress: Progress) -> None:
        self._ray, self._recorder, self.show = cluster.ray, recorder, progress
        self._lost = cluster.lost
        here = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self._ray.get_runtime_context().get_node_id(), soft=False
        )  # a node that is lost must not take with it what a finished training reported
        variables = {"env_vars": sent_environment(cluster.gpus)}
        options = {"num_cpus": 0, "runtime_env": variables, "scheduling_strategy": here}
        self.inbox = self._ray.remote(Inbox).options(**options).remote()
        self.error: Exception | None = None
        self.lost, self.incomplete = "", False

    def look(self) -> None:
        """Pass on what has come; ``incomplete`` once the inbox is lost, and with it what it may have held."""
        try:
            events: list[Event] = self._ray.get(self.inbox.take.remote())
        except self._lost:
            self.incomplete = True
            return
        for name, values in events:
            if name == "error":
                if self.error is None or (
                    isinstance(values[0], HarnessError) and not isinstance(self.error, HarnessError)
                ):
                    self.error = values[0]
            elif name == "warning":
                warnings.warn(values[0], stacklevel=2)
            elif name == "progress":
                self.show(*values)
            elif name != "arrived":
                getattr(self._recorder, name)(*values)

    def close(self) -> None:
        self._ray.kill(self.inbox)


def train_on(
    cluster: Cluster,
    spec: AlignSpec,
    recorder: Recorder,
    out: Path,
    *,
    resume: bool,
    probe: bool,
    progress: Progress,
) -> Path:
    """Train ``spec`` on all workers of ``cluster``; returns the model's directory.

    One worker trains as this process would; several are the ranks of one training, as under torchrun. Where a worker is
    lost, the training resumes from its last checkpoint, on all of them, as often as other ``Work`` is done again; where
    records of it are lost, it begins anew.
    """
    rank = _one_rank if cluster.workers == 1 else _all_ranks
    work, anew = Work([1]), False
    while units := work.take(1):
        again, nodes = work.lost_with(0) > 0 and not anew, cluster.nodes()
        received = _Received(cluster, recorder, progress)
        try:
            asked = (spec, out, (resume or again) and not anew, probe and not again, cluster.gpus)
            model = rank(cluster, received, asked)
        finally:
            received.look()
            received.close()
        if received.error is not None:
            raise received.error
        anew = received.incomplete
        if model is not None and not anew:
            return Path(model)
        if work.lost(units, Loss(nodes, cluster.decided()), lambda loss: cluster.gone(loss.nodes, loss.until)):
            break
    last = received.lost or ("with what it had recorded" if received.incomplete else "its process ended")
    raise Transient(
        f"{spec.name}: {work.lost_with(0)} times a worker that trained it was lost ({last}). Its "
        "checkpoints are kept, and the same command resumes from the last one. Is the memory of a worker too small?"
    )


def _one_rank(cluster: Cluster, received: _Received, asked: tuple[Any, ...]) -> str | None:
    """Train in one process; None where it was lost."""
    workers = Workers(cluster, f"training of {asked[0].name}", _nothing, meanwhile=received.look)
    try:
        for _, result in workers.each(
            Work([1], tries=1, losses=1), _trained_by, lambda units: (received.inbox, *asked)
        ):
            if isinstance(result, Lost):
                received.lost = result.reason
                return None
            return str(result)
    finally:
        workers.stop()
    raise AssertionError("one training has one result")


def _with_room(cluster: Cluster, name: str, since: float, progress: Progress) -> float:
    """When there last were nodes for all ranks, ``since`` or now: a moment of the monotonic clock.

    Raises HarnessError where that is ``PLACING`` seconds ago: Ray Train waits without a word for nodes that are gone.
    """
    room, now = cluster.has(), time.monotonic()
    if room >= cluster.workers:
        return now
    if now - since > PLACING:
        raise Transient(
            f"{name}: for {PLACING:.0f} seconds the cluster has had room for {room} of its {cluster.workers} workers; "
            "nodes are gone. Its checkpoints are kept, and the same command resumes from the last one: see `ray "
            "status`, or give fewer --workers."
        )
    progress("waiting for nodes", room, cluster.workers)
    return since


def _all_ranks(cluster: Cluster, received: _Received, asked: tuple[Any, ...]) -> str | None:
    """Train in all workers together, by Ray Train; None where one was lost."""
    spec, out = asked[0], asked[1]
    ray = cluster.ray
    variables = {**sent_environment(cluster.gpus), "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": STARTING}
    options = {"num_cpus": 0, "max_retries": 0, "runtime_env": {"env_vars": variables}}
    storage = out.parent / f".{out.name}-ray"
    running = ray.remote(_fit).options(**options).remote(
        cluster.workers, cluster.resources, str(storage), os.getcwd(), (received.inbox, *asked)
    )  # fmt: skip
    since = time.monotonic()
    try:
        while not ray.wait([running], timeout=POLL)[0]:
            received.look()
            since = _with_room(cluster, spec.name, since, received.show)
            if cluster.ended.is_set():
                raise Interrupted
        lost, said = cluster.result(running)
    except cluster.lost:
        return None
    finally:
        ray.cancel(running, force=True)  # ranks for which there is room again would train for nobody
        shutil.rmtree(storage, ignore_errors=True)
    received.look()
    if said and not lost and received.error is None and not received.incomplete:
        raise HarnessError(f"{spec.name}: the training failed on the cluster: {said}")
    if lost and not isinstance(received.error, HarnessError):
        received.error, received.lost = None, said  # an error of the ranks that waited for the one that is gone
    return None if said else str(out / "model")


def _fit(
    count: int, resources: Mapping[str, float], storage: str, folder: str, asked: tuple[Any, ...]
) -> tuple[bool, str]:
    """On the cluster: a run of Ray Train. Returns whether a worker was lost, and what failed, "" if nothing did."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    gpus = resources["num_gpus"]
    each = {"CPU": resources["num_cpus"], **({"GPU": gpus} if gpus else {})}
    trainer = TorchTrainer(
        _rank,
        train_loop_config={"folder": folder, "asked": asked},
        scaling_config=ScalingConfig(num_workers=count, use_gpu=bool(gpus), resources_per_worker=each),
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        run_config=RunConfig(name="train", storage_path=storage, failure_config=FailureConfig(max_failures=0)),
    )
    try:
        trainer.fit()
    except Exception as error:
        failures = list(getattr(error, "worker_failures", {}).values()) or [error]
        lost = [each for each in failures if type(each).__name__ != RAISED]
        return bool(lost), str([*lost, *failures][0]).strip().splitlines()[-1]
    return False, ""


def _rank(config: Mapping[str, Any]) -> None:
    """In a rank of Ray Train, which has set what ``harness.util.distributed`` reads and formed the process group."""
    work_in(config["folder"])
    _trained_by(None, *config["asked"])


def _nothing() -> tuple[None, str]:
    return None, "nothing yet"


def _trained_by(held: None, inbox: Any, spec: AlignSpec, out: Path, resume: bool, probe: bool, gpus: float) -> str:
    """In a worker: the training itself; its records, progress, warnings and error go to ``inbox``."""
    sent, first = SentRecorder(inbox), rank_and_world_size()[0] == 0
    shown = warnings.showwarning

    def said(message: Warning | str, category: type[Warning], filename: str, *more: Any, **named: Any) -> None:
        if first and of_this_project(filename):
            sent.send("warning", str(message))

    warnings.showwarning = said
    try:
        if gpus:
            _require_gpu()
        heldout = heldout_of(spec, sent.progress)
        model = train(spec, sent, out, heldout=heldout, resume=resume, probe=probe, progress=sent.progress)
    except Exception as error:
        sent.send("error", sendable(error))
        load_ray().get(sent.send("arrived"))
        raise
    finally:
        warnings.showwarning = shown
    load_ray().get(sent.send("arrived"))  # and all that was sent before it
    return str(model)


def _require_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise UsageError(
            f"--cluster: torch sees no GPU on {socket.gethostname()}, which the cluster gave this worker. Install "
            "torch for its CUDA there, or train with --device cpu."
        )
