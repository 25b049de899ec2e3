"""The preference forward: log-probabilities of the responses of every pair, by one of three exact routes.

``plain`` runs chosen and rejected as rows of their own. ``shared`` runs a pair as one row [prefix | chosen | rejected]
whose mask hides chosen from rejected, so that the image and the prompt (4/5 of a LLaVA pair) are computed once;
``images`` runs all pairs of an image as one such row. All ask for logits at response positions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from aligners.pairs.encoding import Encoded
from aligners.pairs.head import head_in_chunks, scoring
from aligners.pairs.last_layer import with_first
from aligners.pairs.sharing import groups_of, image_tokens, row_of
from aligners.pairs.tree import Row, Segment, Sight
from aligners.pairs.tree_attention import with_rows
from harness.errors import HarnessError, UsageError
from harness.models.families import family_of
from harness.models.inputs import Vision, stack_vision

Route = Literal["shared", "plain", "images"]


@dataclass(frozen=True)
class LogProbs:
    """Summed response log-probabilities in nats and lengths in tokens (EOS included), each of shape [n].

    ``corrupted``: the chosen response given the corrupted image, [n], or None where it was not asked for.
    ``tokens`` holds the log-probability of every response token, flat: chosen then rejected of each pair, and after
    all pairs the chosen responses given the corrupted images.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_length: Tensor
    rejected_length: Tensor
    tokens: Tensor
    corrupted: Tensor | None = None


def response_logprobs(
    model: Any, pairs: Sequence[Encoded], route: Route, device: torch.device | str, *, corrupted: bool = False
) -> LogProbs:
    """Log-probabilities of both responses of ``pairs`` under ``model`` (wrapped or not), differentiable.

    ``corrupted`` adds the chosen response given the pair's corrupted image, in the same call of the model.
    """
    stock = stock_model(model)
    rows = _rows(pairs, route, corrupted, image_tokens(stock.config))
    batch = _batch(rows, masked=route != "plain", stock=stock, device=device)
    token = _token_logprobs(model, batch, device)
    sums = sum_tokens(token, batch.lengths)
    n = len(pairs)
    lengths = moved(batch.lengths, device)
    return LogProbs(
        chosen=sums[0 : 2 * n : 2],
        rejected=sums[1 : 2 * n : 2],
        chosen_length=lengths[0 : 2 * n : 2],
        rejected_length=lengths[1 : 2 * n : 2],
        tokens=token,
        corrupted=sums[2 * n :] if corrupted else None,
    )


def _token_logprobs(model: Any, batch: _Batch, device: torch.device | str) -> Tensor:
    """The log-probability of every response token, flat, in float32 at least: bfloat16 keeps 8 bits of a sum."""
    stock = stock_model(model)
    options = {**batch.inputs, "logits_to_keep": moved(batch.keep, device), "use_cache": False}
    order, targets = moved(batch.order, device), moved(batch.targets, device)
    if (head := head_in_chunks(stock, batch.keep.numel())) is not None:
        every = targets.new_zeros(batch.keep.numel()).index_copy(0, order, targets)
        with scoring(head, every.view(batch.keep.shape)) as given:
            logits: Tensor = model(**options).logits
        if given and (logits is given[0] or torch.equal(logits, given[0])):
            return logits.flatten()[order]
    logits = model(**options).logits
    if logits.shape[:2] != batch.keep.shape:
        raise HarnessError(
            f"{type(stock).__name__} returns logits of {tuple(logits.shape[:2])} positions where "
            f"{tuple(batch.keep.shape)} were asked for: it does not heed logits_to_keep, so it cannot be trained."
        )
    scores = logits.reshape(-1, logits.shape[-1])[order]
    scores = scores if scores.dtype == torch.float64 else scores.float()
    return torch.gather(scores.log_softmax(-1), 1, targets[:, None])[:, 0]


def sum_tokens(tokens: Tensor, lengths: Tensor) -> Tensor:
    """Sums over consecutive responses of ``lengths`` [m] of flat per-token values, shape [m]."""
    owner = moved(torch.repeat_interleave(torch.arange(len(lengths)), lengths.cpu()), tokens.device)
    return tokens.new_zeros(len(lengths)).index_add(0, owner, tokens)


def _rows(pairs: Sequence[Encoded], route: Route, corrupted: bool, images: Tensor) -> list[Row]:
    if route == "plain":
        both = ((n, pair, side) for n, pair in enumerate(pairs) for side in (0, 1))
        rows = [_row(pair, [(2 * n + side, (pair.chosen, pair.rejected)[side])]) for n, pair, side in both]
    elif route == "images":
        rows = [row_of(pairs, group) for group in groups_of(pairs, images)]
    else:
        rows = [_row(pair, [(2 * n, pair.chosen), (2 * n + 1, pair.rejected)]) for n, pair in enumerate(pairs)]
    if corrupted:
        first = 2 * len(pairs)
        rows += [_row(pair, [(first + n, pair.chosen)], pair.corrupted) for n, pair in enumerate(pairs)]
    return rows


