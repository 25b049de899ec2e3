"""The probe of a model behind an endpoint: the prompt's tokens that it counts, with an image and without."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.chat.calls import HOPELESS
from harness.chat.request import ChatReply
from harness.chat.settings import ServedSettings
from harness.models.probe import ENDPOINT, Reading, asked_about, asked_ids, image_token_of, pictures, trained_as
from harness.models.prompts import Prompts
from harness.models.settings import LoadSettings
from harness.models.sources import may_be_hub_id
from harness.protocols.conversation import Turn
from harness.protocols.probe import Check, Encode, Probe, Trained
from harness.util.options import content_key

ANSWER_TOKENS = 16
"""Of each of the two calls; some endpoints take no fewer."""
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json", "config.json")
"""Of which a directory has one where it is a model's: a folder that only happens to have a model's name has none."""
Ask = Callable[[Sequence[Sequence[Turn]], int, bool], Sequence[ChatReply]]
"""Conversations, the most tokens of an answer, whether the prompt's tokens are asked for -> their replies."""


@dataclass(frozen=True)
class Counted:
    """Prompt tokens with an image and without; None where an endpoint does not say."""

    pictured: int | None
    plain: int | None

    @property
    def image(self) -> int | None:
        """Tokens that the image adds."""
        return None if self.pictured is None or self.plain is None else self.pictured - self.plain


@dataclass(frozen=True)
class Here:
    """A conversation as this machine has it, by the model's processor: as it is asked, and as it is trained.

    ``untrained`` says why there is nothing of training.
    """

    prompts: Prompts
    ids: list[int]
    counted: Counted
    trained: Trained | None
    untrained: str

    @property
    def reading(self) -> Reading:
        return Reading(self.prompts.processor.tokenizer, image_token_of(self.prompts.processor))


def probe_served(
    name: str, settings: ServedSettings, ask: Ask, encode: Encode | None, turns: Sequence[Turn] = ()
) -> Probe:
    """The probe of the model called ``name``, asked by ``ask`` about ``turns`` (default: the question of probes).

    ``encode`` is how training encodes them. The prompt is compared where the model's processor can be had here:
    ``settings.processor``, or the model's name where that is a model's directory or in the hub's cache.
    """
    started = time.perf_counter()
    system = [Turn("system", (settings.system,))] if settings.system else []
    pictured = [*system, *(turns or [asked_about(pictures()[0])])]
    plain = [replace(turn, content=tuple(part for part in turn.content if isinstance(part, str))) for turn in pictured]
    source = _processor(name, settings)
    with_image, without = ask([pictured, plain], ANSWER_TOKENS, source is not None)
    if source is not None and _refused(with_image) and _refused(without):  # a field that they do not know
        with_image, without = ask([pictured, plain], ANSWER_TOKENS, False)
    server = Counted(_prompt_tokens(with_image), _prompt_tokens(without))
    if with_image.text is None and server.pictured is None:
        return Probe(checks=(_unanswered(with_image, without),), complete=False)
    here = None if source is None else _here(_prompts(source, settings), pictured, plain, encode)
    images = [_image(server, with_image, without)] if any(turn.images for turn in pictured) else []
    return Probe(
        prompt=here.reading.text(here.ids) if here else "",
        tokens=_tokens(server, here),
        image_tokens=here.ids.count(here.reading.image_token) if here and here.reading.image_token else server.image,
        end=here.reading.token(here.trained.response[-1]) if here and here.trained else "",
        digest=content_key(here.ids) if here else "",
        checks=(*_prompt_checks(server, here, with_image.prompt_ids), *images),
        seconds=time.perf_counter() - started,
    )


def _here(prompts: Prompts, pictured: Sequence[Turn], plain: Sequence[Turn], encode: Encode | None) -> Here:
    ids = asked_ids(prompts, pictured)
    counted = Counted(len(ids), len(asked_ids(prompts, plain)))
    return Here(prompts, ids, counted, *trained_as(encode, prompts, pictured))


