"""What a probe asks, and what it makes of the tokens of a prompt, whoever made them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import HarnessError
from harness.models.prompts import Prompts, common_length
from harness.protocols.conversation import Image, Turn, question
from harness.protocols.probe import Check, Encode, Trained
from harness.util.images import open_image

QUESTION = "What do you see in this image?"
GRID = (4, 3)
CELL = 112
"""Pixels of a coloured square: 448 x 336 in all, no square, so that cropping and padding show."""
ENDPOINT = "endpoint"
"""The one who has a prompt and is not on this machine, beside training and generation."""
SHOWN = 3
"""Tokens that are shown where two prompts part."""


def pictures() -> tuple[Image, Image]:
    """Two images of coloured squares, of one size and different in every square."""
    columns, rows = GRID
    count = columns * rows
    colours = [(255 * i // (count - 1), (97 * i) % 256, 255 - (53 * i) % 256) for i in range(count)]
    return _png(colours), _png([(255 - red, 255 - green, 255 - blue) for red, green, blue in colours])


def asked_about(image: Image | None) -> Turn:
    """The probe's question, about ``image`` or about none."""
    return question(QUESTION, *(() if image is None else (image,)))


def _png(colours: Sequence[tuple[int, int, int]]) -> Image:
    from PIL import Image as PilImage

    small = PilImage.new("RGB", GRID)
    small.putdata(colours)
    out = io.BytesIO()
    small.resize((GRID[0] * CELL, GRID[1] * CELL), PilImage.Resampling.NEAREST).save(out, "PNG")
    return Image(data=out.getvalue())


def image_token_of(processor: Any, config: Any = None) -> int | None:
    """The id of the token that stands for an image, or a part of it, in prompts; None where nothing says."""
    places = ((processor, "image_token_id"), (config, "image_token_id"), (config, "image_token_index"))
    return next((value for place, name in places if isinstance(value := getattr(place, name, None), int)), None)


def trained_as(encode: Encode | None, prompts: Prompts, turns: Sequence[Turn]) -> tuple[Trained | None, str]:
    """``turns`` as training has them, or why it cannot have them."""
    if encode is None:
        return None, "training was not looked at"
    try:
        return encode(prompts, turns), ""
    except (HarnessError, ValueError, TypeError, KeyError, IndexError) as error:  # the latter of the processor
        return None, f"nothing can be trained with this prompt: {error}"


def asked_ids(prompts: Prompts, turns: Sequence[Turn]) -> list[int]:
    """The tokens of ``turns`` as the processor makes them of the prompt that is asked."""
    images = [prompts.shown(open_image(image.read())) for turn in turns for image in turn.images]
    made = prompts.inputs([prompts.text(turns)], [images] if images else None)
    return [int(token) for token in made["input_ids"][0]]


def place(way: str) -> str:
    """Where a prompt was seen, in words: "in training", "at the endpoint"."""
    return f"at the {way}" if way == ENDPOINT else f"in {way}"


@dataclass(frozen=True)
class Reading:
    """Token ids read by the tokeniser that made them."""

    tokenizer: Any
    image_token: int | None

    def token(self, id: int) -> str:
        """One token as the vocabulary has it, leading spaces included."""
        return str(self.tokenizer.convert_ids_to_tokens(id))

    def text(self, ids: Sequence[int]) -> str:
        """The text of ``ids`` with special tokens; a run of image tokens is one of them with its length."""
        runs = [(image, list(run)) for image, run in itertools.groupby(ids, key=lambda id: id == self.image_token)]
        return "".join(
            f"[{len(run)} x {self.token(run[0])}]" if image and len(run) > 1 else str(self.tokenizer.decode(run))
            for image, run in runs
        )

    def difference(self, ways: tuple[str, str], first: Sequence[int], second: Sequence[int]) -> str:
        """How the prompts of two ``ways`` differ: their lengths and the first tokens that do; "" if they are equal."""
        if list(first) == list(second):
            return ""
        at = common_length(first, second)

        def shown(ids: Sequence[int]) -> str:
            return repr(" ".join(map(self.token, ids[at : at + SHOWN]))) if at < len(ids) else "nothing more"

        one, other = (place(way) for way in ways)
        return (
            f"the prompt has {len(first)} tokens {one} and {len(second)} {other}; they part at token {at}: "
            f"{shown(first)} {one}, {shown(second)} {other}"
        )

    def same_prompt(self, asked: Mapping[str, Sequence[int]], trained: Trained | None, untrained: str) -> list[Check]:
        """Whether all ways to ask have the same prompt, and training too; ``untrained`` says why it is not there."""
        (first, ids), *others = asked.items()
        differences = [self.difference((first, way), ids, other) for way, other in others]
        ways = [first, *(way for way, _ in others)]
        if trained is None:
            checks = [Check("training", "note", untrained)]
        else:
            seam = list(trained.prompt) == list(ids[: len(trained.prompt)])
            checks = []
            if seam and len(trained.prompt) < len(ids):
                joined = " ".join(map(self.token, ids[len(trained.prompt) :]))
                said = f"the tokeniser joins the prompt's end {joined!r} with the beginning of an answer"
                checks.append(Check("seam", "warning", f"{said}: what is trained there is not what is asked"))
            elif not seam:
                differences.append(self.difference(("training", first), trained.prompt, ids))
            ways = ["training", *ways]
        bad = [Check("prompt", "bad", text) for text in differences if text]
        return [*(bad or [Check("prompt", "ok", f"{len(ids)} tokens, the same in {', '.join(ways)}")]), *checks]

    def beginning(self, ids: Sequence[int]) -> list[Check]:
        """A fault where the prompt begins with the beginning-of-sequence token twice."""
        bos = self.tokenizer.bos_token_id
        if bos is None or list(ids[:2]) != [bos, bos]:
            return []
        said = f"the prompt begins with {self.token(bos)!r} twice, which no checkpoint was trained on"
        return [Check("beginning", "bad", f"{said}: give a template that does not write it (--set model.template)")]
