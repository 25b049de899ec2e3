"""Workers of a cluster that each hold the same thing, and calls that are made again where a worker is lost."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.cluster.connection import Cluster
from harness.cluster.holder import Begun, Holder
from harness.cluster.work import Loss, Lost, Work, too_many
from harness.errors import HarnessError, Interrupted, Transient
from harness.protocols.progress import Progress, silent
from harness.util.environment import environment

STARTS = 10
"""Workers that may be lost before one is ready, on nodes that live on."""
PLACING = 300.0
"""Seconds that a worker waits for a node with room while no other works."""
POLL = 1.0
"""Seconds between looks at what is waited for."""


@dataclass
class _Worker:
    """A process of the cluster, which may not be there yet: ``placed`` says where it is. ``nodes``: all that it may be
    on."""

    actor: Any
    placed: Any
    nodes: frozenset[str]
    where: str = "a process that was not placed yet"


class Workers:
    """Up to ``cluster.workers`` processes that each hold what ``make(*arguments)`` makes there, with its facts.

    ``what`` is held, in words. A lost worker is replaced as long as a node has room. Errors of ``make`` are
    raised here. ``meanwhile`` is called now and then while a call is waited for.
    """

    def __init__(
        self,
        cluster: Cluster,
        what: str,
        make: Callable[..., tuple[Any, Any]],
        *arguments: Any,
        progress: Progress = silent,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._meanwhile = meanwhile
        self._cluster, self._ray, self._what = cluster, cluster.ray, what
        self._make, self._arguments, self._progress = make, arguments, progress
        self._idle: list[_Worker] = []
        self._starting: dict[Any, _Worker] = {}
        self._busy: dict[Any, _Worker] = {}
        self._failed_starts, self._since = list[Loss](), time.monotonic()
        self._begun: Begun | None = None

    @property
    def living(self) -> int:
        """Processes that are there or on their way."""
        return len(self._idle) + len(self._starting) + len(self._busy)

    @property
    def ready(self) -> int:
        """Processes that hold what they are to."""
        return len(self._idle) + len(self._busy)

    def start(self) -> Any:
        """Start all; returns the facts of what they hold as soon as one is ready."""
        self._fill(self._cluster.workers)
        while self._begun is None:
            self._wait()
            self._fill(self._cluster.workers)
        return self._begun.facts

    def stop(self) -> None:
        """End all processes; they are started anew when they are needed."""
        for worker in [*self._idle, *self._starting.values(), *self._busy.values()]:
            self._end(worker)
        self._idle, self._starting, self._busy = [], {}, {}

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What ``function(held, *arguments)`` returns in one of them. Raises its errors."""
        for _, result in self.each(Work([1]), function, lambda units: arguments):
            if isinstance(result, Lost):
                raise Transient(f"{self._what}: {result.reason}.")
            return result
        raise AssertionError("one call has one result")

    def each(
        self, work: Work, function: Callable[..., Any], arguments: Callable[[list[int]], Sequence[Any]]
    ) -> Iterator[tuple[list[int], Any]]:
        """Yield (units, what ``function(held, *arguments(units))`` returned) as calls end, in any order.

        For a unit that is given up it yields ``Lost``. Closed early, it ends the workers that are still at a call.
        """
        under_way: dict[Any, list[int]] = {}
        try:
            while work or under_way:
                self._fill(min(self._cluster.workers, len(work) + len(under_way)))
                self._hand_out(work, under_way, function, arguments)
                ended = self._wait()
                if ended is None:
                    continue
                units, worker = under_way.pop(ended), self._busy.pop(ended)
                try:
                    result = self._cluster.result(ended)
                except self._cluster.lost as error:
                    self._end(worker)
                    loss = Loss(worker.nodes, self._cluster.decided(error))
                    for unit in work.lost(units, loss, self._node_is_gone):
                        count = work.lost_with(unit)
                        yield [unit], Lost(f"{count} workers that were asked this were lost (the last: {worker.where})")
                    continue
                except BaseException:
                    self._idle.append(worker)
                    raise
                self._idle.append(worker)
                self._hand_out(work, under_way, function, arguments)  # before the result is looked at and stored
                yield units, result
        finally:
            for call in under_way:
                if call in self._busy:
                    self._end(self._busy.pop(call))

    def _hand_out(
        self,
        work: Work,
        under_way: dict[Any, list[int]],
        function: Callable[..., Any],
        arguments: Callable[[list[int]], Sequence[Any]],
    ) -> None:
        while self._idle and work:
            worker, units = self._idle.pop(), work.take(self._cluster.workers)
            call = worker.actor.call.remote(function, arguments(units))
            under_way[call], self._busy[call] = units, worker

    def _node_is_gone(self, loss: Loss) -> bool:
        return self._cluster.gone(loss.nodes, loss.until)

    def _fill(self, count: int) -> None:
        """Start what is missing to ``count`` workers."""
        if self.living >= count:
            return
        self._cluster.make_room(self)
        while self.living < count:
            actor = self._cluster.remote(Holder, os.getcwd())
            worker = _Worker(actor, actor.where.remote(), self._cluster.nodes())
            self._starting[worker.placed] = worker
            self._since = time.monotonic()

    def _wait(self) -> Any:
        """Wait for a call that ended, and return it; None where something else happened, or nothing for a while."""
        self._meanwhile()
        if self._cluster.ended.is_set():
            raise Interrupted
        done, _ = self._ray.wait([*self._busy, *self._starting], num_returns=1, timeout=POLL)
        if not done:
            self._require_room()
            return None
        if done[0] in self._busy:
            return done[0]
        worker = self._starting.pop(done[0])
        try:
            self._further(worker, done[0])
        except self._cluster.lost as error:
            self._end(worker)
            self._failed_starts.append(Loss(worker.nodes, self._cluster.decided(error)))
            if too_many(self._failed_starts, self._node_is_gone, tries=STARTS):
                count, first_line = len(self._failed_starts), str(error).splitlines()[0]
                raise Transient(
                    f"{self._what}: {count} workers were lost before they were ready, the last of them {worker.where} "
                    f"({first_line}). Is its memory too small? What is stored is kept."
                ) from error
        except BaseException:
            self._end(worker)
            raise
        return None

    def _further(self, worker: _Worker, reference: Any) -> None:
        """A worker that was placed begins; one that began is idle."""
        found = self._cluster.result(reference)
        if reference == worker.placed:
            worker.where, node = found
            worker.nodes = frozenset({node})
            self._starting[worker.actor.begin.remote(self._make, self._arguments)] = worker
            return
        self._check(worker, found)
        self._failed_starts = []
        self._idle.append(worker)
        self._progress(f"workers of {self._what}", self.ready, self.living)

    def _check(self, worker: _Worker, begun: Begun) -> None:
        """Raise HarnessError where a worker has other software than this process, or holds something else."""
        if begun.software != environment():
            here = environment()
            other = [f"{k} {v}, here {here.get(k)}" for k, v in begun.software.items() if here.get(k) != v]
            missing = [f"no {k}, here {v}" for k, v in here.items() if k not in begun.software]
            raise HarnessError(
                f"--cluster: {worker.where} has other software: {'; '.join([*other, *missing])}. Install the same on "
                "all nodes, and run the command on one of them."
            )
        if self._begun is None:
            self._begun = begun
            for text in begun.warnings:
                warnings.warn(text, stacklevel=2)
        elif begun.facts != self._begun.facts:
            raise HarnessError(
                f"{self._what}: {worker.where} holds {begun.facts}, another worker {self._begun.facts}: answers of "
                "both would not be of one model. Use nodes of one kind that see the same files."
            )

    def _require_room(self) -> None:
        if self._busy or not self._starting or any(ref != w.placed for ref, w in self._starting.items()):
            self._since = time.monotonic()
        elif time.monotonic() - self._since > PLACING:
            raise Transient(
                f"{self._what}: no node of the cluster has had room for a worker for {PLACING:.0f} seconds. What is "
                "stored is kept: see `ray status`, and run the same command again."
            )

    def _end(self, worker: _Worker) -> None:
        self._ray.kill(worker.actor)
