"""The weights of a checkpoint in LLaVA's own layout, one after the other, as the hub's layout has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from harness.errors import UsageError
from harness.models.adapter_files import matrices, scale_of
from harness.models.model_files import read_adapter_config
from harness.models.original_llava import TOWER, hub_name
from harness.models.sources import OTHER_TRAINED
from harness.models.weights import names_of, tensors_of, weight_files
from harness.protocols.progress import Progress
from harness.util.files import write_json

VOCABULARY = ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight")
OF_CLIP_ALONE = ("text_model.", "text_projection.", "visual_projection.", "logit_scale")
"""What a whole CLIP has beside its vision tower."""
SHARD_BYTES = 5 * 10**9


def hub_tensors(base: Path, adapter: Path | None, tower: Path | None, rows: int) -> Iterator[tuple[str, Tensor]]:
    """Names and weights in the hub's layout, in the checkpoint's own type.

    Args:
        base: the checkpoint, or under an adapter the model that it was trained on.
        adapter: a checkpoint of LoRA alone; it is added in float32.
        tower: where the vision tower's weights are, if ``base`` lacks them.
        rows: of the embeddings. New ones are the mean of the others, of which the hub's script draws new ones with a
            variance of 1e-5; no prompt or answer uses them.

    Raises UsageError for a weight of no known name, and for what an adapter adds to none.
    """
    trained = _other_trained(adapter) if adapter else {}
    added = _added(adapter) if adapter else {}
    kind: torch.dtype | None = None
    for name, tensor in _original(base, tower, trained):
        new = hub_name(name)
        if new is None:
            continue
        if kind is None:
            kind = tensor.dtype
        update = added.pop(name.removesuffix(".weight"), None)
        changed = tensor if update is None else tensor.float() + update[1] @ update[0]
        yield new, (_grown(changed, rows) if new in VOCABULARY else changed).to(kind).contiguous()
    if added:
        raise UsageError(
            f"{adapter}: its adapter changes {len(added)} weights that {base} lacks: {sorted(added)[0]}, ..."
        )


def write_shards(tensors: Iterable[tuple[str, Tensor]], count: int, folder: Path, progress: Progress) -> None:
    """Write about ``count`` weights to ``folder`` in files of at most 5 GB with their index, as transformers does."""
    shards: list[dict[str, Tensor]] = [{}]
    parts: list[tuple[Path, list[str]]] = []
    size = total = 0

    def close() -> None:
        file = folder / f"part-{len(parts) + 1}.safetensors"
        save_file(shards[-1], file, metadata={"format": "pt"})
        parts.append((file, list(shards[-1])))
        shards[-1] = {}

    for done, (name, tensor) in enumerate(tensors, start=1):
        if size + tensor.nbytes > SHARD_BYTES and shards[-1]:
            close()
            size = 0
        shards[-1][name] = tensor
        size, total = size + tensor.nbytes, total + tensor.nbytes
        progress("weights", min(done, count - 1), count)
    close()
    index: dict[str, str] = {}
    for number, (file, names) in enumerate(parts, start=1):
        name = f"model-{number:05d}-of-{len(parts):05d}.safetensors" if len(parts) > 1 else "model.safetensors"
        file.rename(folder / name)
        index |= dict.fromkeys(names, name)
    if len(parts) > 1:
        content = {"metadata": {"total_size": total}, "weight_map": index}
        write_json(folder / "model.safetensors.index.json", content)
    progress("weights", count, count)


def holds_tower(base: Path) -> bool:
    """Whether a checkpoint holds the weights of its vision tower."""
    return any(name.startswith(TOWER) for file in weight_files(base) for name in names_of(file))


def vocabulary(base: Path) -> int:
    """The rows of a checkpoint's embeddings, which may be more than its config.json says."""
    embeddings = "model.embed_tokens.weight"
    files = [file for file in weight_files(base) if embeddings in names_of(file)]
    return next((len(tensor) for file in files for name, tensor in tensors_of(file) if name == embeddings), 0)


def _original(base: Path, tower: Path | None, trained: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The weights under their original names; what was ``trained`` in full beside an adapter replaces the base's."""
    for file in weight_files(base):
        yield from ((name, tensor) for name, tensor in tensors_of(file) if name not in trained)
    yield from trained.items()
    for file in weight_files(tower) if tower else ():
        for name, tensor in tensors_of(file):
            if not name.startswith(OF_CLIP_ALONE):
                yield f"{TOWER}vision_model.{name.removeprefix('vision_model.')}", tensor


def _other_trained(adapter: Path) -> dict[str, Tensor]:
    file = adapter / OTHER_TRAINED
    if not file.is_file():
        raise UsageError(
            f"{adapter} lacks {OTHER_TRAINED}, which LLaVA's scripts write beside the adapter: the projector would be "
            "that of the base. Take the checkpoint whole."
        )
    return {name.removeprefix("base_model.model."): tensor for name, tensor in tensors_of(file)}


def _added(adapter: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """By module the matrices that an adapter adds, scaled."""
    scale = scale_of(read_adapter_config(adapter), adapter)
    return {name: (first, second * scale) for name, (first, second) in matrices(adapter).items()}


def _grown(tensor: Tensor, rows: int) -> Tensor:
    """``tensor`` [n, d] with rows of its mean up to ``rows``."""
    mean = tensor.float().mean(0, keepdim=True).to(tensor.dtype)
    return torch.cat([tensor, mean.expand(rows - len(tensor), -1)])
