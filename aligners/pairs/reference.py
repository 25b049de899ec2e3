"""Reference log-probabilities, computed once per (weights, pairs, template, layout) and shared by every run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoder
from aligners.pairs.forward import Route, response_logprobs, sum_tokens
from aligners.pairs.memory import named_out_of_memory
from harness.errors import HarnessError
from harness.models.weights import tensors_hash
from harness.protocols.progress import Progress, silent
from harness.util.distributed import rank_and_world_size
from harness.util.files import replacing
from harness.util.paths import cache_dir

TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-2}
"""How far a recomputed log-probability may lie from the stored one, relative to it: rounding, by compute type."""


@dataclass(frozen=True)
class Reference:
    """Log-probabilities of the reference, per token, so that sums, means and weighted sums share one cache.

    ``tokens``: float32, flat, response after response, chosen then rejected of each pair (then chosen given the
    corrupted image, where there is one). ``lengths`` [N, 2 or 3] in tokens.
    """

    tokens: Tensor
    lengths: Tensor

    @property
    def sums(self) -> Tensor:
        """Summed log-probabilities of every response, float64, shape [N, 2 or 3]."""
        return sum_tokens(self.tokens, self.lengths.flatten()).double().view(self.lengths.shape)


class ReferenceModel:
    """The frozen model as the source of reference log-probabilities, with its cache on disk.

    Under LoRA ``model`` is the base before adapters are added. ``dtype`` is the type computed in.
    """

    def __init__(
        self,
        model: Any,
        encoder: Encoder,
        *,
        route: Route,
        dtype: str,
        device: torch.device,
        micro_batch: int,
        progress: Progress = silent,
    ) -> None:
        self.model, self.encoder, self.route, self.dtype = model, encoder, route, dtype
        self.device, self.micro_batch = device, micro_batch
        self._weights = tensors_hash(model, progress=progress)

    def key(self, pairs: Sequence[Pair]) -> str:
        """Hash of all that determines the values: weights, prompts, responses, images, processor, route, type."""
        facts = [
            self._weights,
            *self.encoder.facts,
            self.route,
            self.dtype,
            self.device.type,
            self.encoder.corruption.identity if self.encoder.corruption else "",
            *(pair.content for pair in pairs),
            *(["pad_to_square"] if self.encoder.prompts.settings.pad_to_square == "on" else []),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    def logprobs(self, pairs: Sequence[Pair], progress: Progress = silent) -> tuple[Reference, bool]:
        """Log-probabilities of both responses of every pair, and whether they were cached."""
        file = cache_dir("reference") / f"{self.key(pairs)}.npz"
        # One process decides and reads, so that ranks never disagree about whether to compute.
        cached = broadcast_object_list([self._load(file, pairs) if rank_and_world_size()[0] == 0 else None])[0]
        if cached is not None:
            return cached, True
        made = self._compute(pairs, progress)
        if bad := [pair.id for pair, sums in zip(pairs, made.sums, strict=True) if not sums.isfinite().all()]:
            raise HarnessError(
                f"the reference log-probabilities of {len(bad)} pairs (first: {', '.join(bad[:3])}) are not finite: "
                "the model overflows on them. Set dtype=float32, or leave these pairs out."
            )
        if rank_and_world_size()[0] == 0:
            with replacing(file) as part, part.open("wb") as out:
                np.savez(out, tokens=made.tokens.numpy(), lengths=made.lengths.numpy())
        return made, False

    def _load(self, file: Path, pairs: Sequence[Pair]) -> Reference | None:
        """What is cached, if a few recomputed pairs agree with it; else it is computed again, with a warning."""
        if not file.exists():
            return None
        try:
            with np.load(file) as stored:
                cached = Reference(torch.from_numpy(stored["tokens"]), torch.from_numpy(stored["lengths"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            return self._refuse(file, f"cannot be read ({error})")
        responses = 2 if self.encoder.corruption is None else 3
        if cached.lengths.shape != (len(pairs), responses) or cached.lengths.sum() != len(cached.tokens):
            return self._refuse(file, f"holds {len(cached.lengths)} pairs, not {len(pairs)}")
        if not cached.tokens.isfinite().all():
            return self._refuse(file, "holds numbers that are not finite")
        probes = sorted({0, len(pairs) // 2, len(pairs) - 1})
        again = torch.stack([self._forward([(i, pairs[i])])[0].sums[0] for i in probes])
        if not torch.allclose(cached.sums[probes], again, rtol=TOLERANCE[self.dtype], atol=1e-3):
            worst = (cached.sums[probes] - again).abs().max().item()
            return self._refuse(file, f"differs by {worst:.3g} nats from what this model gives: other weights or data")
        return cached

    @staticmethod
    def _refuse(file: Path, why: str) -> None:
        warnings.warn(f"reference cache {file} {why}; it is computed again.", stacklevel=2)

    def _compute(self, pairs: Sequence[Pair], progress: Progress) -> Reference:
        """Every rank computes its share; longest first, so that rows of a batch need little padding."""
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i].chosen) - len(pairs[i].rejected))
        rank, world = rank_and_world_size()
        mine = order[rank::world]
        rows: list[tuple[int, Reference]] = []
        for start in range(0, len(mine), self.micro_batch):
            chunk = mine[start : start + self.micro_batch]
            rows += zip(chunk, self._forward([(i, pairs[i]) for i in chunk]), strict=True)
            progress("reference log-probabilities", min(len(pairs), (start + len(chunk)) * world), len(pairs))
        in_order = [each for _, each in sorted(gather_object(rows), key=itemgetter(0))]
        return Reference(torch.cat([each.tokens for each in in_order]), torch.cat([each.lengths for each in in_order]))

    @torch.inference_mode()
    def _forward(self, pairs: Sequence[tuple[int, Pair]]) -> list[Reference]:
        """One Reference a pair."""
        self.model.eval()
        encoded = [self.encoder(index, pair) for index, pair in pairs]
        corrupted = self.encoder.corruption is not None
        with autocast(self.device, self.dtype), named_out_of_memory(encoded):
            out = response_logprobs(self.model, encoded, self.route, self.device, corrupted=corrupted)
        lengths = torch.stack([out.chosen_length, out.rejected_length], 1).cpu()
        tokens, end = out.tokens.float().cpu(), int(lengths.sum())
        rows = list(torch.split(tokens[:end], lengths.sum(1).tolist()))
        if corrupted:
            lengths = torch.cat([lengths, lengths[:, :1]], 1)
            rows = [
                torch.cat(each) for each in zip(rows, torch.split(tokens[end:], lengths[:, 2].tolist()), strict=True)
            ]
        return [Reference(tokens, row[None]) for tokens, row in zip(rows, lengths, strict=True)]


def autocast(device: torch.device, dtype: str) -> contextlib.AbstractContextManager[Any]:
    """bfloat16 autocast, or nothing in float32."""
    return torch.autocast(device.type, torch.bfloat16) if dtype == "bfloat16" else contextlib.nullcontext()
