"""How pairs are run: in one shared row where that is exact for the model at hand, else in rows of their own.

Which it is is tried, not looked up: before the first pair one made-up pair with an image goes through the model both
ways, and its log-probabilities are compared.
"""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import torch
from PIL import Image as PilImage
from transformers.utils.import_utils import is_flash_attn_2_available

from aligners.pairs.encoding import Encoded
from aligners.pairs.forward import Route, response_logprobs, stock_model
from aligners.pairs.last_layer import shorten_last_layer
from aligners.pairs.sharing import groups_of, image_tokens
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
LONGEST = "twice max_length"
QUESTIONS = ("What is in the image?", "Is there a dog?")
TOKENS = (29, 23)
"""Lengths of the made-up responses: long enough that each would see much of the other."""


def choose_route(model: Any, prompts: Prompts, route: str, max_length: int, *, half: bool = False) -> tuple[Route, str]:
    """Route of ``model`` ("shared", "plain") and why; ``max_length`` is of a prompt with one response, in tokens.

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
    shortened = shorten_last_layer(stock)
    difference, leak = shared_row_error(model, prompts)
    allowed = _allowed(stock, leak, half=half)
    if difference > allowed and shortened:
        for handle in shortened:
            handle.remove()
        difference = shared_row_error(model, prompts)[0]
    why = f"a pair with an image run both ways differs by {difference:.1e} nats a token, allowed {allowed:.0e}"
    return difference <= allowed, f"{attention} attention; {why}"


def require_shared_images(model: Any, prompts: Prompts, route: Route, longest: int, *, half: bool = False) -> str:
    """How it is known that pairs of an image may share a row of up to ``longest`` tokens. Raises UsageError if not."""
    remedy, stock = "Leave share_images out.", stock_model(model)
    if route != "shared":
        raise UsageError(f"share_images=true needs shared rows, and this model's pairs run as {route} rows. {remedy}")
    if unfit := unfit_layers(stock.config.get_text_config(), longest):
        raise UsageError(f"share_images=true: {unfit.replace(LONGEST, 'micro_batch times that')}. {remedy}")
    pairs = [_made_up(stock, prompts, text) for text in QUESTIONS]
    if len(groups_of(pairs, image_tokens(stock.config))) > 1:
        raise UsageError(
            "share_images=true: in this model's prompts the image does not come before what differs between two "
            f"questions. {remedy}"
        )
    routes: tuple[Route, Route] = ("images", "shared")
    with torch.no_grad():
        one, other = (response_logprobs(model, pairs, each, stock.device).tokens for each in routes)
    allowed = _allowed(stock, shared_row_error(model, prompts)[1], half=half)
    difference = float((one - other).abs().mean())
    if difference > allowed:
        raise UsageError(
            f"share_images=true would not be exact for this model: two pairs in one row differ by {difference:.1e} "
            f"nats a token from rows of their own, allowed {allowed:.0e}. {remedy}"
        )
    return f"pairs of one image in one row; two of them differ by {difference:.1e} nats a token"


def fit_attention(model: Any, route: Route, *, half: bool) -> str:
    """Gives ``model`` FlashAttention on CUDA where pairs run as plain rows in bfloat16 (``half``) and it is installed;
    in words, "" where nothing was changed. FlashAttention obeys no mask of ours.
    """
    stock = stock_model(model)
    if route != "plain" or not half or stock.device.type != "cuda" or not is_flash_attn_2_available():
        return ""
    try:
        stock.set_attn_implementation("flash_attention_2")
    except (ValueError, ImportError):  # a model that does not have it
        return ""
    return "; flash_attention_2"


def _allowed(stock: Any, leak: float, *, half: bool) -> float:
    return (ROUNDING_HALF if half else ROUNDING.get(stock.dtype, ROUNDING_HALF)) * leak


def unfit_layers(text_config: Any, longest: int) -> str:
    """What keeps the language model's layers from a mask of our own over ``longest`` tokens; "" if nothing does."""
    kinds = set(getattr(text_config, "layer_types", None) or ())
    if others := kinds - {"full_attention", "sliding_attention"}:
        return f"layers of type {', '.join(sorted(others))}, which no mask parts"
    window = getattr(text_config, "sliding_window", None)
    if window is not None and window < longest and (not kinds or "sliding_attention" in kinds):
        return f"sliding windows of {window} tokens under rows of up to {longest} ({LONGEST})"
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


def _made_up(model: Any, prompts: Prompts, text: str = QUESTIONS[0]) -> Encoded:
    """A pair with an image and two responses of random words, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (48, 64, 3), generator=generator, dtype=torch.uint8)
    asked = prompts.text([question(text, Image())])
    prefix, marks, vision = split_inputs(prompts.inputs([asked], [[PilImage.fromarray(pixels.numpy())]]))
    tokenizer = prompts.processor.tokenizer
    special = torch.tensor(sorted({*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}))
    words = torch.arange(min(len(tokenizer), model.config.get_text_config().vocab_size))
    words = words[~torch.isin(words, special)]
    chosen, rejected = (words[torch.randint(len(words), (length,), generator=generator)] for length in TOKENS)
    vision = {name: value.to(model.dtype) if value.is_floating_point() else value for name, value in vision.items()}
    return Encoded(0, "self-test", prefix, chosen, rejected, vision, marks)
