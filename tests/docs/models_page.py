"""docs/models.md, made from the families and their tiny models: ``python -m tests.docs.models_page`` writes it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import torch
from PIL import Image as PilImage
from transformers import GenerationConfig, LogitsProcessorList

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoder
from aligners.pairs.route import choose_route
from harness.chat.completion import body
from harness.chat.request import ChatRequest
from harness.models.batching import choose_layout
from harness.models.families import EXPERTS, family_of
from harness.models.families import FAMILIES as ROWS
from harness.models.generation import GenerateOptions
from harness.models.probe import Reading
from harness.models.prompts import Prompts
from harness.models.templates import DATE
from harness.protocols.conversation import Image, Turn, question
from tests.harness.template_server import encoded, rendered
from tests.house import ROOT
from tests.tiny_families import FAMILIES, shared_family

PAGE = ROOT / "docs/models.md"
HEAD = """# Models

Made by `make docs` from the rows of `harness/models/families.py` and from small random models, one of each family's
own configuration, with a processor and a chat template of its structure; a test compares. A model of another type
answers as every image-text-to-text model of transformers does, and can be trained with LoRA; [a
row](plugins/models.md) adds the rest.

| family | `model_type` | on the hub | a pair is run | questions are put | frozen / trained / LoRA on |
|---|---|---|---|---|---|
"""
BELOW = """
How a pair is run is tried at the start of every training, one made-up pair with an image both ways: `shared` is both
responses behind one prefix in one row, `plain` is rows of their own; the difference measured stands in the run's
record (`route`). Windows (Aya Vision, Idefics2) keep from the shared row where twice `max_length` is longer than they
are. How questions are put is part of the key of answers: `image-prefix` computes an image once for all questions
about it, `padded` once for each. Paths are of modules, counted from the model inside its head. Full fine-tuning
freezes the first and trains the second and third (`--set train_vision=true`: all); LoRA adapts the linear layers of
the third. A tower or a projector is never adapted.

Tested for every family, in float64 where numbers are compared:

- the prompt is the same, token by token, from a pair, from a benchmark and from a probe, with one
  beginning-of-sequence token at most, and generation stops at the end that is trained;
- log-probabilities and gradients of a pair, on the route above, equal those of each response alone; the rejected
  response does not see the chosen one, and another image makes other numbers;
- a step of full fine-tuning moves every parameter of projector and language model and none of the tower, and the
  weights are read back as they were saved; a step with LoRA moves adapters of the language model's layers and nothing
  else;
- the answers of `image-prefix`, greedy and with beams, are those of each question alone;
- whole runs in other micro-batches, and interrupted ones that resume, for a family of each kind of input (Qwen2.5-VL,
  Gemma-3, Mllama).

