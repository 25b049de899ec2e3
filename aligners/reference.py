"""Reference log-probabilities, computed once per (weights, pairs, template, layout) and shared by every run."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor

from aligners.collate import Encoder, prompt_text
from aligners.data import Pair
from aligners.forward import Route, response_logprobs
from harness.paths import cache_dir

Progress = Callable[[int, int], None]
TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-2}
"""How far a recomputed log-probability may lie from the stored one, relative to it: rounding, by compute type."""


class ReferenceModel:
    """The frozen model as the source of reference log-probabilities, with its cache on disk.

    Under LoRA ``model`` is the base before adapters are added. ``dtype`` is the type computed in.
    """

    def __init__(
        self, model: Any, encoder: Encoder, *, route: Route, dtype: str, device: torch.device, micro_batch: int
    ) -> None:
        self.model, self.encoder, self.route, self.dtype = model, encoder, route, dtype
        self.device, self.micro_batch = device, micro_batch
        self._weights = weights_hash(model)

    def key(self, pairs: Sequence[Pair]) -> str:
        """Hash of all that determines the values: weights, prompts, responses, images, processor, route, type."""
        processor = self.encoder.processor
        parts = [
            self._weights,
            type(processor).__name__,
            json.dumps(processor.image_processor.to_dict(), sort_keys=True, default=str),
            hashlib.sha256(json.dumps(processor.tokenizer.get_vocab(), sort_keys=True).encode()).hexdigest(),
            prompt_text(processor, "?"),
            self.encoder.max_length,
            self.route,
            self.dtype,
            self.device.type,
            *(pair.content for pair in pairs),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def logprobs(self, pairs: Sequence[Pair], progress: Progress | None = None) -> tuple[Tensor, bool]:
        """Summed log-probabilities (chosen, rejected) of every pair, float64 [N, 2], and whether they were cached."""
        file = cache_dir("reference") / f"{self.key(pairs)}.npy"
        # One process decides and reads, so that ranks never disagree about whether to compute.
        found = broadcast_object_list([self._load(file, pairs) if _rank() == 0 else None])[0]
        if found is not None:
            return torch.from_numpy(found), True
        values = self._compute(pairs, progress)
        if _rank() == 0:
            part = file.with_suffix(f".{torch.randint(2**31, (), generator=torch.Generator()).item()}.part")
            with part.open("wb") as out:
                np.save(out, values.numpy())
            part.replace(file)
        return values, False

    def _load(self, file: Path, pairs: Sequence[Pair]) -> np.ndarray[Any, Any] | None:
        """The cached values if they are there and two recomputed pairs agree with them."""
        try:
            values: np.ndarray[Any, Any] = np.load(file)
        except (OSError, ValueError):
            return None
        probes = [0, len(pairs) - 1]
        again = torch.cat([self._forward([(i, pairs[i])]) for i in probes]).numpy()
        agree = values.shape == (len(pairs), 2) and np.allclose(
            values[probes], again, rtol=TOLERANCE[self.dtype], atol=1e-3
        )
        return values if agree else None

    def _compute(self, pairs: Sequence[Pair], progress: Progress | None) -> Tensor:
        """Every rank computes its share; longest first, so that rows of a batch need little padding."""
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i].chosen) - len(pairs[i].rejected))
        mine = order[_rank() :: _world()]
        rows: list[tuple[int, list[float]]] = []
        for start in range(0, len(mine), self.micro_batch):
            chunk = mine[start : start + self.micro_batch]
            values = self._forward([(i, pairs[i]) for i in chunk])
            rows += zip(chunk, values.tolist(), strict=True)
            if progress:
                progress(min(len(pairs), (start + len(chunk)) * _world()), len(pairs))
        return torch.tensor([row for _, row in sorted(gather_object(rows))], dtype=torch.float64)

    @torch.inference_mode()
    def _forward(self, pairs: Sequence[tuple[int, Pair]]) -> Tensor:
        self.model.eval()
        encoded = [self.encoder(index, pair) for index, pair in pairs]
        with autocast(self.device, self.dtype):
            out = response_logprobs(self.model, encoded, self.route, self.device)
        return torch.stack([out.chosen, out.rejected], 1).double().cpu()


def autocast(device: torch.device, dtype: str) -> contextlib.AbstractContextManager[Any]:
    """bfloat16 autocast, or nothing in float32."""
    return torch.autocast(device.type, torch.bfloat16) if dtype == "bfloat16" else contextlib.nullcontext()


def weights_hash(model: Any) -> str:
    """SHA-256 over the names, types, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def _world() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
