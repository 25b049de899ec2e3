"""What an error of the device means: memory ran out, which less work cures, or the device is lost to this process."""

from __future__ import annotations

import torch

NO_MEMORY = (
    "can't allocate memory",  # of the CPU's allocator
    "CUDA error: out of memory",  # where the driver ran out, not torch's own allocator
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
LOST = "CUDA error:"
"""How torch's message begins when a kernel failed or the context is gone; every later call fails as well."""


def out_of_memory(error: BaseException) -> bool:
    """Whether less work at a time may do where ``error`` was raised."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in NO_MEMORY)


def device_lost(error: BaseException) -> bool:
    """Whether nothing more can be computed on the device by this process after ``error``."""
    return isinstance(error, RuntimeError) and LOST in str(error) and not out_of_memory(error)
