"""What to change when a GPU's memory does not suffice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from aligners.pairs.encoding import Encoded
from harness.errors import HarnessError
from harness.models.device_errors import out_of_memory


@contextlib.contextmanager
def named_out_of_memory(pairs: Sequence[Encoded]) -> Iterator[None]:
    """Turns an error of memory into one that names the batch, its length and the settings to change."""
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        longest = max(len(pair.prefix) + len(pair.chosen) + len(pair.rejected) for pair in pairs)
        raise HarnessError(
            f"out of memory with {len(pairs)} pairs of up to {longest} tokens in a forward "
            f"({str(error).splitlines()[0]}) Set micro_batch={max(1, len(pairs) // 2)} (the result stays the same), "
            "gradient_checkpointing=true, a smaller max_length, lora_rank, or sharding=fsdp over more GPUs."
        ) from error
