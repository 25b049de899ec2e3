"""Which process of how many this is, as torchrun (or `accelerate launch`) says in the environment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


def launched() -> bool:
    """Whether a launcher started this process as one of several (or of one)."""
    return "WORLD_SIZE" in os.environ


def rank_and_world_size() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) without a launcher."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """The number of this process on its machine; 0 without a launcher."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def visible_gpus(count: int) -> list[str]:
    """The names of the ``count`` GPUs that this process sees, as CUDA_VISIBLE_DEVICES of another one takes them."""
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return given[:count] if given else [str(number) for number in range(count)]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within it this process looks as if no launcher had started it: for libraries that would wait for the others."""
    hidden = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
