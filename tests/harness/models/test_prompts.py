"""What is trained is what is asked: the same tokens reach the model from a preference pair and from a benchmark."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoder
from aligners.training.base_model import load_base
from aligners.training.config import AlignConfig
from harness.errors import UsageError
from harness.models import generation
from harness.models.batching import ImagePrefix, Layout, Padded, choose_layout
from harness.models.families import FAMILIES, UNKNOWN, family_of
from harness.models.generation import GenerateOptions
from harness.models.hf import HfModel
from harness.models.loading import load
from harness.models.processors import FALLBACK, ensure_template
from harness.models.prompts import Prompts
from harness.models.spec import load_model
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image, Turn
from harness.protocols.conversation import question as ask
from tests import tiny_families
from tests.tiny import picture, tiny_llava
from tests.tiny_families import shared_family, tiny_family

IMAGE_PREFIX = [family for family in tiny_families.FAMILIES if family_of(shared_family(family)[0].config).image_prefix]
WITH_FALLBACK = [
    family for family in tiny_families.FAMILIES if family_of(shared_family(family)[0].config).fallback_template
]
SIZES = {"wide": (40, 28), "tall": (16, 30)}
QUESTIONS_ABOUT = [("what is in it ?", "wide"), ("why", "wide"), ("describe the image .", "tall"), ("x", "wide")]
QUESTIONS = ("what is in the image ?", "describe the image .")


def trained(prompts: Prompts, question: str, image: bytes) -> list[int]:
    """The prompt's tokens as a preference pair is trained on."""
    pair = Pair.about(image, "0", question, "a dog", "the cat")
    return Encoder(prompts, 512)(0, pair).prefix.tolist()  # type: ignore[no-any-return]


