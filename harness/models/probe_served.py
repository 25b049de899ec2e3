"""The probe of a model behind an endpoint: the prompt's tokens that it counts, with an image and without."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.chat.request import ChatReply
from harness.chat.settings import ServedSettings
from harness.models.probe import Reading, asked_about, image_token_of, pictures, trained_as
from harness.models.prompts import Prompts
from harness.models.settings import PromptSettings
from harness.models.sources import may_be_hub_id
from harness.protocols.conversation import Turn
from harness.protocols.probe import Check, Encode, Probe
from harness.util.options import content_key

ANSWER_TOKENS = 16
"""Of each of the two calls; some endpoints take no fewer."""
Ask = Callable[[Sequence[Sequence[Turn]], int], Mapping[int, ChatReply]]
"""Conversations and the most tokens of an answer -> replies by position."""


@dataclass(frozen=True)
class Counted:
    """Prompt tokens with an image and without; None where an endpoint does not say."""

    pictured: int | None
    plain: int | None

    @property
    def image(self) -> int | None:
        """Tokens that the image adds."""
        return None if self.pictured is None or self.plain is None else self.pictured - self.plain


def probe_served(name: str, settings: ServedSettings, ask: Ask, encode: Encode | None) -> Probe:
    """The probe of the model called ``name``, asked by ``ask``; ``encode`` is how training encodes a question.

    The prompt is compared where the model's processor can be had here: ``settings.processor``, or the model's name
    where that is a directory or a model of the hub's cache.
    """
    started = time.perf_counter()
    system = (Turn("system", (settings.system,)),) if settings.system else ()
    pictured, plain = ([*system, asked_about(image)] for image in (pictures()[0], None))
    replies = ask([pictured, plain], ANSWER_TOKENS)
    found = _compared(name, settings, replies, pictured, plain, encode)
    return replace(found, seconds=time.perf_counter() - started)


def _compared(
    name: str,
    settings: ServedSettings,
    replies: Mapping[int, ChatReply],
    pictured: Sequence[Turn],
    plain: Sequence[Turn],
    encode: Encode | None,
) -> Probe:
    with_image, without = replies[0], replies[1]
    server = Counted(_prompt_tokens(with_image), _prompt_tokens(without))
    if with_image.text is None and server.pictured is None:
        return Probe(checks=(_unanswered(with_image, without),), complete=False)
    image = _image(server, with_image, without)
    if server.pictured is None:
        counted = Check(
            "prompt", "note", "the endpoint counts no tokens (usage.prompt_tokens): its prompt was not compared"
        )
        return Probe(checks=(counted, image))
    tokens = {"server": server.pictured}
    source = _processor(name, settings)
    if source is None:
        why = "no processor of this model here to compare the prompt with: name one with --set model.processor=DIR"
        return Probe(tokens=tokens, image_tokens=server.image, checks=(Check("prompt", "note", why), image))
    prompts = _prompts(source, settings)
    trained, untrained = trained_as(encode, prompts, pictured)
    image_token = image_token_of(prompts.processor)
    reading = Reading(prompts.processor.tokenizer, image_token)
    ids, plain_ids = _ids(prompts, pictured), _ids(prompts, plain)
    here = Counted(len(ids), len(plain_ids))
    return Probe(
        prompt=reading.text(ids),
        tokens={**({"training": len(trained.prompt)} if trained else {}), "generation": len(ids), **tokens},
        image_tokens=ids.count(image_token) if image_token is not None else None,
        end=reading.token(trained.response[-1]) if trained else "",
        digest=content_key(ids),
        checks=(
            *reading.same_prompt({"generation": ids}, trained, untrained),
            *reading.beginning(ids),
            _count(server, here, _remedy(server, here, ids, prompts)),
            image,
        ),
    )


def _unanswered(with_image: ChatReply, without: ChatReply) -> Check:
    if without.text is not None and (with_image.error or "").startswith("HTTP 4"):
        return Check("image", "bad", f"the endpoint answers, but not about an image: {with_image.error}")
    return Check("answer", "note", f"the endpoint did not answer the probe: {with_image.error}")


def _prompt_tokens(reply: ChatReply) -> int | None:
    """What the endpoint counted; None where it did not, and the client estimated."""
    count = reply.usage.get("prompt_tokens")
    return int(count) if count and not reply.usage.get("estimated") else None


def _image(server: Counted, with_image: ChatReply, without: ChatReply) -> Check:
    """Whether the image arrives at the model."""
    answers_differ = with_image.text is not None and without.text is not None and with_image.text != without.text
    if server.image is None:
        if answers_differ:
            return Check("image", "ok", "the answer is another one with an image than without")
        return Check("image", "note", "the endpoint says nothing by which to see whether the image reaches the model")
    if server.image > 0:
        return Check("image", "ok", f"the image adds {server.image} tokens to the prompt")
    said = f"the endpoint counts {server.pictured} prompt tokens with an image and {server.plain} without"
    if answers_differ:
        return Check("image", "warning", f"{said}, though its answers differ")
    return Check("image", "bad", f"{said}, and answers alike: the image does not reach the model")


def _count(server: Counted, here: Counted, remedy: str) -> Check:
    """Whether the endpoint counts the tokens that are trained and asked on this machine."""
    if server.pictured == here.pictured:
        return Check("server", "ok", f"the endpoint counts {server.pictured} prompt tokens, as here")
    parts = []
    if server.plain is not None and server.plain != here.plain:
        parts.append(f"{server.plain} against {here.plain} without the image")
    if server.image is not None and server.image != here.image:
        parts.append(f"{server.image} against {here.image} for the image")
    said = f"the endpoint counts {server.pictured} prompt tokens where there are {here.pictured} here"
    return Check("server", "bad", f"{said}: {', '.join(parts)}{remedy}" if parts else f"{said}{remedy}")


def _remedy(server: Counted, here: Counted, ids: Sequence[int], prompts: Prompts) -> str:
    """What the counts say of the cause, and what may help."""
    causes = []
    bos = prompts.processor.tokenizer.bos_token
    more = 0 if server.plain is None or here.plain is None else server.plain - here.plain
    begins = bos is not None and list(ids[:1]) == [prompts.processor.tokenizer.bos_token_id]
    if more == -1 and begins:
        causes.append(
            f"it may leave out {bos!r}, which its template does not write: --set model.extra_body="
            "'{add_special_tokens: true}' (vLLM)"
        )
    elif more == 1 and begins:
        causes.append(f"it may begin with {bos!r} twice: --set model.extra_body='{{add_special_tokens: false}}' (vLLM)")
    elif more:
        causes.append("another chat template, or a system message of its own")
    if server.image is not None and server.image != here.image:
        causes.append("its image processor has other limits of size")
    return f"; {'; '.join(causes)}" if causes else ""


def _processor(name: str, settings: ServedSettings) -> str | None:
    """Where the model's processor is; None where it is nowhere here."""
    if settings.processor or Path(name).is_dir():
        return settings.processor or name
    if "/" not in name or not may_be_hub_id(name):
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = (try_to_load_from_cache(name, f"{kind}_config.json") for kind in ("processor", "preprocessor"))
    return name if any(isinstance(path, str) for path in cached) else None


def _prompts(source: str, settings: ServedSettings) -> Prompts:
    """How the model is asked here, with the options of the template that the endpoint is sent."""
    from harness.models.loading import prompts_of

    options = (settings.extra_body or {}).get("chat_template_kwargs") or {}
    switch = options.get("enable_thinking")
    chosen = PromptSettings(thinking="auto" if switch is None else "on" if switch else "off")
    return prompts_of(source, chosen, named=f"--set model.processor={source}")


def _ids(prompts: Prompts, turns: Sequence[Turn]) -> list[int]:
    from harness.util.images import open_image

    images = [open_image(image.read()) for turn in turns for image in turn.images]
    made = prompts.inputs([prompts.text(turns)], [images] if images else None)
    return [int(token) for token in made["input_ids"][0]]
