"""Worker processes that report their progress and end with the process that started them."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from typing import Any, TypeVar

from harness.errors import ENDS, HarnessError, Transient
from harness.protocols.progress import Progress
from harness.util.secrets import guard_output

Result = TypeVar("Result")

EVERY = 0.2  # seconds between two reports of a step
TRIES = 2  # of a job whose worker is killed
ENDING = 10.0  # seconds that a worker is waited for once it must end

_reports: Any = None  # in a worker: the queue to its parent
_reported: dict[str, float] = {}  # when each step was reported last


class WorkerLost(Transient):
    """A job ended its worker process twice."""


class _Worker:
    """One process, started when it is first needed, and the queue of what it reports.

    No two share a pool of concurrent.futures or a queue: one that is killed would break the first for all, and may take
    the lock of the second with it.
    """

    def __init__(self, threads: int | None, gpu: str) -> None:
        context = get_context("spawn")
        self.reports = context.Queue()
        self.executor = ProcessPoolExecutor(1, context, initializer=_start, initargs=(self.reports, threads, gpu))


class Pool:
    """``count`` processes started with spawn, each led by a thread of this one. See ``workers``."""

    def __init__(self, count: int, threads: int | None, gpus: Sequence[str]) -> None:
        self._torch_threads = threads
        self._gpus = gpus or ("",)
        self._numbers: dict[int, int] = {}  # of the leaders: a worker that takes a killed one's place takes its GPU
        self._leaders = ThreadPoolExecutor(count, thread_name_prefix="worker")
        self._workers: dict[int, _Worker] = {}  # by their leaders
        self._lock, self._ending = threading.Lock(), False

    def submit(self, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Run ``work`` in a worker; it may call ``report``.

        Where the worker is killed, a new one begins ``work`` again; where that is killed too, the future raises
        WorkerLost. The others are not disturbed.
        """
        return self._leaders.submit(self._lead, work, arguments)

    def finished(self, futures: Iterable[Future[Result]], progress: Progress) -> Iterator[Future[Result]]:
        """Yield ``futures`` as they finish; meanwhile pass the workers' reports on to ``progress``."""
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=EVERY, return_when=FIRST_COMPLETED)
            for worker in self._living():
                _pass_on(worker.reports, progress)
            yield from done

    def end(self, *, at_once: bool) -> None:
        """End the processes, ``at_once`` or when all work is done."""
        self._ending = at_once
        self._leaders.shutdown(wait=not at_once, cancel_futures=at_once)
        for worker in self._living():
            worker.executor.shutdown(wait=not at_once, cancel_futures=at_once)

    def _lead(self, work: Callable[..., Result], arguments: Sequence[Any]) -> Result:
        for _ in range(TRIES):
            try:
                return self._mine().executor.submit(_do, work, arguments).result()
            except BrokenProcessPool:
                with self._lock:
                    del self._workers[threading.get_ident()]
        raise WorkerLost(f"its worker process was killed {TRIES} times (is the memory too small?).")

    def _mine(self) -> _Worker:
        """The worker of this thread."""
        with self._lock:
            if self._ending:
                raise WorkerLost("its worker process was ended.")
            me = threading.get_ident()
            if me not in self._workers:
                number = self._numbers.setdefault(me, len(self._numbers))
                self._workers[me] = _Worker(self._torch_threads, self._gpus[number % len(self._gpus)])
            return self._workers[me]

    def _living(self) -> list[_Worker]:
        with self._lock:
            return list(self._workers.values())


class Threads:
    """``count`` threads of this process for work that waits for other machines: the same calls as a Pool's.

    Args:
        stop: makes what is under way end soon.
    """

    def __init__(self, count: int, stop: Callable[[], None]) -> None:
        global _reports  # as in a worker process
        self._stop, self._executor = stop, ThreadPoolExecutor(count, thread_name_prefix="cluster")
        self._reports: queue.SimpleQueue[tuple[str, int, int, str]] = queue.SimpleQueue()
        _reports = self._reports

    def submit(self, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Run ``work`` in a thread; it may call ``report``."""
        return self._executor.submit(work, *arguments)

    def finished(self, futures: Iterable[Future[Result]], progress: Progress) -> Iterator[Future[Result]]:
        """Yield ``futures`` as they finish; meanwhile pass what is reported on to ``progress``."""
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=EVERY, return_when=FIRST_COMPLETED)
            _pass_on(self._reports, progress)
            yield from done

    def end(self, *, at_once: bool) -> None:
        """End the threads, ``at_once`` or when all work is done."""
        global _reports
        if at_once:
            self._stop()
        self._executor.shutdown(wait=True, cancel_futures=at_once)
        _reports = None


def _pass_on(reports: Any, progress: Progress) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            progress(*reports.get_nowait())


def cores(most: int) -> int:
    """How many processor cores this process may use, at most ``most``."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(most, mine))


@contextlib.contextmanager
def threads(count: int, stop: Callable[[], None]) -> Iterator[Threads]:
    """``count`` threads; see ``Threads``. An error or interruption within it stops what is under way."""
    pool = Threads(count, stop)
    try:
        yield pool
    except BaseException:
        pool.end(at_once=True)
        raise
    pool.end(at_once=False)


@contextlib.contextmanager
def workers(count: int, threads: int | None = None, gpus: Sequence[str] = ()) -> Iterator[Pool]:
    """A pool of ``count`` processes with ``threads`` torch threads each (None: torch's own choice).

    Each sees one of ``gpus`` (as in CUDA_VISIBLE_DEVICES), in turn; without any it sees what this process sees.
    """
    before, pool = set(active_children()), Pool(count, threads, gpus)
    try:
        yield pool
    except BaseException:  # the rest is not waited for: what a worker has not stored it does again next time
        pool.end(at_once=True)
        ours = set(active_children()) - before
        for worker in ours:
            worker.terminate()
        for worker in ours:
            worker.join(ENDING)
        raise
    pool.end(at_once=False)


def _do(work: Callable[..., Result], arguments: Sequence[Any]) -> Result:
    """In a worker: ``work``; its error as the parent can take it (see ``sendable``)."""
    try:
        return work(*arguments)
    except Exception as error:
        if (sent := sendable(error)) is not error:
            raise sent from error
        raise
    finally:
        _keep_what_is_left()


def _keep_what_is_left() -> None:
    """In a worker after a job: what is left is imported modules and caches, and no later collection goes through it.

    accelerate collects when a training begins, which takes a second with all that torch and transformers hold.
    """
    gc.collect()
    gc.freeze()


def sendable(error: Exception) -> Exception:
    """``error``, as a HarnessError of its words if it could not be made again in another process, which would take the
    worker for killed."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return HarnessError(str(error))
    return error


def report(step: str, done: int, total: int, note: str = "") -> None:
    """In a worker: report to the parent how far ``step`` is. Most calls between two reports are dropped."""
    now = time.monotonic()
    if _reports is not None and (done == total or now - _reported.get(step, 0.0) > EVERY):
        _reported[step] = now
        _reports.put((step, done, total, note))


def _start(reports: Any, threads: int | None, gpu: str) -> None:
    global _reports  # a pool's initializer has no other way to hand something to its tasks
    _reports = reports
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # read when CUDA is first used, which is later
    guard_output()
    sys.stdout = sys.stderr  # stdout is the results of the command that asked for workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the parent ends this one
    for number in ENDS:  # a forked worker has the command's handler, which raises: it would end with a traceback
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
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