def _row(pair: Encoded, responses: Sequence[tuple[int, Tensor]], vision: Vision | None = None) -> Row:
    """The prompt of ``pair`` and numbered ``responses`` that follow it and do not see each other."""
    prompt = Segment(pair.prefix, marks=pair.marks)
    return Row(
        (prompt, *(Segment(tokens, 0, response=number) for number, tokens in responses)),
        pair.vision if vision is None else vision,
    )


@dataclass(frozen=True)
class _Batch:
    """Padded rows. ``keep`` [rows, K]: positions whose logits are wanted (padded with 0); of the rows * K logits
    ``order`` picks those that count, which predict ``targets``: responses of ``lengths``, one after the other.
    """

    inputs: dict[str, Any]
    keep: Tensor
    order: Tensor
    targets: Tensor
    lengths: Tensor


def _batch(rows: Sequence[Row], *, masked: bool, stock: Any, device: torch.device | str) -> _Batch:
    flex = masked and getattr(stock.config.get_text_config(), "_attn_implementation", "") == "flex_attention"
    length = _padded(max(map(len, rows)), flex=flex)
    inputs: dict[str, Any] = {
        "input_ids": _pad([row.ids for row in rows], length),
        **stack_vision([row.vision for row in rows]),
        **_marks(rows, length, family_of(stock.config).response_type),
    }
    if masked:
        inputs["position_ids"] = _positions(rows, length, stock)
    else:
        inputs["attention_mask"] = _pad([torch.ones_like(row.ids) for row in rows], length)
    inputs = {name: moved(value, device) for name, value in inputs.items()}
    if masked:
        sight = Sight.of(rows, length)
        sight = Sight(moved(sight.owners, device), moved(sight.sees, device))
        inputs["attention_mask"] = with_first(sight.block_mask() if flex else sight.mask(), rows)
        if torch.device(device).type == "cpu" and not flex:
            with_rows(inputs["attention_mask"], rows)
    return _Batch(inputs, *_kept(rows))


def _kept(rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``keep``, ``order``, ``targets`` and ``lengths`` of a batch of ``rows`` (see ``_Batch``)."""
    keep = [row.keep for row in rows]
    width = max(sum(len(positions) for _, positions in row) for row in keep)
    found: dict[int, Tensor] = {}
    for number, row in enumerate(keep):
        start = number * width
        for response, positions in row:
            found[response] = torch.arange(start, start + len(positions))
            start += len(positions)
    responses = {segment.response: segment.tokens for row in rows for segment in row.segments}
    targets = [responses[number] for number in sorted(found)]
    return (
        _pad([torch.cat([positions for _, positions in row]) for row in keep], width),
        torch.cat([found[number] for number in sorted(found)]),
        torch.cat(targets),
        torch.tensor([len(tokens) for tokens in targets]),
    )


def _marks(rows: Sequence[Row], length: int, response_type: int) -> dict[str, Tensor]:
    """The further inputs of all tokens, [B, S] or [B, S, ...]; zeros in rows without them (those without an image).

    Raises UsageError for rows with different numbers of images where each has its place in every token's input.
    """
    of_rows = [row.segments[0].marks for row in rows]
    of_names = {name: mark for marks in of_rows for name, mark in marks.items()}
    found = {}
    for name, example in of_names.items():
        shapes = {marks[name].shape[1:] if name in marks else None for marks in of_rows}
        if example.ndim > 1 and len(shapes) > 1:
            raise UsageError(
                f"pairs with different numbers of images cannot share a forward of this model ({name} has a place for "
                "each): leave out the pairs without an image or with several, or train another model on them."
            )
        found[name] = _pad([row.marks(name, example, response_type) for row in rows], length)
    return found


def _positions(rows: Sequence[Row], length: int, stock: Any) -> Tensor:
    """Positions of every token, restarted on each branch: [B, S], or [3, B, S] where the model has M-RoPE."""
    rope = getattr(getattr(stock, "model", None), "get_rope_index", None)
    columns = [row.positions(rope).T for row in rows]
    positions = torch.stack([torch.cat([c, c.new_zeros(length - len(c), c.shape[1])]) for c in columns])
    return positions[..., 0] if rope is None else positions.permute(2, 0, 1)


def stock_model(model: Any) -> Any:
    """The transformers model inside the wrappers of DDP, DeepSpeed and peft."""
    while hasattr(model, "module"):
        model = model.module
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _pad(rows: Sequence[Tensor], length: int, value: int = 0) -> Tensor:
    """Rows [S, ...] on the right to ``length`` tokens, and to the largest of their other dimensions."""
    shape = [max(sizes) for sizes in zip(*(row.shape[1:] for row in rows), strict=True)]
    padded = rows[0].new_full((len(rows), length, *shape), value)
    for row, tokens in zip(padded, rows, strict=True):
        row[tuple(slice(size) for size in tokens.shape)] = tokens
    return padded


def _padded(length: int, *, flex: bool) -> int:
    """CUDA's masked attention kernels want lengths in multiples of 8, FlexAttention's blocks have 128 tokens: other
    lengths would be compiled anew.
    """
    multiple = 128 if flex else 8
    return -(-length // multiple) * multiple


def moved(values: Tensor, device: torch.device | str) -> Tensor:
    """``values`` on ``device``; a copy to a GPU does not wait for what runs there."""
    if torch.device(device).type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
