"""Whether training made something: the saved weights are read back, finite, and other than those it started from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from accelerate.utils import broadcast_object_list
from torch import Tensor
from torch.distributed.tensor import DTensor

from harness.errors import HarnessError
from harness.models.checks import is_finite
from harness.models.weights import tensors_of, weight_files
from harness.protocols.progress import Progress

PLACES = 64
Samples = frozenset[bytes]


def samples_of(model: Any) -> Samples:
    """A few numbers of every parameter of ``model``, at equal distances, as bytes; names differ once saved.

    Every process calls it: where the weights are sharded, one after the other is gathered.
    """
    return frozenset(_sample(whole) for whole in map(_whole, model.parameters()) if whole.numel())


def _whole(parameter: Any) -> Tensor:
    """A parameter, gathered from all processes where FSDP or ZeRO-3 has spread it."""
    if isinstance(parameter, DTensor):
        return parameter.full_tensor()  # type: ignore[no-untyped-call]
    if hasattr(parameter, "ds_id"):
        from deepspeed.runtime.zero import GatheredParameters

        with GatheredParameters([parameter]):
            return cast(Tensor, parameter.detach().clone())
    return cast(Tensor, parameter)


def require_trained(folder: Path, start: Samples, *, first: bool, progress: Progress) -> None:
    """Raise HarnessError, on every process, if the weights saved in ``folder`` are not finite or those of ``start``.

    The ``first`` process reads them.
    """
    fault = broadcast_object_list([_fault(folder, start, progress) if first else None])[0]
    if fault:
        raise HarnessError(f"training is done, but {fault} The run counts as failed.")


def _fault(folder: Path, start: Samples, progress: Progress) -> str | None:
    moved = False
    files = weight_files(folder)
    for done, file in enumerate(files, start=1):
        for name, tensor in tensors_of(file):
            if not is_finite(tensor):
                return f"{name} in {file} is not finite. Lower lr or check the pairs."
            moved = moved or _sample(tensor) not in start
        progress("check of the saved weights", done, len(files))
    if not moved:
        return f"the weights saved in {folder} are those it started from: nothing was learned. Raise lr or epochs."
    return None


def _sample(tensor: Tensor) -> bytes:
    flat = tensor.detach().reshape(-1)
    step = max(1, flat.numel() // PLACES)
    return bytes(flat[::step].cpu().float().clone().numpy().tobytes())  # numpy would pin the storage of a shard
