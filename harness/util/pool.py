"""Worker processes that report their progress and end with the process that started them."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import active_children, get_context, parent_process
from typing import Any, TypeVar

from harness.protocols.progress import Progress
from harness.util.secrets import guard_output

Result = TypeVar("Result")

EVERY = 0.2  # seconds between two reports of a step
ENDING = 10.0  # seconds that a worker is waited for once it must end

_reports: Any = None  # in a worker: the queue to its parent
_reported: dict[str, float] = {}  # when each step was reported last


class Pool:
    """Processes started with spawn. ``reports`` is the queue of what they report."""

    def __init__(self, executor: ProcessPoolExecutor, reports: Any) -> None:
        self._executor, self._reports = executor, reports

    def submit(self, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Run ``work`` in a worker; it may call ``report``."""
        return self._executor.submit(work, *arguments)

    def finished(self, futures: Iterable[Future[Result]], progress: Progress) -> Iterator[Future[Result]]:
        """Yield ``futures`` as they finish; meanwhile pass the workers' reports on to ``progress``."""
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=EVERY, return_when=FIRST_COMPLETED)
            with contextlib.suppress(queue.Empty):
                while True:
                    progress(*self._reports.get_nowait())
            yield from done


@contextlib.contextmanager
def workers(count: int, threads: int | None = None) -> Iterator[Pool]:
    """A pool of ``count`` processes with ``threads`` torch threads each (None: torch's own choice)."""
    context = get_context("spawn")
    reports = context.Queue()
    with ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(reports, threads)) as executor:
        before = set(active_children())
        try:
            yield Pool(executor, reports)
        except BaseException:  # the rest is not waited for: what a worker has not stored it does again next time
            executor.shutdown(wait=False, cancel_futures=True)
            ours = set(active_children()) - before
            for worker in ours:
                worker.terminate()
            for worker in ours:
                worker.join(ENDING)
            raise


def report(step: str, done: int, total: int, note: str = "") -> None:
    """In a worker: report to the parent how far ``step`` is. Most calls between two reports are dropped."""
    now = time.monotonic()
    if _reports is not None and (done == total or now - _reported.get(step, 0.0) > EVERY):
        _reported[step] = now
        _reports.put((step, done, total, note))


def _start(reports: Any, threads: int | None) -> None:
    global _reports  # a pool's initializer has no other way to hand something to its tasks
    _reports = reports
    guard_output()
    sys.stdout = sys.stderr  # stdout is the results of the command that asked for workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the parent ends this one
    threading.Thread(target=_follow_parent, name="parent", daemon=True).start()
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _follow_parent() -> None:
    """End this process when its parent is gone: a killed parent cannot stop its workers."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