The weights are random and small: what a released checkpoint adds (its own template, its own processor's settings) is
seen by the probe at the start of `align` and `bench`.

## Prompts

One question about one image. *Trained* is a pair's prompt with the chosen answer, *asked* what arrives at `generate`
when a benchmark asks, *served* what an OpenAI-compatible server makes of the same question: it renders the template
itself and adds no special tokens unless `--set model.extra_body='{add_special_tokens: true}'` asks for them, which a
family needs whose template does not write its first token. A template that writes the date (Mistral-3) gets one and
the same here and TODAY's on a server: `--set model.system=` replaces it on both. `[4 x <image>]` is a run of image
tokens, as long as the small model's. Line ends are written `\\n`.
"""
QUESTION, ANSWER = "What is this?", "A dog."


def page() -> str:
    """The whole text of docs/models.md."""
    rows, sections = [], []
    for name in FAMILIES:
        model, prompts = shared_family(name)
        rows.append(table_row(model, prompts))
        sections.append(section(model, prompts))
    return HEAD + "\n".join(rows) + "\n" + BELOW + "\n" + "\n".join(sections)


def table_row(model: Any, prompts: Prompts) -> str:
    """A family in the table; how pairs and questions are run is tried on its tiny model."""
    row = family_of(model.config)
    route, _ = choose_route(model, prompts, "auto", 2048)
    layout = choose_layout(model, prompts).name
    ways = row.note.partition(EXPERTS)[0].rstrip("; ")
    note = f" ({ways})" if ways else ""
    extra = f" ({EXPERTS})" if EXPERTS in row.note else ""
    parts = " / ".join(", ".join(f"`{path}`" for path in paths) for paths in (row.tower, row.projector))
    places = [note if way in ("plain", "padded") else "" for way in (route, layout)]
    if all(places):
        places[1] = ""
    cells = [
        row.title,
        f"`{model.config.model_type}`" + (" with a Pixtral tower" if row is ROWS["llava:pixtral"] else ""),
        "<br>".join(f"`{id}`" for id in row.models),
        route + places[0],
        layout + places[1],
        f"{parts} / `{row.language}`{extra}",
    ]
    return f"| {' | '.join(cells)} |"


def section(model: Any, prompts: Prompts) -> str:
    """A family's prompt as trained, as asked and as served."""
    reading = Reading(prompts.processor.tokenizer, model.config.image_token_id)
    family = family_of(model.config)
    here = asked(model, prompts)
    lines = [f"    trained  {shown(reading, trained(prompts))}", f"    asked    {shown(reading, here)}"]
    if prompts.processor.chat_template == family.fallback_template:
        lines.append("    served   not by chat: the model has no chat template")
    else:
        there = shown(reading, served(prompts)).replace(date.today().isoformat(), "TODAY")
        lines.append(f"    served   {there}")
        if there.replace("TODAY", DATE) != shown(reading, here):
            assert served(prompts, add_special_tokens=True) == here
            lines.append("             with add_special_tokens as asked")
    return "\n".join([f"### {family.title}", "", *thinking(prompts), *lines, ""])


def thinking(prompts: Prompts) -> list[str]:
    """A line for a family whose template opens thoughts, which this project closes before it trains an answer."""
    text = prompts.text([asked_turn()])
    return ["With `--set model.thinking=off`:", ""] if "<think>" in text else []


def shown(reading: Reading, ids: Sequence[int]) -> str:
    return reading.text(ids).replace("\n", "\\n")


def picture() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 40, 3), dtype=np.uint8)
    out = io.BytesIO()
    PilImage.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def asked_turn() -> Turn:
    return question(QUESTION, Image(data=picture()))


def trained(prompts: Prompts) -> list[int]:
    """The prompt and the chosen answer of a pair."""
    pair = Encoder(prompts, 512)(0, Pair.about(picture(), "0", QUESTION, ANSWER, "A cat."))
    return [*pair.prefix.tolist(), *pair.chosen.tolist()]


def asked(model: Any, prompts: Prompts) -> list[int]:
    """What arrives at ``generate``."""
    seen: list[list[int]] = []

    def generate(*, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        seen.append(input_ids[0].tolist())
        return input_ids

    layout = choose_layout(model, prompts)
    options = GenerateOptions(GenerationConfig(), LogitsProcessorList())  # type: ignore[no-untyped-call]
    image = PilImage.open(io.BytesIO(picture()))
    model.generate = generate
    try:
        with torch.no_grad():
            layout.generate(layout.rows([(prompts.text([asked_turn()]), "image")]), {"image": image}, options)
    finally:
        del model.generate
    return seen[0]


def served(prompts: Prompts, **extra: bool) -> list[int]:
    """What a server that renders the template makes of the same question, as it is sent to it."""
    call = body(ChatRequest((asked_turn(),)), "m") | extra | {"chat_template_kwargs": {"enable_thinking": False}}
    text, images = rendered(prompts.processor, call)
    return encoded(prompts.processor, call, text, images)["input_ids"][0].tolist()  # type: ignore[no-any-return]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
