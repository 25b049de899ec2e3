"""The transformers backend: both layouts answer as the plain model does one by one."""

from __future__ import annotations

import dataclasses
import io
import random
import shutil
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PilImage
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from harness.errors import HarnessError, UsageError
from harness.models.batching import ImagePrefix, KeptInputs, Padded, Row
from harness.models.hf import HfModel, batches
from harness.models.spec import ModelSpec, load_model
from harness.models.templates import ChatTemplate
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image
from harness.protocols.model import Answer
from tests.tiny_llava import save_tiny_llava

QUESTIONS = ("Is there a dog?", "Describe.", "What stands on the left of the table, and which colour has it?")
DECODING = Decoding(max_new_tokens=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return save_tiny_llava(tmp_path_factory.mktemp("tiny-llava"))


@pytest.fixture
def model(folder: Path) -> HfModel:
    loaded = load_model(f"hf:{folder}", device="cpu")
    assert isinstance(loaded, HfModel)
    return loaded


def picture(seed: int) -> Image:
    noise = random.Random(seed)
    image = PilImage.new("RGB", (4, 4))
    image.putdata([tuple(noise.randrange(256) for _ in range(3)) for _ in range(16)])
    out = io.BytesIO()
    image.resize((20, 16), PilImage.Resampling.NEAREST).save(out, "PNG")
    return Image(data=out.getvalue())


def questions() -> list[Sample]:
    """Three questions on each of four images, in mixed order, one on a fifth, and one without an image."""
    asked = [Sample(f"{i}-{q}", text, picture(i)) for q, text in enumerate(QUESTIONS) for i in range(4)]
    return [*asked, Sample("single", QUESTIONS[0], picture(9)), Sample("blind", QUESTIONS[2])]


def answers(model: HfModel, samples: list[Sample], decoding: Decoding = DECODING) -> list[Answer]:
    found = dict(model.generate(samples, decoding))
    assert sorted(found) == list(range(len(samples)))
    return [found[i] for i in range(len(samples))]


def one_by_one(folder: Path, samples: list[Sample], **options: object) -> list[str]:
    """The reference: transformers' documented use, a sample at a time."""
    plain: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    processor: Any = LlavaProcessor.from_pretrained(folder)
    texts = []
    for sample in samples:
        image = PilImage.open(io.BytesIO(sample.image.read())).convert("RGB") if sample.image else None
        prompt = processor.apply_chat_template([ChatTemplate.in_parts(sample.turn)], add_generation_prompt=True)
        inputs = processor(images=image, text=prompt, return_tensors="pt")
        out = plain.generate(**inputs, **({"max_new_tokens": 12, "do_sample": False} | options))
        texts.append(processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
    return texts


@pytest.mark.parametrize("layout", [ImagePrefix, Padded])
@pytest.mark.parametrize("beams", [1, 3])
def test_answers_are_those_of_the_plain_model_one_by_one(
    folder: Path, model: HfModel, layout: type[ImagePrefix] | type[Padded], beams: int
) -> None:
    model._layout = layout(model._model, model._prompts)
    samples = questions()
    expected = one_by_one(folder, samples, num_beams=beams)
    assert len(set(expected)) > len(samples) // 2, "the random model must tell the images apart"
    found = answers(model, samples, dataclasses.replace(DECODING, num_beams=beams))
    assert [answer.text for answer in found] == expected


@pytest.mark.parametrize("size", [1, 2, 5])
def test_batch_size_does_not_change_answers(model: HfModel, size: int) -> None:
    expected = [a.text for a in answers(model, questions())]
    model.batch_size = size
    assert [a.text for a in answers(model, questions())] == expected


def test_llava_takes_the_image_prefix_layout_and_says_so(model: HfModel) -> None:
    assert model.route.endswith("cpu, float32, image-prefix")


def test_each_image_is_encoded_once(model: HfModel, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    tower = model._model.model.vision_tower
    forward = tower.forward

    def counted(pixels: torch.Tensor, *args: Any, **options: Any) -> Any:
        encoded.append(len(pixels))
        return forward(pixels, *args, **options)

    monkeypatch.setattr(tower, "forward", counted)
    model.batch_size = 6
    answers(model, questions())
    assert sum(encoded) == 5


def test_what_is_asked_again_at_another_point_of_a_curve_is_not_prepared_again_but_another_image_is(
    model: HfModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []
    parted = ImagePrefix._parted

    def counted(self: ImagePrefix, *given: Any) -> Any:
        prepared.append(1)
        return parted(self, *given)

    monkeypatch.setattr(ImagePrefix, "_parted", counted)
    file = tmp_path / "image.png"
    file.write_bytes(picture(0).read())
    samples = [*questions(), Sample("file", QUESTIONS[0], Image(path=file))]
    first = answers(model, samples)
    assert len(prepared) == 5, "the file shows what one of the five images shows"
    answers(model, samples, dataclasses.replace(DECODING, eos_bias=1.0))
    assert [a.text for a in answers(model, samples)] == [a.text for a in first] and len(prepared) == 5
    file.write_bytes(picture(7).read())
    changed = answers(model, samples)
    assert len(prepared) == 6 and changed[-1].text != first[-1].text


def test_no_more_inputs_are_kept_than_there_is_room_for() -> None:
    kept, made = KeptInputs(limit=8 * 3 + 4 * 6), []

    def make(row: Row, _: PilImage.Image) -> Any:
        made.append(row.prompt)
        return torch.zeros(3, dtype=torch.long), {}, {"pixel_values": torch.zeros(6)}

    rows = [Row(0, "one", "a"), Row(1, "two", "a")]
    for row in (*rows, *rows):
        kept(row, PilImage.new("RGB", (2, 2)), make)
    assert made == ["one", "two", "two"]


def test_a_missing_or_broken_image_is_an_error_and_the_rest_go_on(model: HfModel, tmp_path: Path) -> None:
    good = Sample("good", QUESTIONS[0], picture(0))
    missing = Sample("missing", QUESTIONS[0], Image(path=tmp_path / "none.png"))
    broken = Sample("broken", QUESTIONS[1], Image(data=b"not an image"))
    first, second, third = answers(model, [missing, good, broken])
    assert first.text is None and first.error is not None and "none.png" in first.error
    assert second.error is None and second.text == answers(model, [good])[0].text
    assert third.text is None and third.error is not None and "cannot open image" in third.error


def test_eos_bias_shortens_or_prolongs_answers(model: HfModel) -> None:
    def tokens(bias: float) -> list[int]:
        return [a.tokens for a in answers(model, questions(), dataclasses.replace(DECODING, eos_bias=bias))]

    assert set(tokens(1e4)) == {1}
    assert set(tokens(-1e4)) == {DECODING.max_new_tokens}


def test_sampling_is_the_same_twice_and_leaves_the_global_generator_alone(model: HfModel) -> None:
    hot = dataclasses.replace(DECODING, temperature=1.0)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    once = [a.text for a in answers(model, questions(), hot)]
    assert torch.equal(before, torch.get_rng_state())
    assert once == [a.text for a in answers(model, questions(), hot)]
    assert once != [a.text for a in answers(model, questions())]


MEMORY = [torch.OutOfMemoryError("too many"), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ...")]


@pytest.mark.parametrize("error", MEMORY, ids=["torch's allocator", "cuBLAS"])
def test_running_out_of_gpu_memory_halves_the_batch(
    model: HfModel, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    """And lets go of what the failed batch had computed, before the next one needs the room."""
    expected = answers(model, questions())
    generate = model._layout.generate
    held: list[weakref.ref[torch.Tensor]] = []

    def limited(rows: list[Row], *rest: object) -> torch.Tensor:
        assert not [1 for tensor in held if tensor() is not None], "the last batch's tensors are still there"
        if len(rows) > 4:
            keys_and_values = torch.ones(4)
            held.append(weakref.ref(keys_and_values))
            raise error
        return generate(rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(model._layout, "generate", limited)
    assert [a.text for a in answers(model, questions())] == [a.text for a in expected]
    assert held and model.batch_size <= 4


def test_a_device_that_is_lost_ends_the_run_and_is_no_answer_s_fault(
    model: HfModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After such an error every kernel of the process fails: 64 samples would be stored as failed for nothing."""

    def asserted(rows: list[Row], *rest: object) -> torch.Tensor:
        raise RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(model._layout, "generate", asserted)
    given: list[object] = []
    with pytest.raises(HarnessError, match=r"the device failed \(CUDA error: device-side assert triggered\), and"):
        given.extend(model.generate(questions(), DECODING))
    assert not given


def test_an_image_the_processor_refuses_is_an_error_and_the_rest_go_on(
    model: HfModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some processors refuse extreme aspect ratios; such an image must not take its batch with it."""
    expected = [a.text for a in answers(model, questions())]
    out = io.BytesIO()
    PilImage.new("RGB", (900, 4)).save(out, "PNG")
    image_processor = model._prompts.processor.image_processor
    refused = type(image_processor).__call__

    def picky(self: Any, images: Any, **options: Any) -> Any:
        flat = [image for each in images for image in (each if isinstance(each, list) else [each])]
        if any(image.width > 200 * image.height for image in flat):
            raise ValueError("absolute aspect ratio must be smaller than 200, got 225")
        return refused(self, images, **options)

    monkeypatch.setattr(type(image_processor), "__call__", picky)
    found = answers(model, [*questions(), Sample("long", QUESTIONS[0], Image(data=out.getvalue()))])
    assert [a.text for a in found[:-1]] == expected and all(a.error is None for a in found[:-1])
    assert found[-1].text is None and "aspect ratio" in (found[-1].error or "")
    assert model.batch_size > 1, "nothing ran out of memory"


def test_a_model_that_can_answer_nothing_is_given_up(model: HfModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rows: list[Row], *rest: object) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(model._layout, "generate", broken)
    samples = [Sample(str(i), "?", picture(i)) for i in range(100)]
    given: list[int] = []
    with pytest.raises(HarnessError, match=r"64 samples in a row cannot be answered.*shapes do not match"):
        given.extend(position for position, _ in model.generate(samples, DECODING))
    assert len(given) == 64


def test_a_model_that_says_nothing_answers_with_nothing_and_one_that_never_stops_is_cut(model: HfModel) -> None:
    silent = answers(model, questions(), dataclasses.replace(DECODING, eos_bias=1e4))
    assert {(a.text, a.error) for a in silent} == {("", None)}
    endless = answers(model, questions(), dataclasses.replace(DECODING, eos_bias=-1e4, max_new_tokens=30))
    assert {a.tokens for a in endless} == {30} and all(a.text for a in endless)


def test_settings_are_checked_and_named(folder: Path, model: HfModel, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = load_model(f"hf:{folder}", device="cpu", settings={"device_map": "cpu", "batch_size": 3})
    assert isinstance(mapped, HfModel) and (mapped.key, mapped.batch_size) == (model.key, 3)
    with pytest.raises(UsageError, match="dtype"):
        load_model(f"hf:{folder}", settings={"dtyp": "bfloat16"})
    with pytest.raises(UsageError, match="4bit"):
        load_model(f"hf:{folder}", settings={"quantization": "3bit"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install bitsandbytes"):
        load_model(f"hf:{folder}", device="cpu", settings={"quantization": "4bit"})


def test_key_is_of_the_content_not_of_the_place(folder: Path, model: HfModel, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert load_model(str(copy), device="cpu").key == model.key
    assert load_model(str(copy), device="cpu", settings={"dtype": "bfloat16"}).key != model.key
    other = save_tiny_llava(tmp_path / "other", seed=1)
    assert load_model(f"hf:{other}", device="cpu").key != model.key


def test_an_adapter_changes_answers_and_key(folder: Path, model: HfModel, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    plain: Any = LlavaForConditionalGeneration.from_pretrained(folder)
    config = LoraConfig(r=2, target_modules=r".*language_model.*\.(q|v)_proj", init_lora_weights=False)
    get_peft_model(plain, config).save_pretrained(str(tmp_path / "adapter"))
    files = ModelSpec("hf", str(folder), (str(tmp_path / "adapter"),))
    adapted = load_model(f"hf:{folder}+{tmp_path / 'adapter'}", device="cpu")
    by_run = load_model("run:mine", device="cpu", runs=lambda name: files)
    assert isinstance(adapted, HfModel) and isinstance(by_run, HfModel)
    assert adapted.key == by_run.key != model.key
    assert (by_run.name, by_run.spec) == ("mine", "run:mine")
    found = [a.text for a in answers(adapted, questions())]
    assert found == [a.text for a in answers(by_run, questions())] != [a.text for a in answers(model, questions())]


def test_batches_keep_images_whole_and_cut_only_what_is_too_large() -> None:
    rows = [Row(i, "x", image) for i, image in enumerate("aabbbccccccc")]
    found = ["".join(row.image for row in batch) for batch in batches(rows, 5)]
    assert found == ["aabbb", "ccccc", "cc"]
