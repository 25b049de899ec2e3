"""Rows of tokens as trees: a segment sees those that it follows and itself, up to each token, and no other.

A pair in one row is ``prompt -> chosen, prompt -> rejected``; several pairs of one image are
``image -> question 1 -> ..., image -> question 2 -> ...``. What pairs have in common is computed once, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from harness.models.inputs import Vision, continued

NO_RESPONSE = -1


@dataclass(frozen=True)
class Segment:
    """Tokens [n] that follow the segment ``parent`` of their row (-1: they are its beginning).

    ``marks``: further inputs of the tokens of a prompt, [n] or [n, ...] each. ``response``: the number of a response
    among all of a forward, ``NO_RESPONSE`` for a part of a prompt.
    """

    tokens: Tensor
    parent: int = -1
    marks: dict[str, Tensor] = field(default_factory=dict)
    response: int = NO_RESPONSE


@dataclass(frozen=True)
class Row:
    """Segments, each behind its parent, and the inputs of their images. No segment is empty."""

    segments: tuple[Segment, ...]
    vision: Vision

    def __len__(self) -> int:
        return self.starts[-1]

    @cached_property
    def starts(self) -> list[int]:
        """Where each segment begins in the row; last, where the row ends."""
        starts = [0]
        for segment in self.segments:
            starts.append(starts[-1] + len(segment.tokens))
        return starts

    @property
    def ids(self) -> Tensor:
        """All its tokens, [S]."""
        return torch.cat([segment.tokens for segment in self.segments])

    @cached_property
    def chains(self) -> list[list[int]]:
        """The segments that each sees, itself last."""
        chains: list[list[int]] = []
        for number, segment in enumerate(self.segments):
            chains.append([*(chains[segment.parent] if segment.parent >= 0 else ()), number])
        return chains

    @property
    def owners(self) -> Tensor:
        """The segment of every token, [S]."""
        lengths = torch.tensor([len(segment.tokens) for segment in self.segments])
        return torch.repeat_interleave(torch.arange(len(self.segments)), lengths)

    @property
    def keep(self) -> list[tuple[int, Tensor]]:
        """Of every response its number and the positions that predict its tokens. The first is its prompt's last."""
        kept = []
        for number, segment in enumerate(self.segments):
            if segment.response != NO_RESPONSE:
                start, before = self.starts[number], self.starts[segment.parent + 1] - 1
                own = start + torch.arange(len(segment.tokens) - 1)
                kept.append((segment.response, torch.cat([torch.tensor([before]), own])))
        return kept

    def marks(self, name: str, example: Tensor, response_type: int) -> Tensor:
        """The input ``name`` of all tokens, [S] or [S, ...]; zeros on prompts without it."""
        lines: list[Tensor] = []
        for segment in self.segments:
            if segment.response == NO_RESPONSE:
                absent = example.new_zeros(len(segment.tokens), *example.shape[1:])
                lines.append(segment.marks.get(name, absent))
            else:
                lines.append(continued(name, lines[segment.parent], len(segment.tokens), response_type))
        return torch.cat(lines)

    def positions(self, rope: Any) -> Tensor:
        """Positions of all tokens, restarted on every branch, [1, S]; [3, S] by M-RoPE's ``get_rope_index``."""
        columns: list[Tensor] = []
        for number, segment in enumerate(self.segments):
            if segment.response == NO_RESPONSE:
                whole = self._prompt_positions(self.chains[number], rope)
                columns.append(whole[:, whole.shape[1] - len(segment.tokens) :])
            else:
                start = max(int(columns[each].max()) for each in self.chains[segment.parent]) + 1
                columns.append((start + torch.arange(len(segment.tokens))).expand(len(columns[0]), -1))
        return torch.cat(columns, 1)

    def _prompt_positions(self, chain: Sequence[int], rope: Any) -> Tensor:
        parts = [self.segments[number] for number in chain]
        ids = torch.cat([part.tokens for part in parts])
        if rope is None:
            return torch.arange(len(ids))[None]
        if not self.vision:
            return torch.arange(len(ids)).expand(3, -1)
        marks = {name: torch.cat([part.marks[name] for part in parts])[None] for name in parts[0].marks}
        grids = {name: value for name, value in self.vision.items() if name.endswith("grid_thw")}
        positions: Tensor = rope(ids[None], **marks, **grids)[0]
        return positions[:, 0]


@dataclass(frozen=True)
class Sight:
    """What sees what in padded rows: the segment of every token, [B, S] (-1: padding), and whether a segment sees
    another, [B, n, n] (boolean: itself and those that it follows).
    """

    owners: Tensor
    sees: Tensor

    @classmethod
    def of(cls, rows: Sequence[Row], length: int) -> Sight:
        """Of ``rows`` padded on the right to ``length`` tokens."""
        count = max(len(row.segments) for row in rows)
        owners, sees = torch.full((len(rows), length), -1), torch.zeros(len(rows), count, count, dtype=torch.bool)
        for number, row in enumerate(rows):
            owners[number, : len(row)] = row.owners
            for segment, chain in enumerate(row.chains):
                sees[number, segment, chain] = True
        return cls(owners, sees)

    def mask(self) -> Tensor:
        """Boolean [B, 1, S, S], True: attend. Padding sees itself, else its softmax is NaN."""
        length = self.owners.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=self.owners.device).tril()
        batch = torch.arange(len(self.owners), device=self.owners.device)[:, None, None]
        query, key = self.owners[:, :, None], self.owners[:, None, :]
        seen = causal & self.sees[batch, query.clamp(min=0), key.clamp(min=0)] & (query >= 0) & (key >= 0)
        return (seen | torch.eye(length, dtype=torch.bool, device=self.owners.device))[:, None]

    def block_mask(self) -> Any:
        """The same mask for FlexAttention, which skips blocks that nobody sees."""
        from torch.nn.attention.flex_attention import create_block_mask

        owners, sees = self.owners, self.sees

        def attends(row: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
            one, other = owners[row, query], owners[row, key]
            seen = sees[row, one.clamp(min=0), other.clamp(min=0)] & (one >= 0) & (other >= 0)
            return ((query >= key) & seen) | (query == key)

        count, length = owners.shape
        return create_block_mask(attends, count, None, length, length, device=owners.device.type)
