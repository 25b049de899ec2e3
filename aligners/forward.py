"""The preference forward: summed log-probabilities of both responses of every pair, by one of two exact routes.

``plain`` runs chosen and rejected as rows of their own. ``shared`` runs a pair as one row [prefix | chosen | rejected]
whose mask hides chosen from rejected, so that the image and the prompt (4/5 of a LLaVA pair) are computed once. Both
ask for logits at response positions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from aligners.collate import Encoded, stack_vision
from harness.errors import UsageError

Route = Literal["shared", "plain"]
SHARED_FAMILIES = frozenset({"llava"})
"""Model types with one-dimensional positions and a purely causal mask, for which the shared row is exact."""


@dataclass(frozen=True)
class LogProbs:
    """Summed response log-probabilities in nats and lengths in tokens (EOS included), each of shape [n]."""

    chosen: Tensor
    rejected: Tensor
    chosen_length: Tensor
    rejected_length: Tensor


def choose_route(model: Any, route: str) -> tuple[Route, str]:
    """The route for ``model`` and why. Raises UsageError if "shared" is asked for where it would not be exact."""
    config = model.config
    attention = getattr(getattr(config, "text_config", config), "_attn_implementation", None)
    fits = config.model_type in SHARED_FAMILIES and attention == "sdpa"
    why = f"model type {config.model_type}, {attention} attention"
    if route == "plain" or (route == "auto" and not fits):
        return "plain", f"plain rows ({why})"
    if not fits:
        raise UsageError(
            f"route=shared needs a model of type {sorted(SHARED_FAMILIES)} with sdpa attention; this: {why}."
        )
    return "shared", f"shared prefix ({why})"


def response_logprobs(model: Any, pairs: Sequence[Encoded], route: Route, device: torch.device | str) -> LogProbs:
    """Log-probabilities of both responses of ``pairs`` under ``model`` (wrapped or not), differentiable."""
    rows = _shared_rows(pairs) if route == "shared" else _plain_rows(pairs)
    inputs = {name: value.to(device) for name, value in rows.inputs.items()}
    logits = model(**inputs, logits_to_keep=rows.keep.to(device), use_cache=False).logits
    scores = logits.reshape(-1, logits.shape[-1])[rows.order.to(device)]
    # Sums of log-probabilities need float32 at least: bfloat16 keeps 8 bits.
    scores = scores if scores.dtype == torch.float64 else scores.float()
    token = torch.gather(scores.log_softmax(-1), 1, rows.targets.to(device)[:, None])[:, 0]
    sums = token.new_zeros(2 * len(pairs)).index_add(0, rows.sequence.to(device), token)
    lengths = torch.tensor([[len(pair.chosen), len(pair.rejected)] for pair in pairs], device=device)
    return LogProbs(sums[0::2], sums[1::2], lengths[:, 0], lengths[:, 1])


@dataclass(frozen=True)
class _Rows:
    """A padded batch. ``keep`` [rows, K]: positions whose logits are wanted (padded with 0); of the rows * K logits
    ``order`` picks those that count, which predict ``targets`` of response ``sequence`` (2i: chosen, 2i + 1: rejected).
    """

    inputs: dict[str, Tensor]
    keep: Tensor
    order: Tensor
    targets: Tensor
    sequence: Tensor


def _shared_rows(pairs: Sequence[Encoded]) -> _Rows:
    ids, positions, branches, keep = [], [], [], []
    for pair in pairs:
        p, c, r = len(pair.prefix), len(pair.chosen), len(pair.rejected)
        ids.append(torch.cat([pair.prefix, pair.chosen, pair.rejected]))
        positions.append(torch.cat([torch.arange(p), p + torch.arange(c), p + torch.arange(r)]))
        branches.append(torch.tensor([0] * p + [1] * c + [2] * r))
        # The prefix's last token predicts the first token of both responses.
        first = torch.tensor([p - 1])
        keep.append(torch.cat([first, p + torch.arange(c - 1), first, p + c + torch.arange(r - 1)]))
    length = _padded(max(map(len, ids)))
    branch = _pad(branches, length, value=-1)
    inputs = {
        "input_ids": _pad(ids, length),
        "position_ids": _pad(positions, length),
        "attention_mask": _branch_mask(branch),
        **stack_vision(pairs),
        **{name: _pad([pair.marks[name] for pair in pairs], length) for name in pairs[0].marks},
    }
    return _finish(inputs, keep, pairs)


def _branch_mask(branch: Tensor) -> Tensor:
    """Boolean [B, 1, S, S], True: attend. A token sees the prefix (0) and its own branch up to itself."""
    length = branch.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    query, key = branch[:, :, None], branch[:, None, :]
    seen = causal & ((key == 0) | (key == query)) & (query >= 0)
    # Padding must see something, else its softmax is NaN.
    return (seen | torch.eye(length, dtype=torch.bool))[:, None]


def _plain_rows(pairs: Sequence[Encoded]) -> _Rows:
    ids, keep = [], []
    for pair in pairs:
        for response in (pair.chosen, pair.rejected):
            ids.append(torch.cat([pair.prefix, response]))
            keep.append(len(pair.prefix) - 1 + torch.arange(len(response)))
    length = _padded(max(map(len, ids)))
    twice = [pair for pair in pairs for _ in range(2)]
    inputs = {
        "input_ids": _pad(ids, length),
        "attention_mask": _pad([torch.ones_like(row) for row in ids], length),
        **stack_vision(twice),
        **{name: _pad([pair.marks[name] for pair in twice], length) for name in pairs[0].marks},
    }
    return _finish(inputs, keep, pairs)


def _finish(inputs: dict[str, Tensor], keep: list[Tensor], pairs: Sequence[Encoded]) -> _Rows:
    width = max(map(len, keep))
    order = torch.cat([row * width + torch.arange(len(kept)) for row, kept in enumerate(keep)])
    responses = [response for pair in pairs for response in (pair.chosen, pair.rejected)]
    sequence = torch.repeat_interleave(torch.arange(len(responses)), torch.tensor([len(r) for r in responses]))
    return _Rows(inputs, _pad(keep, width), order, torch.cat(responses), sequence)


def _pad(rows: Sequence[Tensor], length: int, value: int = 0) -> Tensor:
    padded = rows[0].new_full((len(rows), length), value)
    for row, tokens in zip(padded, rows, strict=True):
        row[: len(tokens)] = tokens
    return padded


def _padded(length: int) -> int:
    """CUDA's masked attention kernels want lengths in multiples of 8."""
    return -(-length // 8) * 8
