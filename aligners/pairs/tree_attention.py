"""Attention over rows that are trees, segment by segment: what the mask would hide is not computed at all.

It stands in for transformers' own "sdpa" on CPUs, wherever a mask carries the rows that it was made of, and computes
the same: the path with which a row begins is causal, every other segment sees its ancestors and itself. On a GPU a
kernel a segment costs more than it saves, and FlexAttention skips what is hidden.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from aligners.pairs.last_layer import first_position
from aligners.pairs.tree import Row

ROWS = "rows_of_segments"
"""The attribute by which a mask carries its rows: lengths of the segments and what each sees, a list a row."""
SHORT = 256
"""Rows of so many tokens or fewer are computed whole, as the mask says: a call a segment costs more than it saves."""
Shape = tuple[list[int], list[list[int]]]


def with_rows(mask: Tensor, rows: Sequence[Row]) -> Tensor:
    """``mask`` [B, 1, S, S] of ``rows``, which it carries from now on."""
    ALL_ATTENTION_FUNCTIONS.register("sdpa", attention)
    shapes = [([len(segment.tokens) for segment in row.segments], row.chains) for row in rows]
    setattr(mask, ROWS, shapes)
    return mask


def attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Transformers' ``sdpa_attention_forward``: query, key and value [B, heads, S, D] -> [B, S, heads, D]."""
    rows: list[Shape] | None = getattr(attention_mask, ROWS, None)
    whole = attention_mask is not None and attention_mask.shape[-2:] == (query.shape[2], key.shape[2])
    if rows is None or not whole or query.shape[2] <= SHORT or options.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    found = [
        _row(module, query[at : at + 1], key[at : at + 1], value[at : at + 1], shape, options)
        for at, shape in enumerate(rows)
    ]
    return torch.cat(found), None


def _row(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, shape: Shape, options: dict[str, Any]
) -> Tensor:
    """Attention of one row, zeros on its padding. The path with which it begins is one causal sequence.

    Of a last layer the first positions, which do not count, get zeros too.
    """
    lengths, chains = shape
    path = next((n for n, chain in enumerate(chains) if len(chain) <= n), len(chains))
    ends = list(itertools.accumulate(lengths[:path]))
    sizes = [ends[-1], *lengths[path:], query.shape[2] - sum(lengths)]
    queries, keys, values = (torch.split(tensor, sizes, dim=2) for tensor in (query, key, value))
    parts = [_path(module, queries[0], keys[0], values[0], options)]
    for own, chain in enumerate(chains[path:], start=1):
        before = ends[sum(number < path for number in chain) - 1]
        others = [1 + number - path for number in chain if number >= path]
        seen, held = (torch.cat([each[0][:, :, :before], *(each[n] for n in others)], dim=2) for each in (keys, values))
        mask = _lower_right(sizes[own], seen.shape[2], query.device)
        parts.append(
            sdpa_attention_forward(module, queries[own], seen, held, mask, **{**options, "is_causal": False})[0]
        )
    if sizes[-1]:
        parts.append(parts[0].new_zeros(1, sizes[-1], *parts[0].shape[2:]))
    return torch.cat(parts, dim=1)


def _path(module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, options: dict[str, Any]) -> Tensor:
    first, length = first_position(module), query.shape[2]
    if not first:
        return sdpa_attention_forward(module, query, key, value, None, **{**options, "is_causal": True})[0]
    mask = _lower_right(length - first, length, query.device)
    options = {**options, "is_causal": False}
    counted = sdpa_attention_forward(module, query[:, :, first:], key, value, mask, **options)[0]
    return pad(counted, (0, 0, 0, 0, first, 0))


def _lower_right(length: int, seen: int, device: torch.device) -> Tensor:
    """The last ``length`` of ``seen`` tokens each see what comes before them, and themselves: [1, 1, length, seen]."""
    return torch.ones(length, seen, dtype=torch.bool, device=device).tril(seen - length)[None, None]
