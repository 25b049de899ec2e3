"""How pairs are run: in one shared row where that is exact for the model at hand, else in rows of their own.

Which it is is tried, not looked up: before the first pair one made-up pair with an image goes through the model both
ways, and its log-probabilities are compared.
"""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import torch
from PIL import Image as PilImage

from aligners.pairs.encoding import Encoded
from aligners.pairs.forward import Route, response_logprobs, stock_model
from harness.errors import UsageError
from harness.models.families import family_of
from harness.models.inputs import continued, split_inputs
from harness.models.prompts import Prompts
from harness.protocols.conversation import Image, question

MASKED_ATTENTION = frozenset({"sdpa", "flex_attention"})
"""Attention implementations that obey a mask of our own; FlashAttention would not."""
ROUNDING = {torch.float64: 0.002, torch.float32: 0.002}
"""What the two ways may differ by, as a share of what the rejected response would change by if it saw the chosen one,
by the type of the weights. Where something is masked that should not be, the share is far above."""
ROUNDING_HALF = 0.05
TOKENS = (29, 23)
"""Lengths of the made-up responses: long enough that each would see much of the other."""


def choose_route(model: Any, prompts: Prompts, route: str, max_length: int, *, half: bool = False) -> tuple[Route, str]:
    """The route for ``model`` and why; ``max_length`` is of a prompt with one response, in tokens.

    ``half``: bfloat16 is computed in, whatever the type of the weights.

    Raises UsageError if "shared" is asked for where it would not be exact.
    """
    assert route in {"auto", *get_args(Route)}, route
    if route == "plain":
        return "plain", "plain rows (as asked)"
    exact, why = _is_exact(model, prompts, 2 * max_length, half=half)
    if exact:
        return "shared", f"shared prefix ({why})"
    if route == "shared":
        raise UsageError(f"route=shared would not be exact for this model: {why}. Use route=auto.")
    return "plain", f"plain rows ({why})"


def _is_exact(model: Any, prompts: Prompts, longest: int, *, half: bool) -> tuple[bool, str]:
    """Whether shared rows of up to ``longest`` tokens are exact, and how that is known."""
    stock = stock_model(model)
    text = stock.config.get_text_config()
    attention = getattr(text, "_attn_implementation", None)
    if attention not in MASKED_ATTENTION:
        return False, f"{attention} attention takes no mask of our own; sdpa does"
    if unfit := unfit_layers(text, longest):
        return False, unfit
    difference, leak = shared_row_error(model, prompts)
    allowed = (ROUNDING_HALF if half else ROUNDING.get(stock.dtype, ROUNDING_HALF)) * leak
    why = f"a pair with an image run both ways differs by {difference:.1e} nats a token, allowed {allowed:.0e}"
    return difference <= allowed, f"{attention} attention; {why}"


def unfit_layers(text_config: Any, longest: int) -> str:
    """What keeps the language model's layers from a mask of our own over ``longest`` tokens; "" if nothing does."""
    kinds = set(getattr(text_config, "layer_types", None) or ())
    if others := kinds - {"full_attention", "sliding_attention"}:
        return f"layers of type {', '.join(sorted(others))}, which no mask parts"
    window = getattr(text_config, "sliding_window", None)
    if window is not None and window < longest and (not kinds or "sliding_attention" in kinds):
        return f"sliding windows of {window} tokens under rows of up to {longest} (twice max_length)"
    return ""


def shared_row_error(model: Any, prompts: Prompts) -> tuple[float, float]:
    """How far a pair's token log-probabilities in a shared row are from those in plain rows, and, as a measure for
    that, how far the rejected response's move if it follows the chosen one; means, in nats.
    """
    stock = stock_model(model)
    pair = _made_up(stock, prompts)
    leaky = _after_chosen(pair, family_of(stock.config).response_type)
    device = stock.device
    with torch.no_grad():
        shared = response_logprobs(model, [pair], "shared", device).tokens
        plain, leaked = response_logprobs(model, [pair, leaky], "plain", device).tokens.chunk(2)
    rejected = slice(TOKENS[0], None)
    return float((shared - plain).abs().mean()), float((leaked - plain)[rejected].abs().mean())


def _after_chosen(pair: Encoded, response_type: int) -> Encoded:
    """``pair`` with the chosen response at the end of its prompt."""
    marks = {
        name: torch.cat([mark, continued(name, mark, len(pair.chosen), response_type)])
        for name, mark in pair.marks.items()
    }
    return dataclasses.replace(pair, prefix=torch.cat([pair.prefix, pair.chosen]), marks=marks)


def _made_up(model: Any, prompts: Prompts) -> Encoded:
    """A pair with an image and two responses of random words, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (48, 64, 3), generator=generator, dtype=torch.uint8)
    asked = prompts.text([question("What is in the image?", Image())])
    prefix, marks, vision = split_inputs(prompts.inputs([asked], [[PilImage.fromarray(pixels.numpy())]]))
    tokenizer = prompts.processor.tokenizer
    special = torch.tensor(sorted({*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}))
    words = torch.arange(min(len(tokenizer), model.config.get_text_config().vocab_size))
    words = words[~torch.isin(words, special)]
    chosen, rejected = (words[torch.randint(len(words), (length,), generator=generator)] for length in TOKENS)
    vision = {name: value.to(model.dtype) if value.is_floating_point() else value for name, value in vision.items()}
    return Encoded(0, "self-test", prefix, chosen, rejected, vision, marks)
