"""Worker processes that report their progress and end with the process that started them."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from harness.protocols.progress import Progress

Result = TypeVar("Result")

EVERY = 0.2  # seconds between two reports of a step

_news: Any = None
_told: dict[str, float] = {}


class Pool:
    """Processes started with spawn. ``news`` carries their reports."""

    def __init__(self, executor: ProcessPoolExecutor, news: Any) -> None:
        self._executor, self._news = executor, news

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
                    progress(*self._news.get_nowait())
            yield from done


@contextlib.contextmanager
def workers(count: int, threads: int | None = None) -> Iterator[Pool]:
    """A pool of ``count`` processes with ``threads`` torch threads each (None: torch's own choice)."""
    context = get_context("spawn")
    news = context.Queue()
    with ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(news, threads)) as executor:
        try:
            yield Pool(executor, news)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def report(step: str, done: int, total: int) -> None:
    """In a worker: report to the parent how far ``step`` is. Most calls between two reports are dropped."""
    now = time.monotonic()
    if _news is not None and (done == total or now - _told.get(step, 0.0) > EVERY):
        _told[step] = now
        _news.put((step, done, total))


def _start(news: Any, threads: int | None) -> None:
    global _news  # a pool's initializer has no other way to hand something to its tasks
    _news = news
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
