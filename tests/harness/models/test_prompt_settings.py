"""How a model is asked is a setting of align and bench alike, part of the key, and saved with what is trained."""

from __future__ import annotations

import copy
import dataclasses
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PilImage

from aligners.pairs.data import Pair, PairSet
from aligners.pairs.encodable import encodable
from aligners.pairs.encoding import Encoder
from benchmarks.common.llava_protocol import VICUNA_V1
from benchmarks.pope import Pope
from harness.errors import DataError, UsageError
from harness.models.decoding import also_shaped_by, generate_options
from harness.models.hf import HfModel
from harness.models.processors import bound_pixels, complete, load_prompts
from harness.models.prompts import Prompts, squared
from harness.models.settings import LoadSettings, PromptSettings, save_settings
from harness.models.spec import load_model
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image, question
from tests.tiny import tiny_llava
from tests.tiny_families import shared_family
from workflows.settings import align_setting

DECODING = Decoding(max_new_tokens=6)
ASKED = (question("what is it ?", Image()),)


def wide(width: int = 32, height: int = 16) -> bytes:
    """Red on the left, blue on the right: a centre square sees less of both."""
    image = PilImage.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("settings") / "llava", template=None)


def loaded(folder: Path, **settings: Any) -> HfModel:
    model = load_model(f"hf:{folder}", device="cpu", settings=settings)
    assert isinstance(model, HfModel)
    return model


def answer(model: HfModel, decoding: Decoding = DECODING, prompt: str = "what is it ?") -> str | None:
    ((_, said),) = model.generate([Sample("1", prompt, Image(data=wide()))], decoding)
    return said.text if said.error is None else said.error


def test_a_setting_changes_prompt_key_and_route_and_its_default_does_not(folder: Path) -> None:
    plain = loaded(folder)
    assert loaded(folder, thinking="auto", pad_to_square="auto", template="").key == plain.key
    other = loaded(folder, system="a red dog .")
    assert other.key != plain.key and "system=a red dog ." in other.route
    assert other._prompts.text(ASKED) == "a red dog . " + plain._prompts.text(ASKED)


def test_a_template_is_given_as_a_file_or_as_itself(folder: Path, tmp_path: Path) -> None:
    part = "{{ '<image>' if c.type == 'image' else c.text }}"
    text = "{% for m in messages %}{% for c in m.content %}" + part + "{% endfor %}{% endfor %} :"
    file = tmp_path / "chat_template.jinja"
    file.write_text(text)
    assert LoadSettings(template=str(file)) == LoadSettings(template=text)
    assert loaded(folder, template=str(file))._prompts.text(ASKED) == "<image>what is it ? :"
    with pytest.raises(UsageError, match=r"model\.template=nowhere\.jinja: neither"):
        LoadSettings(template="nowhere.jinja")


def test_a_model_is_asked_as_it_was_trained_unless_the_user_says_otherwise(folder: Path, tmp_path: Path) -> None:
    trained = Path(shutil.copytree(folder, tmp_path / "trained"))
    save_settings(PromptSettings(system="a cat .", pad_to_square="on"), trained)
    model = loaded(trained)
    assert model._prompts.settings == PromptSettings(system="a cat .", pad_to_square="on")
    assert model.key == loaded(folder, system="a cat .", pad_to_square="on").key != loaded(folder).key
    with pytest.warns(UserWarning, match="trained is not asked as it was trained, .*: system not as trained"):
        other = loaded(trained, system="")
    assert other._prompts.text(ASKED) == loaded(folder)._prompts.text(ASKED)
    assert "system not as trained" in other.route
    save_settings(PromptSettings(), trained)
    assert loaded(trained).key == loaded(folder).key, "the file is gone where nothing is set"