def noise(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    PilImage.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def about_image(question: str) -> list[Turn]:
    return [ask(question, Image())]


def asked(model: Any, layout: Layout, prompts: Prompts, question: str, image: bytes) -> list[int]:
    """The prompt's tokens as they arrive at ``generate`` when a benchmark asks."""
    seen: list[torch.Tensor] = []

    def generate(*, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        seen.append(input_ids)
        return input_ids

    model.generate = generate
    opened = PilImage.open(io.BytesIO(image)).convert("RGB")
    options = GenerateOptions(GenerationConfig(), LogitsProcessorList())  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layout.generate(layout.rows([(prompts.text(about_image(question)), "image")]), {"image": opened}, options)
    return seen[0][0].tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", tiny_families.FAMILIES)
def test_the_prompt_trained_is_the_prompt_asked_token_by_token(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts = shared_family(family)
    monkeypatch.setattr(model, "generate", None, raising=False)  # put back afterwards
    wanted = trained(prompts, QUESTIONS[0], picture(0))
    assert wanted.count(model.config.image_token_id) > 0
    assert wanted.count(prompts.processor.tokenizer.bos_token_id) <= 1
    assert asked(model, choose_layout(model, prompts), prompts, QUESTIONS[0], picture(0)) == wanted


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("family", IMAGE_PREFIX)
def test_both_layouts_answer_alike(family: str, beams: int) -> None:
    """Questions of several lengths about images of several sizes: the new tokens of a shared prefix and without one."""
    model, prompts = shared_family(family)
    images = {name: PilImage.open(io.BytesIO(noise(*size))) for name, size in SIZES.items()}
    rows = [(prompts.text(about_image(question)), name) for question, name in QUESTIONS_ABOUT]
    config = GenerationConfig(max_new_tokens=6, min_new_tokens=6, num_beams=beams, pad_token_id=0)  # type: ignore[no-untyped-call]
    options = GenerateOptions(config, LogitsProcessorList())
    fast = choose_layout(model, prompts)
    assert isinstance(fast, ImagePrefix)
    fast._padded = None  # type: ignore[assignment]  # no row may need it
    prompts.processor.tokenizer.padding_side = "left"
    with torch.no_grad():
        wanted = [Padded(model, prompts).generate([row], images, options) for row in Padded(model, prompts).rows(rows)]
        assert torch.equal(fast.generate(fast.rows(rows), images, options), torch.cat(wanted))


class Varied(LogitsProcessor):
    """Adds to the logits what depends on the row's tokens, as a random model's own hardly do; ``filler`` is padding."""

    def __init__(self, filler: int) -> None:
        self._filler = filler

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        seeds = [int(row[row != self._filler].sum()) for row in input_ids]
        noise = [torch.randn(scores.shape[1], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        spread = scores.masked_fill(scores.isinf(), 0).std(1, keepdim=True)
        return scores + spread * torch.stack(noise)


@pytest.mark.parametrize("shown", [True, False], ids=["images", "text alone"])
@pytest.mark.parametrize("family", IMAGE_PREFIX)
def test_rows_that_have_ended_leave_the_batch_and_the_others_answer_as_they_do_alone(
    family: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prompts = shared_family(family)
    images = {name: PilImage.open(io.BytesIO(noise(*size))) for name, size in SIZES.items()}
    layout = choose_layout(model, prompts)
    asked = [(about_image(question), name) if shown else ([ask(question)], "") for question, name in QUESTIONS_ABOUT]
    rows = layout.rows([(prompts.text(turns), name) for turns, name in asked])
    generate, sizes = model.generate, list[int]()
    varied = LogitsProcessorList([Varied(prompts.processor.tokenizer.pad_token_id or 0)])
    config = GenerationConfig(max_new_tokens=12, min_new_tokens=12, pad_token_id=0)  # type: ignore[no-untyped-call]

    def alone() -> list[list[int]]:
        options = GenerateOptions(config, varied)
        return [layout.generate([row], images, options)[0].tolist() for row in rows]

    def counted(**inputs: Any) -> Any:
        sizes.append(len(inputs["input_ids"]))
        return generate(**inputs)

    with torch.no_grad():
        # Row n ends at its token of number 3n, or before it where that is another row's end.
        config.eos_token_id = sorted({line[3 * n] for n, line in enumerate(alone())})
        config.min_new_tokens = 0
        wanted = alone()
        monkeypatch.setattr(model, "generate", counted)
        monkeypatch.setattr(generation, "FEWEST", 1)
        found = layout.generate(rows, images, GenerateOptions(config, varied, narrows=True)).tolist()
    longest = max(map(len, wanted))
    assert found == [line + [0] * (longest - len(line)) for line in wanted]
    assert len(set(map(len, wanted))) > 1, "rows of one length show nothing"
    assert sizes[0] == len(rows) and sizes == sorted(set(sizes), reverse=True)


def test_a_prompt_that_does_not_part_behind_its_image_takes_the_padded_way() -> None:
    """Idefics2's processor may put a space behind the image, which belongs to the question's first token."""
    model, prompts = shared_family("idefics2")
    layout, seen = ImagePrefix(model, prompts), []
    layout._padded.generate = lambda rows, images, options: seen.append(rows)  # type: ignore
    options = GenerateOptions(GenerationConfig(), LogitsProcessorList())  # type: ignore[no-untyped-call]
    rows = layout.rows([(prompts.text(about_image("what ?")), "image")])
    layout.generate(rows, {"image": PilImage.open(io.BytesIO(picture(0)))}, options)
    assert seen == [rows]


@pytest.mark.parametrize("layout", [ImagePrefix, Padded])
def test_both_layouts_ask_what_a_pair_is_trained_on(layout: type[ImagePrefix] | type[Padded]) -> None:
    model, processor = tiny_family("llava")
    wanted = trained(Prompts(processor), QUESTIONS[0], picture(0))
    assert asked(model, layout(model, Prompts(processor)), Prompts(processor), QUESTIONS[0], picture(0)) == wanted


@pytest.mark.parametrize("layout", [ImagePrefix, Padded])
def test_a_template_that_writes_the_bos_gets_no_second_one(layout: type[ImagePrefix] | type[Padded]) -> None:
    """A tokeniser that puts a BOS before every text, as Llama's does, under a template that writes it itself."""
    from tokenizers import processors

    model, processor = tiny_family("llava")
    processor.tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    assert trained(Prompts(processor), QUESTIONS[0], picture(0)).count(1) == 1, (
        "the tokeniser's own, without the template's"
    )
    processor.chat_template = "{{ '<s> ' }}" + processor.chat_template
    assert not Prompts(processor).adds_special_tokens(Prompts(processor).text(about_image("?")))
    wanted = trained(Prompts(processor), QUESTIONS[0], picture(0))
    assert (wanted[0], wanted.count(1)) == (1, 1)
    assert asked(model, layout(model, Prompts(processor)), Prompts(processor), QUESTIONS[0], picture(0)) == wanted


def test_a_model_without_a_template_is_trained_and_asked_with_the_familys(tmp_path: Path) -> None:
    bare = tiny_llava(tmp_path / "bare", template=None)
    base = load_base(AlignConfig(model=str(bare), data=""), torch.device("cpu"))
    answering = load_model(f"hf:{bare}", device="cpu")
    assert isinstance(answering, HfModel)
    assert FALLBACK in base.prompts.note and answering.route.endswith("image-prefix, fallback prompt")
    wanted = trained(Prompts(base.processor), QUESTIONS[0], picture(0))
    assert asked(answering._model, answering._layout, answering._prompts, QUESTIONS[0], picture(0)) == wanted
    assert Prompts(base.processor).text(about_image("what ?")) == "USER: <image>\nwhat ? ASSISTANT:"
    assert Prompts(base.processor).text([ask("what ?")]) == "USER: what ? ASSISTANT:"
    sample = Sample("1", QUESTIONS[0], Image(data=picture(0)))
    ((_, answer),) = load_model(f"hf:{bare}", device="cpu").generate([sample], Decoding(max_new_tokens=3))
    assert answer.error is None


def test_the_fallback_prompt_is_part_of_a_models_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tiny_llava(tmp_path / "bare", template=None)
    key = load_model(f"hf:{bare}", device="cpu").key
    assert load_model(f"hf:{shutil.copytree(bare, tmp_path / 'copy')}", device="cpu").key == key
    monkeypatch.setitem(
        FAMILIES, "llava", type(UNKNOWN)(image_prefix=True, fallback_template=tiny_families.template("<image> "))
    )
    assert load_model(f"hf:{bare}", device="cpu").key != key


def test_a_processor_saved_after_training_keeps_the_fallback_prompt(tmp_path: Path) -> None:
    bare = tiny_llava(tmp_path / "bare", template=None)
    loaded = load(str(bare), device=torch.device("cpu"), named="bare")
    loaded.model.save_pretrained(tmp_path / "saved")
    loaded.processor.save_pretrained(tmp_path / "saved")
    again = load(str(tmp_path / "saved"), device=torch.device("cpu"), named="saved")
    assert FALLBACK not in again.prompts.note
    assert Prompts(again.processor).text(about_image("?")) == Prompts(loaded.processor).text(about_image("?"))


@pytest.mark.parametrize("family", WITH_FALLBACK)
def test_every_familys_fallback_holds_its_image_and_ends_where_the_answer_begins(family: str) -> None:
    model, processor = tiny_family(family)
    processor.chat_template = None
    assert ensure_template(processor, model.config)
    text = Prompts(processor).text(about_image("what is this ?"))
    assert text.count(processor.image_token) == 1 and text.index(processor.image_token) < text.index("what is this ?")
    assert text.lower().rstrip().rstrip(":").endswith("assistant") or family == "paligemma"
    assert processor.image_token not in Prompts(processor).text([ask("what is this ?")])


def test_a_model_of_a_family_without_a_fallback_is_refused_by_name() -> None:
    model, processor = tiny_family("internvl")
    processor.chat_template = None
    with pytest.raises(UsageError, match=r"type internvl whose processor has no chat template. Give .*model.template"):
        ensure_template(processor, model.config)
