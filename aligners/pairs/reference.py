"""Reference log-probabilities: computed once for each pair and model, and shared by every run, method and set of pairs.

They lie on disk by the pair's content in one folder for what else determines them (``ReferenceModel.key``), so that
other sets of pairs, other orders and held-out pairs compute only what is new. A value is that of the batch it was first
computed in: in another batch, in which rows are padded otherwise, its last digits may differ.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.forward import Route, response_logprobs, stock_model, sum_tokens
from aligners.pairs.memory import named_out_of_memory
from harness.errors import HarnessError
from harness.models.weights import tensors_hash
from harness.protocols.progress import Progress, silent
from harness.util.array_store import ArrayStore, Saving
from harness.util.distributed import rank_and_world_size
from harness.util.division import agreed, in_rounds, read_ahead, share
from harness.util.options import content_key
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
    """The frozen model as the source of reference log-probabilities, each pair's kept on disk once it is computed.

    Args:
        model: the base before adapters are added, or the model as it is wrapped for training (in all processes).
        dtype: the type computed in.
        weights: what names the weights; "" to hash the tensors of ``model``, which must not be sharded then.
        numerics: what else changes the last digits, such as how the weights are sharded; "" for a whole model.
        workers: processes that read and encode pairs while the model computes.
        prepared: whether the model is wrapped for training, and computes in ``dtype`` by itself.
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
        weights: str = "",
        numerics: str = "",
        workers: int = 0,
        prepared: bool = False,
        progress: Progress = silent,
    ) -> None:
        self.model, self.encoder, self.route, self.dtype = model, encoder, route, dtype
        self.device, self.micro_batch, self.numerics, self.prepared = device, micro_batch, numerics, prepared
        self.workers = encoder.possible_workers(workers)
        self._weights = weights or tensors_hash(model, progress=progress)

    def key(self) -> str:
        """Hash of all that determines the values beside a pair: weights, processor, template, route, numerics."""
        attention = getattr(stock_model(self.model).config.get_text_config(), "_attn_implementation", None) or "sdpa"
        facts = [
            self._weights,
            *self.encoder.facts,
            self.route,
            self.dtype,
            self.device.type,
            self.encoder.corruption.identity if self.encoder.corruption else "",
            *(["pad_to_square"] if self.encoder.prompts.settings.pad_to_square == "on" else []),
        ]
        return content_key("reference-2", facts, self.numerics, *([attention] if attention != "sdpa" else []))

    def logprobs(self, pairs: Sequence[Pair], progress: Progress = silent) -> tuple[Reference, bool]:
        """Log-probabilities of both responses of every pair, and whether all of them were computed before.

        Every process of a run calls it with the same pairs and computes its share of those that are missing; the first
        reads and writes the files. What is computed is kept also where the pass is interrupted.
        Raises HarnessError naming pairs whose log-probabilities are not finite.
        """
        store = ArrayStore(cache_dir("reference") / self.key(), packed, self._unpacked)
        # The first process decides and reads, so that processes never disagree about what to compute.
        known = store.read({pair.content for pair in pairs}) if rank_and_world_size()[0] == 0 else {}
        known = self._confirmed(known, pairs, store)
        missing = agreed([i for i, pair in _distinct(pairs) if pair.content not in known])
        if missing:
            known |= self._compute([pairs[i] for i in missing], store, progress)
        rows = [known[pair.content] for pair in pairs] if rank_and_world_size()[0] == 0 else []
        return agreed(joined(rows)), not missing

    def _confirmed(
        self, known: dict[str, Reference], pairs: Sequence[Pair], store: ArrayStore[Reference]
    ) -> dict[str, Reference]:
        """``known`` if a few of its pairs, computed again, agree with it; else nothing, with a warning."""
        there = agreed([i for i, pair in _distinct(pairs) if pair.content in known])
        probes = sorted({there[0], there[len(there) // 2], there[-1]}) if there else []
        again = [self._forward([self.encoder(i, pairs[i])])[0].sums for i in probes]
        if not probes or rank_and_world_size()[0] > 0:
            return known
        kept, new = torch.cat([known[pairs[i].content].sums for i in probes]), torch.cat(again)
        if torch.allclose(kept, new, rtol=TOLERANCE[self.dtype], atol=1e-3):
            return known
        warnings.warn(
            f"reference log-probabilities in {store.folder} differ by {(kept - new).abs().max().item():.3g} nats from "
            "what this model gives: other weights or data; they are computed again.",
            stacklevel=3,
        )
        store.clear()
        return {}

    def _compute(self, pairs: Sequence[Pair], store: ArrayStore[Reference], progress: Progress) -> dict[str, Reference]:
        """By content; the first process keeps them. Longest first, so that rows of a batch need little padding."""
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i].chosen) - len(pairs[i].rejected))
        batches = [order[start : start + self.micro_batch] for start in range(0, len(order), self.micro_batch)]
        mine = [batches[number] for number in share(len(batches))]
        ahead = read_ahead(mine, lambda batch: [self.encoder(i, pairs[i]) for i in batch], self.workers)
        first, made, bad = rank_and_world_size()[0] == 0, dict[str, Reference](), list[str]()
        done = 0
        with Saving(store) as saving:
            for number, rows in in_rounds(len(batches), lambda _: self._forward(next(ahead))):
                of_batch = [pairs[i] for i in batches[number]]
                bad += [pair.id for pair, row in zip(of_batch, rows, strict=True) if not row.tokens.isfinite().all()]
                if first and not bad:
                    new = {pair.content: row for pair, row in zip(of_batch, rows, strict=True)}
                    saving.add(new)
                    made.update(new)
                done += len(of_batch)
                progress("reference log-probabilities", done, len(pairs))
        if bad:
            raise HarnessError(
                f"the reference log-probabilities of {len(bad)} pairs (first: {', '.join(bad[:3])}) are not finite: "
                "the model overflows on them. Set dtype=float32, or leave these pairs out."
            )
        return made

    def _unpacked(self, arrays: Mapping[str, Any]) -> list[Reference]:
        """The rows of stored arrays. Raises ValueError for other than finite ones of this many responses."""
        tokens, lengths = torch.from_numpy(arrays["tokens"]), torch.from_numpy(arrays["lengths"])
        responses = 2 if self.encoder.corruption is None else 3
        if lengths.shape[1:] != (responses,) or lengths.sum() != len(tokens):
            raise ValueError(f"its shapes are not those of {responses} responses a pair")
        if not tokens.isfinite().all():
            raise ValueError("it holds numbers that are not finite")
        return split(tokens, lengths)

    @torch.no_grad()  # a sharded model would keep tensors of inference mode, which no gradient flows through later
    def _forward(self, encoded: Sequence[Encoded]) -> list[Reference]:
        """One Reference a pair."""
        self.model.eval()
        corrupted = self.encoder.corruption is not None
        computing = contextlib.nullcontext() if self.prepared else autocast(self.device, self.dtype)
        with computing, named_out_of_memory(encoded):
            out = response_logprobs(self.model, encoded, self.route, self.device, corrupted=corrupted)
        lengths = torch.stack([out.chosen_length, out.rejected_length], 1).cpu()
        tokens, end = out.tokens.float().cpu(), int(lengths.sum())
        rows = list(torch.split(tokens[:end], lengths.sum(1).tolist()))
        if corrupted:
            lengths = torch.cat([lengths, lengths[:, :1]], 1)
            rows = [
                torch.cat(each) for each in zip(rows, torch.split(tokens[end:], lengths[:, 2].tolist()), strict=True)
            ]
        # Copies: a view would be sent to other processes with the whole batch.
        return [Reference(row.clone(), length[None]) for row, length in zip(rows, lengths, strict=True)]