def test_the_template_that_was_saved_with_an_adapter_goes_before_the_bases(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("{{ '<image>' }}{{ messages[-1].content[-1].text }} !")
    prompts = load_prompts(str(folder), loaded(folder)._model.config, adapter=str(tmp_path))
    assert prompts.text(ASKED) == "<image>what is it ? !" and prompts.note == ""


def test_align_takes_the_same_settings_and_refuses_those_of_answering() -> None:
    assert align_setting("model.system", ("model",)) == "train.prompt.system"
    assert align_setting("model.attention", ("model",)) == "train.attention"
    assert align_setting("model", ("model",)) == "train.model"
    with pytest.raises(UsageError, match=r"model\.batch_size"):
        align_setting("model.batch_size", ("model",))


def test_an_image_is_padded_to_a_square_alike_for_training_and_answering(folder: Path) -> None:
    """LLaVA's expand2square: the mean colour of CLIP's processor, (122, 116, 104), above and below."""
    model = loaded(folder, pad_to_square="on")
    image = PilImage.open(io.BytesIO(wide()))
    padded = squared(image, model._prompts.processor)
    assert (
        padded.size == (32, 32)
        and padded.getpixel((0, 7)) == (122, 116, 104)
        and padded.getpixel((0, 8)) == (255, 0, 0)
    )
    wanted = model._prompts.processor.image_processor([padded], return_tensors="pt")["pixel_values"]
    pair = Pair.about(wide(), "0", "what is it ?", "a dog", "a cat")
    assert torch.equal(Encoder(model._prompts, 256)(0, pair).vision["pixel_values"], wanted)
    seen: list[torch.Tensor] = []
    tower = model._model.model.vision_tower
    tower.register_forward_pre_hook(lambda _, args, kwargs: seen.append([*args, *kwargs.values()][0]), with_kwargs=True)
    answer(model)
    assert torch.equal(seen[0], wanted)


def test_the_official_protocol_pads_and_speaks_as_llavas_scripts_do_and_is_for_llava_alone(folder: Path) -> None:
    decoding = Pope(protocol="official").decoding
    assert (decoding.system, decoding.pad_to_square) == (VICUNA_V1, True) and Pope().decoding.system == ""
    prompts = loaded(folder)._prompts.asking(decoding.system, square=decoding.pad_to_square)
    assert prompts.text(ASKED) == f"{VICUNA_V1} USER: <image>\nwhat is it ? ASSISTANT:"
    assert prompts.shown(PilImage.new("RGB", (8, 4))).size == (8, 8)
    _, qwen = shared_family("qwen2_vl")
    with pytest.raises(UsageError, match=r"protocol=official.*Qwen2VLImageProcessor does not"):
        qwen.asking(decoding.system, square=True)
    with pytest.raises(UsageError, match=r"--model hf:.*protocol=official.*model\.system='a dog \.' is another"):
        answer(loaded(folder, system="a dog ."), decoding)
    trained = dataclasses.replace(loaded(folder)._prompts, settings=PromptSettings(system="a cat ."))
    with pytest.warns(UserWarning, match="another system message: not as trained"):
        assert VICUNA_V1 in trained.asking(decoding.system).text(ASKED)
    with pytest.raises(UsageError, match="pad_to_square=off"):
        loaded(folder, pad_to_square="off")._prompts.asking(square=True)


def test_pixels_are_bounded_where_the_processor_sizes_by_them_and_refused_by_name_elsewhere(folder: Path) -> None:
    _, prompts = shared_family("qwen2_vl")
    processor = copy.deepcopy(prompts.processor)
    picture = [[PilImage.new("RGB", (64, 64))]]
    before = Prompts(processor).inputs([Prompts(processor).text(ASKED)], picture)["input_ids"].shape[1]
    bound_pixels(processor, PromptSettings(max_pixels=256))
    after = Prompts(processor).inputs([Prompts(processor).text(ASKED)], picture)["input_ids"].shape[1]
    assert before - after == (1024 - 256) // 64, "one token has 8x8 pixels"
    with pytest.raises(UsageError, match=r"model\.max_pixels: CLIPImageProcessor"):
        loaded(folder, max_pixels=1000)
    with pytest.raises(UsageError, match="is more than"):
        LoadSettings(min_pixels=9, max_pixels=8)


def test_the_repetition_penalty_of_a_checkpoint_is_recorded_and_can_be_set(folder: Path) -> None:
    model = loaded(folder)
    greedy = answer(model)
    assert model.decodes(DECODING) == DECODING
    model._model.generation_config.repetition_penalty = 5.0
    assert model.decodes(DECODING).repetition_penalty == 5.0
    penalised = answer(model)
    assert penalised != greedy
    assert answer(model, Decoding(max_new_tokens=6, repetition_penalty=1.0)) == greedy
    assert model.decodes(Decoding(repetition_penalty=1.0)) == Decoding(), "none is recorded as none"
    model._model.generation_config.repetition_penalty = None
    assert answer(model, Decoding(max_new_tokens=6, repetition_penalty=5.0)) == penalised


def test_what_else_a_checkpoint_shapes_answers_by_is_in_the_key(folder: Path) -> None:
    model = loaded(folder)
    named: dict[str, Any] = {"name": "", "spec": "", "identity": "", "layout": model._layout}
    made = lambda: type(model)(model._model, model._prompts, **named).key
    plain, config = made(), model._model.generation_config
    config.length_penalty, config.top_k, config.top_p = 1.0, 1, 0.001
    assert made() == plain, "none of them does anything"
    config.length_penalty, config.max_time = 2.0, 5.0
    assert made() != plain and also_shaped_by(config) == "length_penalty=2.0, max_time=5.0"
    sampled = generate_options(Decoding(temperature=1.0), config, [2], 0).config
    assert (sampled.top_k, sampled.top_p) == (50, 1.0)


def test_an_old_processor_gets_its_patch_size_from_the_configuration(folder: Path) -> None:
    model = loaded(folder)
    processor = copy.deepcopy(model._prompts.processor)
    processor.patch_size = processor.vision_feature_select_strategy = None
    complete(processor, model._model.config)
    pair = Pair.about(wide(), "0", "what is it ?", "a dog", "a cat")
    wanted, found = (Encoder(Prompts(p), 256)(0, pair).prefix for p in (model._prompts.processor, processor))
    assert torch.equal(wanted, found)


def test_a_question_that_cannot_be_put_is_an_error_of_its_sample(folder: Path) -> None:
    model = loaded(folder)
    assert "cannot be put to the model" in str(answer(model, prompt="<image> and <image> ?"))
    assert "control token" in str(answer(model, prompt="a dog </s> ?"))
    assert answer(model, prompt="what is <image> ?") is not None


def test_pairs_that_the_processor_or_the_template_refuses_are_named_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    _, prompts = shared_family("qwen2_vl")
    good = Pair.about(wide(), "good", "what ?", "a dog", "a cat")
    long = Pair.about(wide(4000, 10), "long", "what ?", "a dog", "a cat")
    ends = Pair.about(wide(), "ends", "what ?", "a dog </s>", "a cat")
    pairs = PairSet([good, long, ends], "", {"source": "s", "pairs": 3, "dropped": {}})
    encoder = Encoder(prompts, 2048)
    with pytest.raises(DataError, match=r"pair long: .*aspect ratio.*skip_bad_rows"):
        encodable(pairs, encoder)
    kept = encodable(pairs, encoder, skip_bad=True)
    assert [pair.id for pair in kept.pairs] == ["good"] and kept.content_hash
    assert sorted(row for each in kept.report["dropped"].values() for row in each["first"]) == ["ends", "long"]


def test_flash_attention_in_float32_is_refused() -> None:
    with pytest.raises(UsageError, match="half precision"):
        load_model("hf:nobody/nothing", settings={"attention": "flash_attention_2", "dtype": "float32"})
