"""The same weights answer alike on this machine and behind a server that renders the chat template itself."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from harness.errors import UsageError
from harness.models.prompts import Prompts
from harness.models.spec import load_model
from harness.models.thinking import Decoder
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image
from harness.protocols.model import Answer, Model
from tests.harness.template_server import TemplateServer
from tests.tiny_llava import save_tiny_llava

GREEDY = Decoding(max_new_tokens=8)


def samples(count: int) -> list[Sample]:
    """Questions of several lengths about pictures of their own."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(count):
        file = io.BytesIO()
        PilImage.fromarray(draw.integers(0, 256, (20, 28, 3), np.uint8)).save(file, "PNG")
        made.append(Sample(str(number), f"What is {'in ' * (number % 4)}image {number}?", Image(data=file.getvalue())))
    return made


def answered(model: Model, asked: list[Sample], decoding: Decoding = GREEDY) -> list[Answer]:
    found = dict(model.generate(asked, decoding))
    return [found[i] for i in range(len(asked))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llava(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[TemplateServer]:
    with TemplateServer(folder) as running:
        yield running


def test_a_hundred_greedy_answers_are_equal(folder: Path, server: TemplateServer) -> None:
    """The template writes no BOS, which a server leaves out then, unless it is asked for it."""
    special = {"extra_body": {"add_special_tokens": True}}
    here = load_model(f"hf:{folder}", device="cpu")
    there = load_model(f"openai:served@{server.url}", settings=special)
    asked = samples(100)
    ours, theirs = answered(here, asked), answered(there, asked)
    assert [(a.text, a.tokens, a.cut) for a in ours] == [(a.text, a.tokens, a.cut) for a in theirs]
    assert len({answer.text for answer in ours}) > 50, "they differ by picture and question"
    assert {call["messages"][0]["content"][0]["type"] for call in server.calls} == {"image_url"}
    without = answered(load_model(f"openai:served@{server.url}"), asked[:20])
    assert [a.text for a in without] != [a.text for a in ours[:20]], "the server is no flatterer"
    assert load_model(f"openai:served@{server.url}").key != there.key


def test_a_system_message_and_what_the_server_refuses(server: TemplateServer) -> None:
    asked = samples(1)
    model = load_model(f"openai:served@{server.url}", settings={"system": "Be brief."})
    assert answered(model, asked)[0].text is not None
    assert [turn["role"] for turn in server.calls[-1]["messages"]] == ["system", "user"]
    assert model.key != load_model(f"openai:served@{server.url}").key
    calls = len(server.calls)
    with pytest.raises(UsageError, match=r"openai:served.*model\.system='Be brief\.' is another"):
        answered(model, asked, Decoding(system="Be exact."))
    assert len(server.calls) == calls
    (absent,) = answered(load_model(f"openai:other@{server.url}"), asked)
    assert absent.error == "HTTP 404: The model `other` does not exist."
    (sampled,) = answered(load_model(f"openai:served@{server.url}"), asked, Decoding(temperature=0.5))
    said = "HTTP 400: this server decodes greedily: temperature must be 0; temperature is left out with --set "
    assert sampled.error == said + "model.extra_body='{temperature: null}'"


def test_special_tokens_that_mark_thoughts_stay_in_the_raw_answer(folder: Path) -> None:
    """Without them thoughts would read like a part of the answer."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    encode = processor.tokenizer.encode
    plain = Decoder(Prompts(processor))
    assert plain.text([*encode("Yes", add_special_tokens=False), processor.tokenizer.eos_token_id]) == "Yes"
    processor.tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    marked = Decoder(Prompts(processor))
    assert marked.text(encode("[THINK]hm[/THINK]Yes</s>", add_special_tokens=False)) == "[THINK]hm[/THINK]Yes"
    assert marked.text(encode("Yes</s>", add_special_tokens=False)) == "Yes"
    processor.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    begun = Decoder(Prompts(processor))
    assert begun.text(encode("hm</think>Yes</s>", add_special_tokens=False)) == "<think>\nhm</think>Yes"
