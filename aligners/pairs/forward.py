"""The preference forward: log-probabilities of the responses of every pair, by one of two exact routes.

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

from aligners.pairs.encoding import Encoded
from harness.errors import HarnessError, UsageError
from harness.models.families import family_of
from harness.models.inputs import Vision, continued, stack_vision

Route = Literal["shared", "plain"]


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
    rows = _rows(pairs, route, corrupted)
    batch = _batch(rows, masked=route == "shared", stock=stock_model(model), device=device)
    logits = model(**batch.inputs, logits_to_keep=batch.keep.to(device), use_cache=False).logits
    if logits.shape[:2] != batch.keep.shape:
        raise HarnessError(
            f"{type(stock_model(model)).__name__} returns logits of {tuple(logits.shape[:2])} positions where "
            f"{tuple(batch.keep.shape)} were asked for: it does not heed logits_to_keep, so it cannot be trained."
        )
    scores = logits.reshape(-1, logits.shape[-1])[batch.order.to(device)]
    # Sums of log-probabilities need float32 at least: bfloat16 keeps 8 bits.
    scores = scores if scores.dtype == torch.float64 else scores.float()
    token = torch.gather(scores.log_softmax(-1), 1, batch.targets.to(device)[:, None])[:, 0]
    sums = sum_tokens(token, batch.lengths)
    n = len(pairs)
    lengths = batch.lengths.to(device)
    return LogProbs(
        chosen=sums[0 : 2 * n : 2],
        rejected=sums[1 : 2 * n : 2],
        chosen_length=lengths[0 : 2 * n : 2],
        rejected_length=lengths[1 : 2 * n : 2],
        tokens=token,
        corrupted=sums[2 * n :] if corrupted else None,
    )


def sum_tokens(tokens: Tensor, lengths: Tensor) -> Tensor:
    """Sums over consecutive responses of ``lengths`` [m] of flat per-token values, shape [m]."""
    owner = torch.repeat_interleave(torch.arange(len(lengths)), lengths.cpu()).to(tokens.device)
    return tokens.new_zeros(len(lengths)).index_add(0, owner, tokens)


@dataclass(frozen=True)
class _Row:
    """A prefix and the responses that branch off it, which do not see each other."""

    prefix: Tensor
    responses: tuple[Tensor, ...]
    vision: Vision
    marks: dict[str, Tensor]

    @property
    def ids(self) -> Tensor:
        return torch.cat([self.prefix, *self.responses])

    @property
    def branches(self) -> Tensor:
        """0 on the prefix, 1, 2... on the responses."""
        segments = (self.prefix, *self.responses)
        return torch.cat([torch.full((len(segment),), number) for number, segment in enumerate(segments)])

    @property
    def keep(self) -> Tensor:
        """Positions that predict the responses' tokens. The prefix's last one predicts the first of every response."""
        end = len(self.prefix)
        kept = []
        for response in self.responses:
            kept += [torch.tensor([len(self.prefix) - 1]), end + torch.arange(len(response) - 1)]
            end += len(response)
        return torch.cat(kept)


def _rows(pairs: Sequence[Encoded], route: Route, corrupted: bool) -> list[_Row]:
    rows = []
    for pair in pairs:
        both = (pair.chosen, pair.rejected)
        for responses in [both] if route == "shared" else [(response,) for response in both]:
            rows.append(_Row(pair.prefix, responses, pair.vision, pair.marks))
    if corrupted:
        rows += [_Row(pair.prefix, (pair.chosen,), pair.corrupted, pair.marks) for pair in pairs]
    return rows


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


def _batch(rows: Sequence[_Row], *, masked: bool, stock: Any, device: torch.device | str) -> _Batch:
    length = _padded(max(len(row.ids) for row in rows))
    inputs: dict[str, Any] = {
        "input_ids": _pad([row.ids for row in rows], length),
        **stack_vision([row.vision for row in rows]),
        **_marks(rows, length, family_of(stock.config).response_type),
    }
    if masked:
        inputs["position_ids"] = _positions(rows, length, stock)
    else:
        inputs["attention_mask"] = _pad([torch.ones_like(row.ids) for row in rows], length)
    inputs = {name: value.to(device) for name, value in inputs.items()}
    if masked:
        branch = _pad([row.branches for row in rows], length, value=-1).to(device)
        flex = getattr(stock.config.get_text_config(), "_attn_implementation", "") == "flex_attention"
        inputs["attention_mask"] = _block_mask(branch) if flex else _branch_mask(branch)
    keep = [row.keep for row in rows]
    width = max(map(len, keep))
    order = torch.cat([index * width + torch.arange(len(kept)) for index, kept in enumerate(keep)])
    responses = [response for row in rows for response in row.responses]
    lengths = torch.tensor([len(response) for response in responses])
    return _Batch(inputs, _pad(keep, width), order, torch.cat(responses), lengths)


def _marks(rows: Sequence[_Row], length: int, response_type: int) -> dict[str, Tensor]:
    """The further inputs of all tokens, [B, S] or [B, S, ...]; zeros in rows without them (those without an image).

    Raises UsageError for rows with different numbers of images where each has its place in every token's input.
    """
    of_names = {name: mark for row in rows for name, mark in row.marks.items()}
    marks = {}
    for name, example in of_names.items():
        shapes = {row.marks[name].shape[1:] if name in row.marks else None for row in rows}
        if example.ndim > 1 and len(shapes) > 1:
            raise UsageError(
                f"pairs with different numbers of images cannot share a forward of this model ({name} has a place for "
                "each): leave out the pairs without an image or with several, or train another model on them."
            )
        lines = []
        for row in rows:
            mark = row.marks.get(name, example.new_zeros(len(row.prefix), *example.shape[1:]))
            lines.append(torch.cat([mark, continued(name, mark, len(row.ids) - len(mark), response_type)]))
        marks[name] = _pad(lines, length)
    return marks


def _positions(rows: Sequence[_Row], length: int, stock: Any) -> Tensor:
    """Positions of every token, restarted on each branch: [B, S], or [3, B, S] where the model has M-RoPE."""
    rope = getattr(getattr(stock, "model", None), "get_rope_index", None)
    columns = []
    for row in rows:
        prefix = torch.arange(len(row.prefix))[None] if rope is None else _mrope(row, rope)
        start = prefix.max() + 1
        branches = [start + torch.arange(len(response)).expand(len(prefix), -1) for response in row.responses]
        columns.append(torch.cat([prefix, *branches], 1).T)
    positions = torch.stack([torch.cat([c, c.new_zeros(length - len(c), c.shape[1])]) for c in columns])
    return positions[..., 0] if rope is None else positions.permute(2, 0, 1)


def _mrope(row: _Row, rope: Any) -> Tensor:
    """The model's own three-dimensional positions of the prefix, [3, P]."""
    if not row.vision:
        return torch.arange(len(row.prefix)).expand(3, -1)
    grids = {name: value for name, value in row.vision.items() if name.endswith("grid_thw")}
    positions: Tensor = rope(row.prefix[None], **{name: mark[None] for name, mark in row.marks.items()}, **grids)[0]
    return positions[:, 0]


def _branch_mask(branch: Tensor) -> Tensor:
    """Boolean [B, 1, S, S], True: attend. A token sees the prefix (0) and its own branch up to itself."""
    length = branch.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=branch.device).tril()
    query, key = branch[:, :, None], branch[:, None, :]
    seen = causal & ((key == 0) | (key == query)) & (query >= 0)
    # Padding must see something, else its softmax is NaN.
    return (seen | torch.eye(length, dtype=torch.bool, device=branch.device))[:, None]


def _block_mask(branch: Tensor) -> Any:
    """The same mask for FlexAttention, which skips blocks that nobody sees."""
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(row: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
        same = (branch[row, key] == 0) | (branch[row, key] == branch[row, query])
        return ((query >= key) & same & (branch[row, query] >= 0)) | (query == key)

    rows, length = branch.shape
    return create_block_mask(sees, rows, None, length, length, device=branch.device.type)


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


def _padded(length: int) -> int:
    """CUDA's masked attention kernels want lengths in multiples of 8."""
    return -(-length // 8) * 8
