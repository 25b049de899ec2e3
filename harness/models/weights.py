"""Hashes of weights: what the keys of stored answers and caches are made of.

Three, for three situations. ``files_identity`` reads files: bytes on disk say what a model is before it is cast or
placed, and need no pass over its tensors. ``tensors_hash`` reads tensors: the cache of the reference belongs to what is
computed with, whatever folder, dtype or quantisation it came by. ``weights_identity`` says whether an adapter lies on
the weights that it was trained on; settings beside them may be edited.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from harness.protocols.progress import Progress, silent

WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin")
SETTINGS = (
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "*processor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "chat_template*",
    "vocab*",
    "merges.txt",
)


def files_identity(source: str, model: Any, progress: Progress = silent) -> str:
    """sha256 over the content of a model directory's weights and settings; a hub model's name and commit."""
    folder = Path(source)
    if not folder.is_dir():
        return f"{source}@{getattr(model.config, '_commit_hash', None)}"
    files = {path for pattern in (*WEIGHTS, *SETTINGS) for path in folder.glob(pattern) if path.is_file()}
    return hash_of_files(sorted(files), progress)


def weights_identity(folder: str, progress: Progress = silent) -> str:
    """sha256 over names and bytes of the weights in ``folder``; "" for what is no directory, as a hub model."""
    files = weight_files(Path(folder)) if Path(folder).is_dir() else []
    return hash_of_files(files, progress) if files else ""


def hash_of_files(files: Sequence[Path], progress: Progress = silent) -> str:
    """sha256 over the names and contents of ``files``, in their order."""
    digest = hashlib.sha256()
    for done, path in enumerate(files, start=1):
        digest.update(f"{path.name}\0{_file_sha256(path)}\n".encode())
        progress("hash of the weights", done, len(files))
    return digest.hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """The files of the weights of a model or an adapter: safetensors, or where there are none the older .bin."""
    safe, *older = ([*folder.glob(pattern)] for pattern in WEIGHTS)
    return sorted(safe) or sorted(file for files in older for file in files)


def tensors_of(file: Path) -> Iterator[tuple[str, Any]]:
    """The tensors of a file of weights by their names, one at a time."""
    import torch
    from safetensors import safe_open

    if file.suffix != ".safetensors":
        yield from torch.load(file, map_location="cpu", weights_only=True, mmap=is_zipfile(file)).items()
        return
    with safe_open(file, "pt") as opened:
        for name in opened.keys():  # noqa: SIM118 (it is no dictionary)
            yield name, opened.get_tensor(name)


def names_of(file: Path) -> list[str]:
    """The names of the tensors in a file of weights; the tensors themselves are not read."""
    from safetensors import safe_open

    if file.suffix != ".safetensors":
        return [name for name, _ in tensors_of(file)]
    with safe_open(file, "pt") as opened:
        return list(opened.keys())


def tensors_hash(model: Any, *, with_types: bool = True, progress: Progress = silent) -> str:
    """sha256 over the names and bytes of all parameters and buffers.

    ``with_types`` adds types and shapes; without them it is the hash under which embeddings of CLIP are kept.
    """
    digest = hashlib.sha256()
    tensors = sorted(model.state_dict().items())
    for done, (name, tensor) in enumerate(tensors, start=1):
        digest.update((f"{name} {tensor.dtype} {tuple(tensor.shape)}" if with_types else name).encode())
        digest.update(_bytes(tensor))
        progress("hash of the weights", done, len(tensors))
    return digest.hexdigest()


def _bytes(tensor: Any) -> memoryview:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return memoryview(flat.numpy())


def _file_sha256(path: Path) -> str:
    """Of a file's content; read again only where the file was written since."""
    now = path.stat()
    return _read_sha256(path.resolve(), (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns))


@functools.lru_cache(maxsize=4096)
def _read_sha256(path: Path, state: tuple[int, ...]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