def _tokens(server: Counted, here: Here | None) -> dict[str, int]:
    counts = {
        "training": len(here.trained.prompt) if here and here.trained else None,
        "generation": here.counted.pictured if here else None,
        "server": server.pictured,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _prompt_checks(server: Counted, here: Here | None, ids: Sequence[int]) -> list[Check]:
    """Whether the prompt is one in training, in asking and at the endpoint, as far as there is something to compare."""
    checks = []
    if here:
        same = here.reading.same_prompt({"generation": here.ids}, here.trained, here.untrained)
        checks += [*same, *here.reading.beginning(here.ids)]
    if server.pictured is None:
        why = "the endpoint counts no tokens (usage.prompt_tokens): its prompt was not compared"
        return [*checks, Check("server", "note", why)]
    if here is None:
        why = "no processor of this model here to compare the prompt with: name one with --set model.processor=DIR"
        return [Check("server", "note", why)]
    return [*checks, _tokens_check(ids, server, here) if ids else _count(server, here)]


def _refused(reply: ChatReply) -> bool:
    """Whether the endpoint does not take what it was sent; one that is busy (429) may."""
    return 400 <= reply.status < 500 and reply.outcome == "down"


def _unanswered(with_image: ChatReply, without: ChatReply) -> Check:
    if without.text is not None and _refused(with_image):
        return Check("image", "bad", f"the endpoint answers, but not about an image: {with_image.error}")
    replies = (with_image, without)
    hopeless = next((reply for reply in replies if reply.status in HOPELESS and _refused(reply)), None)
    if hopeless and all(reply.status in {0, *HOPELESS} for reply in replies):  # 0: not sent, since the other had failed
        return Check("answer", "bad", f"the endpoint answers nothing: {hopeless.error}")
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


def _tokens_check(ids: Sequence[int], server: Counted, here: Here) -> Check:
    """Whether the endpoint has the very tokens that are trained and asked on this machine, where it gives them."""
    if parts := here.reading.difference(("generation", ENDPOINT), here.ids, ids):
        return Check("server", "bad", "; ".join([parts, *_causes(server, here)]))
    return Check("server", "ok", f"the endpoint has the same {len(ids)} tokens")


def _count(server: Counted, here: Here) -> Check:
    """Whether the endpoint counts the tokens that are trained and asked on this machine."""
    ours = here.counted
    if server.pictured == ours.pictured:
        return Check("server", "ok", f"the endpoint counts {server.pictured} prompt tokens, as here")
    parts = []
    if server.plain is not None and server.plain != ours.plain:
        parts.append(f"{server.plain} against {ours.plain} without images")
    if server.image is not None and server.image != ours.image:
        parts.append(f"{server.image} against {ours.image} for images, whose processor has other settings there")
    said = f"the endpoint counts {server.pictured} prompt tokens where there are {ours.pictured} here"
    return Check(
        "server", "bad", "; ".join([": ".join(filter(None, [said, ", ".join(parts)])), *_causes(server, here)])
    )


def _causes(server: Counted, here: Here) -> list[str]:
    """What the counts without images say of the cause, and what may help."""
    if server.plain is None or here.counted.plain is None or server.plain == here.counted.plain:
        return []
    tokenizer = here.prompts.processor.tokenizer
    begins = tokenizer.bos_token_id is not None and here.ids[:1] == [tokenizer.bos_token_id]
    more = server.plain - here.counted.plain
    if begins and more == -1:
        remedy = "--set model.extra_body='{add_special_tokens: true}' (vLLM)"
        return [f"it may leave out {tokenizer.bos_token!r}, which the template does not write: {remedy}"]
    if begins and more == 1:
        remedy = "--set model.extra_body='{add_special_tokens: false}' (vLLM)"
        return [f"it may begin with {tokenizer.bos_token!r} twice: {remedy}"]
    return ["it has another chat template, or a system message of its own"]


def _processor(name: str, settings: ServedSettings) -> str | None:
    """Where the model's processor is; None where it is nowhere here."""
    if settings.processor or any((Path(name) / file).is_file() for file in PROCESSOR_FILES):
        return settings.processor or name
    if not may_be_hub_id(name):
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = (try_to_load_from_cache(name, f"{kind}_config.json") for kind in ("processor", "preprocessor"))
    return name if any(isinstance(path, str) for path in cached) else None


def _prompts(source: str, settings: ServedSettings) -> Prompts:
    """How the model is asked here, with the options of the template that the endpoint is sent."""
    from harness.models.processors import prompts_of

    options = (settings.extra_body or {}).get("chat_template_kwargs") or {}
    switch = options.get("enable_thinking")
    chosen = LoadSettings(thinking="auto" if switch is None else "on" if switch else "off")
    return prompts_of(source, chosen, named=f"--set model.processor={source}")
