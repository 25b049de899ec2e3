"""What to change when a GPU's memory does not suffice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from aligners.pairs.encoding import Encoded
from harness.errors import HarnessError


@contextlib.contextmanager
def named_out_of_memory(pairs: Sequence[Encoded]) -> Iterator[None]:
    """Turns CUDA's out-of-memory error into one that names the batch, its length and the settings to change."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        longest = max(len(pair.prefix) + len(pair.chosen) + len(pair.rejected) for pair in pairs)
        raise HarnessError(
            f"out of GPU memory with {len(pairs)} pairs of up to {longest} tokens in a forward "
            f"({str(error).splitlines()[0]}) Set micro_batch={max(1, len(pairs) // 2)} (the result stays the same), "
            "gradient_checkpointing=true, a smaller max_length, lora_rank, or sharding=fsdp over more GPUs."
        ) from error
