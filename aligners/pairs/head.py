"""Log-probabilities of given tokens from hidden states, in chunks of rows: the scores of a vocabulary of 150,000 words
at all positions (a gigabyte and a half of float32 a 2,500 tokens) never exist at once.

The chunks are taken inside the model's own call, in the place of its output layer, so that wrappers (FSDP, DDP,
autocast) see the layer run as they know it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

ABOVE = 2**28
"""Bytes of float32 scores from which they are computed in chunks."""
CHUNK = 2**26
"""Bytes of the float32 scores of one chunk."""


def head_in_chunks(stock: Any, positions: int) -> nn.Linear | None:
    """The output layer of the transformers model ``stock`` if its scores at ``positions`` are many and it is a plain
    matrix, held whole by this process.
    """
    head = stock.get_output_embeddings()
    if type(head) is not nn.Linear or head.bias is not None or not head.weight.numel():
        return None
    return head if positions * head.out_features * 4 > ABOVE else None


@contextlib.contextmanager
def scoring(head: nn.Linear, targets: Tensor) -> Iterator[list[Tensor]]:
    """Within it ``head`` gives the log-probabilities of ``targets`` [B, K] in the place of its scores: [B, K, 1].

    What it gave is in the list: a model that returns anything else changes the scores of its head.
    """
    given: list[Tensor] = []

    def forward(hidden: Tensor) -> Tensor:
        if hidden.shape[:-1] != targets.shape:  # a model that does not heed logits_to_keep
            return linear(hidden, head.weight)
        given.append(token_logprobs(hidden.flatten(0, -2), head.weight, targets.flatten()).view(*targets.shape, 1))
        return given[0]

    vars(head)["forward"] = forward  # in front of its class's
    try:
        yield given
    finally:
        del vars(head)["forward"]


def token_logprobs(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """log softmax(hidden @ weight.T) at ``targets`` [N], of ``hidden`` [N, H] and ``weight`` [V, H]; differentiable.

    Computed in the type of ``hidden`` or autocast's, summed in float32 at least. Shape [N].
    """
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    found: Tensor = _TokenLogProbs.apply(hidden.to(dtype), weight, targets)  # type: ignore[no-untyped-call]
    return found


class _TokenLogProbs(torch.autograd.Function):
    """A frozen head's derivative is made in the forward, row by row; a trained one's from scores computed again."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        of_hidden, of_weight, _ = ctx.needs_input_grad
        matrix = weight.to(hidden.dtype)
        frozen = torch.empty_like(hidden) if of_hidden and not of_weight else None
        parts = []
        for rows in _chunks(len(hidden), len(weight)):
            logs = _log_softmax(hidden[rows], matrix)
            parts.append(logs.gather(1, targets[rows, None])[:, 0])
            if frozen is not None:
                frozen[rows] = _slope(logs, targets[rows]).to(matrix.dtype) @ matrix
        if of_weight:
            ctx.save_for_backward(hidden, weight, targets)
        else:
            ctx.save_for_backward(frozen)
        ctx.of_weight = of_weight
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad,) = grads
        if not ctx.of_weight:
            (frozen,) = ctx.saved_tensors
            return frozen * grad[:, None].to(frozen.dtype), None, None
        hidden, weight, targets = ctx.saved_tensors
        matrix = weight.to(hidden.dtype)
        of_hidden = torch.empty_like(hidden)
        of_weight = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
        for rows in _chunks(len(hidden), len(weight)):
            slope = _slope(_log_softmax(hidden[rows], matrix), targets[rows]).mul_(grad[rows, None]).to(matrix.dtype)
            of_hidden[rows] = slope @ matrix
            of_weight += slope.T @ hidden[rows]
        return of_hidden, of_weight.to(weight.dtype), None


def _chunks(rows: int, vocabulary: int) -> Iterator[slice]:
    size = max(1, CHUNK // (4 * vocabulary))
    return (slice(start, start + size) for start in range(0, rows, size))


def _log_softmax(hidden: Tensor, matrix: Tensor) -> Tensor:
    scores = linear(hidden, matrix)
    return scores.to(torch.promote_types(scores.dtype, torch.float32)).log_softmax(-1)


def _slope(logs: Tensor, targets: Tensor) -> Tensor:
    """The derivative of each row's log-probability of its target by the scores; takes the place of ``logs``."""
    slope = logs.exp_().neg_()
    slope[torch.arange(len(targets), device=targets.device), targets] += 1
    return slope
