"""Generation of a batch whose rows end at different lengths: where it is greedy, those that have ended leave it.

One answer that repeats itself up to the limit otherwise makes every row of its batch pay for all its steps.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

FEWEST = 8
"""So many rows or fewer stay together: a step of fewer costs about as much."""


@dataclass(frozen=True)
class GenerateOptions:
    """``narrows``: what is decided at a token depends on nothing but the tokens before it, so that rows which have
    ended may leave the batch: neither samples nor beams, nor a rule that counts from where the answer begins.
    """

    config: GenerationConfig
    logits_processor: LogitsProcessorList
    narrows: bool = False


class HalfEnded(StoppingCriteria):
    """Stops all rows once half of them have ended; before that each where it ends."""

    def __init__(self, ends: torch.Tensor) -> None:
        self._ends = ends
        self._ended: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.BoolTensor:
        ended = torch.isin(input_ids[:, -1], self._ends)
        self._ended = ended if self._ended is None else self._ended | ended
        return self._ended | (2 * self._ended.sum() >= len(self._ended))  # type: ignore[return-value]


def generate(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache | None, options: GenerateOptions
) -> torch.Tensor:
    """The token ids that ``model.generate`` adds to ``ids`` [B, S], shape [B, T], padded behind each row's end.

    ``mask`` [B, S] is 0 on padding; ``cache`` holds the first of the tokens, and is used up. The tokens are those of
    one call; it is made in parts only where ``options.narrows``, which then limits them (``max_new_tokens``).
    """
    start, config = ids.shape[1], options.config
    call = partial(model.generate, logits_processor=options.logits_processor)
    if not options.narrows or len(ids) <= FEWEST:
        made = call(input_ids=ids, attention_mask=mask, past_key_values=cache, generation_config=config)
        return made[:, start:]  # type: ignore[no-any-return]
    ends = torch.tensor(config.eos_token_id, device=ids.device)
    rows, lines = torch.arange(len(ids), device=ids.device), [ids[0, :0]] * len(ids)
    config, left = copy.deepcopy(config), config.max_new_tokens or 0
    config.return_dict_in_generate = True  # it holds the cache
    while len(rows) and left:
        config.max_new_tokens = left
        made = call(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([HalfEnded(ends)] if len(rows) > FEWEST else []),
        )
        for row, line in zip(rows.tolist(), made.sequences, strict=True):
            lines[row] = line[start:]
        going = (~torch.isin(made.sequences[:, ids.shape[1] :], ends).any(1)).nonzero()[:, 0]
        left -= made.sequences.shape[1] - ids.shape[1]
        rows, ids, cache = rows[going], made.sequences[going], made.past_key_values
        mask = pad(mask[going], (0, ids.shape[1] - mask.shape[1]), value=1)
        if cache is not None:
            cache.batch_select_indices(going.cpu())  # its layers may lie on several devices
        if (deltas := getattr(model.model, "rope_deltas", None)) is not None:
            model.model.rope_deltas = deltas[going]
    longest = max(map(len, lines))
    return torch.stack([pad(line, (0, longest - len(line)), value=config.pad_token_id) for line in lines])