def joined(rows: Sequence[Reference]) -> Reference:
    """``rows`` as one, in order."""
    if not rows:
        return Reference(torch.empty(0), torch.empty(0, 2, dtype=torch.long))
    return Reference(torch.cat([each.tokens for each in rows]), torch.cat([each.lengths for each in rows]))


def split(tokens: Tensor, lengths: Tensor) -> list[Reference]:
    """A Reference for each row of ``lengths`` [N, 2 or 3]."""
    parts = torch.split(tokens, lengths.sum(1).tolist())
    return [Reference(part, row[None]) for part, row in zip(parts, lengths, strict=True)]


def packed(rows: Sequence[Reference]) -> dict[str, np.ndarray]:
    """``rows`` as the arrays that are stored: tokens [T] float32, lengths [N, 2 or 3]."""
    whole = joined(rows)
    return {"tokens": whole.tokens.numpy(), "lengths": whole.lengths.numpy()}


def kept_bytes(pairs: int, tokens: float) -> float:
    """Bytes on disk of ``pairs`` of which the responses have ``tokens`` tokens together."""
    return pairs * (4 * tokens + 64 + 3 * 8)


def _distinct(pairs: Sequence[Pair]) -> list[tuple[int, Pair]]:
    """The first of each of ``pairs`` that are equal, with its number."""
    first = {pair.content: i for i, pair in reversed(list(enumerate(pairs)))}
    return [(i, pairs[i]) for i in sorted(first.values())]


def autocast(device: torch.device, dtype: str) -> contextlib.AbstractContextManager[Any]:
    """bfloat16 autocast, or nothing in float32."""
    return torch.autocast(device.type, torch.bfloat16) if dtype == "bfloat16" else contextlib.nullcontext()
