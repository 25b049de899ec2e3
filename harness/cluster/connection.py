"""A Ray cluster to work on: named, connected to, and left again whatever happens."""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import harness
from harness.errors import HarnessError, Transient, UsageError
from harness.protocols.progress import Progress, silent
from harness.util.distributed import launched
from harness.util.paths import home
from harness.util.secrets import VARIABLES

OLDEST = (2, 50)
"""The version of Ray that is needed."""
ADDRESS = re.compile(r"local|auto|(ray://)?[\w.\-\[\]:]+:\d+")
SENT = re.compile(r"DAMA_\w+|HF_(HOME|HUB_\w+)|TRANSFORMERS_\w+|TOKENIZERS_PARALLELISM|OMP_NUM_THREADS")
"""Variables of this process's environment that workers get: where artefacts and caches lie. Never a secret."""
GRACE = 5.0
"""Seconds after a process is known to have ended within which its node may go as well."""
SILENCE = 30.0
"""Seconds within which a cluster finds out that a node which no longer answers is gone; Ray's checks take up to 18."""
STORE_MEMORY = 500_000_000
"""Bytes for objects under way, on a cluster that this process starts: questions and answers are small."""


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Where work is done, if not in this process.

    Args:
        cluster: "local" (this machine's GPUs or cores), "auto" (the cluster that this machine belongs to), "HOST:PORT"
            or "ray://HOST:PORT"; None for this process.
        workers: how many at once; None: as many as there is room for.
        gpus_per_worker: share of a GPU, or a whole number of them; None: 1 where the cluster has GPUs.
    """

    cluster: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None

    def __post_init__(self) -> None:
        if self.cluster is None:
            for option, value in (("--workers", self.workers), ("--gpus-per-worker", self.gpus_per_worker)):
                if value is not None:
                    raise UsageError(f"{option}: this is about the workers of a cluster; add --cluster local.")
            return
        if not ADDRESS.fullmatch(self.cluster):
            raise UsageError(f"--cluster {self.cluster}: expected local, auto, HOST:PORT or ray://HOST:PORT.")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers}: expected a whole number of at least 1.")
        share = self.gpus_per_worker
        if share is not None and not (0 < share <= 1 or (share > 1 and float(share).is_integer())):
            raise UsageError(f"--gpus-per-worker {share:g}: expected a share of one GPU above 0, or a whole number.")


class Group(Protocol):
    """Processes that hold the same thing."""

    @property
    def living(self) -> int: ...

    def stop(self) -> None: ...


class Cluster:
    """A connection to a cluster: ``workers`` processes of ``gpus`` GPUs each (0: a CPU core each) are used at once, and
    there is ``room`` for so many."""

    def __init__(self, ray: Any, workers: int, gpus: float, room: int) -> None:
        self.ray, self.workers, self.gpus, self._room = ray, workers, gpus, room
        self._groups: list[Group] = []
        self.ended = threading.Event()

    @property
    def device(self) -> str:
        """Where a worker computes: it is given a GPU, or none."""
        return "cuda" if self.gpus else "cpu"

    @property
    def lost(self) -> tuple[type[Exception], ...]:
        """The errors that say that a worker, its node or its result is gone."""
        errors = self.ray.exceptions
        return (
            errors.RayActorError, errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError,
            errors.OutOfMemoryError, errors.LocalRayletDiedError,
        )  # fmt: skip

    def nodes(self) -> frozenset[str]:
        """The ids of the nodes that are there."""
        return frozenset(node["NodeID"] for node in self.ray.nodes() if node["Alive"])

    def has(self) -> int:
        """How many workers the nodes that are there have room for."""
        return sum(room_on(node["Resources"], self.gpus) for node in self.ray.nodes() if node["Alive"])

    def decided(self, error: Exception | None = None) -> float:
        """By when it is known whether a worker that was lost with ``error`` was lost with its node: monotonic clock."""
        ended = isinstance(error, self.ray.exceptions.ActorDiedError)
        return time.monotonic() + (GRACE if ended else SILENCE)

    def gone(self, nodes: Iterable[str], until: float) -> bool:
        """Whether any of ``nodes`` is gone; where none is, looked at ``until`` a moment of the monotonic clock."""
        while not (gone := not self.nodes().issuperset(nodes)) and time.monotonic() < until:
            if self.ended.wait(GRACE / 10):
                break
        return gone

    def part(self, workers: int) -> Cluster:
        """The same cluster with room for ``workers`` of its own, for one of several who work on it."""
        share = Cluster(self.ray, workers, self.gpus, workers)
        share.ended = self.ended
        return share

    def remote(self, kind: type[Any], *arguments: Any) -> Any:
        """A new process of the cluster that holds a ``kind``."""
        environment = {"env_vars": sent_environment(self.gpus)}
        return self.ray.remote(kind).options(**self.resources, runtime_env=environment).remote(*arguments)

    def result(self, reference: Any) -> Any:
        """The value of ``reference``; an error of the worker's own code as it was raised there."""
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            raise cause if isinstance(cause, Exception) else HarnessError(str(error)) from None

    @property
    def resources(self) -> dict[str, float]:
        """What one worker takes."""
        return {"num_gpus": self.gpus, "num_cpus": 0} if self.gpus else {"num_gpus": 0, "num_cpus": 1}

    def make_room(self, group: Group) -> None:
        """End the idle processes of other groups where they and those of ``group`` do not fit together."""
        others = [other for other in self._groups if other is not group and other.living]
        if sum(other.living for other in others) + self.workers > self._room:
            for other in others:
                other.stop()
        if group not in self._groups:
            self._groups.append(group)

    def stop(self) -> None:
        """End all processes."""
        for group in self._groups:
            group.stop()


def load_ray() -> Any:
    """The package; raises UsageError where it is not installed, or too old."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a call after the end must not start a cluster
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise UsageError("--cluster: needs Ray: pip install 'dama-harness[cluster]'.") from error
    if tuple(int(part) for part in ray.__version__.split(".")[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise UsageError(f"--cluster: needs Ray {oldest} or newer, this is {ray.__version__}: pip install -U ray.")
    return ray


@contextlib.contextmanager
def connected(options: ClusterOptions, device: str = "auto", progress: Progress = silent) -> Iterator[Cluster | None]:
    """The cluster that ``options`` name, None where they name none; left at the end, its processes ended.

    ``device`` is that of the command. Raises UsageError where no cluster answers or has no room for the workers.
    """
    if options.cluster is None:
        yield None
        return
    if launched():
        raise UsageError("--cluster: this process was started by torchrun; start the command by itself.")
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device} with --cluster: the cluster gives each worker its GPU; leave it out.")
    ray = load_ray()
    ours = not ray.is_initialized()
    try:
        if ours:
            progress("connecting to the cluster", 0, 1)
            _connect(ray, options.cluster)
            progress("connecting to the cluster", 1, 1)
        cluster = _planned(ray, options, device)
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    own: dict[str, Any] = {"address": address}
    if address == "local":
        own |= {"include_dashboard": False, "object_store_memory": STORE_MEMORY}
    hook, numbers = sys.excepthook, (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        ray.init(**own, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises a bare one where a node is not there in time
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        if address == "local":
            raise Transient(f"--cluster local: Ray does not start here ({first}). Try again, or without it.") from error
        raise UsageError(
            f"--cluster {address}: no Ray cluster can be used there ({first}). `ray start --head` starts one; "
            "--cluster local needs none."
        ) from error
    finally:
        sys.excepthook = hook
        if threading.current_thread() is threading.main_thread():  # Ray has put its own there
            for number, handler in before.items():
                signal.signal(number, handler)


def _planned(ray: Any, options: ClusterOptions, device: str) -> Cluster:
    """The workers that ``options`` ask for, once it is known that there is room for them."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    any_gpu = any(node.get("GPU", 0) >= 1 for node in nodes)
    if device == "cpu" and options.gpus_per_worker is not None:
        raise UsageError("--gpus-per-worker with --device cpu: leave one of them out.")
    if not any_gpu and (device == "cuda" or options.gpus_per_worker is not None):
        asked = "--device cuda" if device == "cuda" else "--gpus-per-worker"
        raise UsageError(f"{asked}: the cluster {options.cluster} has no GPU.")
    gpus = 0.0 if device == "cpu" or not any_gpu else float(options.gpus_per_worker or 1)
    room = sum(room_on(node, gpus) for node in nodes)
    workers = room if options.workers is None else options.workers
    if not 0 < workers <= room:
        each = f"of {gpus:g} GPU each" if gpus else "of one CPU core each"
        raise UsageError(
            f"--workers {workers}: the cluster {options.cluster} has room for {room} {each}; ask for fewer"
            + (", or for a smaller --gpus-per-worker." if gpus else ".")
        )
    return Cluster(ray, workers, gpus, room)


def room_on(node: Mapping[str, float], gpus: float) -> int:
    """How many workers of ``gpus`` GPUs each (0: of one core) a node with these resources has room for."""
    if not gpus:
        return int(node.get("CPU", 0))
    have = int(node.get("GPU", 0))
    return have * math.floor(1 / gpus + 1e-9) if gpus < 1 else int(have // gpus)


def sent_environment(gpus: float = 0.0) -> dict[str, str]:
    """The environment that a worker of ``gpus`` GPUs gets beside its node's own: no secret is in it, since Ray logs and
    shows it. On a CPU each has one thread, as the worker processes of one machine have."""
    sent = {name: value for name, value in os.environ.items() if SENT.fullmatch(name) and not VARIABLES.search(name)}
    code = str(Path(harness.__file__).resolve().parents[1])
    path = os.pathsep.join(dict.fromkeys([code, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]))
    one = {} if gpus else {"OMP_NUM_THREADS": "1"}
    return {**sent, **one, "DAMA_HOME": str(home().resolve()), "PYTHONPATH": path}
