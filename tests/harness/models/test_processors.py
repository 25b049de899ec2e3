"""Processors and tokenisers as trainings leave them behind: what is asked is the whole prompt, and nothing after it."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoder
from harness.errors import UsageError
from harness.models.hf import HfModel
from harness.models.processors import FALLBACK
from harness.models.spec import load_model
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image, question
from tests.tiny import TEMPLATE, picture, tiny_llava

CUT = {"direction": "Right", "max_length": 6, "strategy": "LongestFirst", "stride": 0}
PADDED = {
    "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
    "pad_token": "<pad>",
}  # fmt: skip
END = {"SpecialToken": {"id": "</s>", "type_id": 0}}
BEGIN = {"SpecialToken": {"id": "<s>", "type_id": 0}}
TEXT: list[Any] = [{"Sequence": {"id": "A", "type_id": 0}}]
PAIR = [*TEXT, {"Sequence": {"id": "B", "type_id": 1}}]
SPECIAL = {name: {"id": name, "ids": [id_], "tokens": [name]} for name, id_ in (("<s>", 1), ("</s>", 2))}


def closing(*before: Any, end: bool) -> dict[str, Any]:
    single = [*before, *TEXT, *([END] if end else [])]
    return {"type": "TemplateProcessing", "single": single, "pair": PAIR, "special_tokens": SPECIAL}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("base"))


def edited(base: Path, folder: Path, file: str, **changes: Any) -> Path:
    shutil.copytree(base, folder, dirs_exist_ok=True)
    said = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
    return folder


def loaded(folder: Path) -> HfModel:
    model = load_model(f"hf:{folder}", device="cpu")
    assert isinstance(model, HfModel)
    return model


def trained(model: HfModel) -> list[int]:
    pair = Pair.about(picture(0), "0", "what do you see in the image ?", "a dog", "a cat")
    encoded = Encoder(model.prompts, 256)(0, pair)
    return [*encoded.prefix.tolist(), *encoded.chosen.tolist()]


def answered(model: HfModel) -> list[str | None]:
    samples = [Sample(str(i), f"what is {'the ' * i}dog ?", Image(data=picture(0))) for i in range(3)]
    found = dict(model.generate(samples, Decoding(max_new_tokens=6)))
    assert not any(answer.error for answer in found.values())
    return [found[i].text for i in range(3)]


def test_the_length_at_which_a_tokeniser_cut_its_data_cuts_no_prompt(base: Path, tmp_path: Path) -> None:
    """Saved by a training that cut at 6 tokens: the question and where the answer begins would be left out."""
    cut = loaded(edited(base, tmp_path / "m", "tokenizer.json", truncation=CUT, padding=PADDED))
    kept = loaded(
        edited(base, tmp_path / "n", "tokenizer_config.json", max_length=6, truncation_strategy="longest_first")
    )
    plain = loaded(base)
    assert trained(cut) == trained(kept) == trained(plain) and len(trained(plain)) > 12
    assert answered(cut) == answered(kept) == answered(plain)


@pytest.mark.parametrize("before", [(), (BEGIN,)], ids=["bare", "with a begin"])
def test_no_prompt_ends_with_the_end_that_a_tokeniser_adds(base: Path, tmp_path: Path, before: tuple[Any, ...]) -> None:
    """add_eos_token of a supervised training: answers would begin after an end."""
    plain = loaded(edited(base, tmp_path / "plain", "tokenizer.json", post_processor=closing(*before, end=False)))
    ended = loaded(edited(base, tmp_path / "ended", "tokenizer.json", post_processor=closing(*before, end=True)))
    assert trained(ended) == trained(plain) and trained(plain).count(2) == 1
    assert trained(plain).count(1) == len(before)
    assert answered(ended) == answered(plain)
    assert "no end after prompts" in ended.route and "no end" not in plain.route


def test_a_tokeniser_without_padding_pads_with_its_end(base: Path, tmp_path: Path) -> None:
    bare = loaded(edited(base, tmp_path / "m", "tokenizer_config.json", pad_token=None))
    assert (answered(bare), trained(bare)) == (answered(loaded(base)), trained(loaded(base)))
    with pytest.raises(UsageError, match=r"names no end of a text \(eos_token\).*tokenizer_config\.json"):
        loaded(edited(base, tmp_path / "n", "tokenizer_config.json", pad_token=None, eos_token=None))


@pytest.mark.parametrize(
    "written", [lambda t: t, lambda t: [{"name": "default", "template": t}, {"name": "x", "template": "y"}]]
)
def test_a_template_that_only_the_tokeniser_has_goes_before_the_familys(
    base: Path, tmp_path: Path, written: Callable[[str], Any]
) -> None:
    folder = edited(base, tmp_path / "m", "tokenizer_config.json", chat_template=written(TEMPLATE))
    (folder / "chat_template.jinja").unlink()
    own = loaded(folder)
    assert trained(own) == trained(loaded(base)) and FALLBACK not in own.route
    assert own.prompts.processor.chat_template == TEMPLATE


def test_a_tokenisers_template_that_holds_no_image_is_not_asked_with(base: Path, tmp_path: Path) -> None:
    of_texts = "{{ messages[0]['content'][-1]['text'] }}"
    folder = edited(base, tmp_path / "m", "tokenizer_config.json", chat_template=of_texts)
    (folder / "chat_template.jinja").unlink()
    asked = loaded(folder)
    assert FALLBACK in asked.route
    assert asked.prompts.text([question("what ?", Image())]) == "USER: <image>\nwhat ? ASSISTANT:"


def test_templates_of_which_none_is_the_default_are_named(base: Path, tmp_path: Path) -> None:
    several = [{"name": name, "template": TEMPLATE} for name in ("chat", "tools")]
    folder = edited(base, tmp_path / "m", "tokenizer_config.json", chat_template=several)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(
        UsageError, match=r"chat templates called chat, tools, and none called default.*model\.template"
    ):
        loaded(folder)


def test_two_templates_that_differ_are_said(base: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """The hub's file of an older version beside the one that a training wrote."""
    folder = Path(shutil.copytree(base, tmp_path / "m"))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": f"{TEMPLATE}\n"}))
    loaded(folder)
    assert not [each for each in recwarn if "two chat templates" in str(each.message)]
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE.replace("USER", "HUMAN")}))
    with pytest.warns(UserWarning, match=r"two chat templates that differ: it is asked with chat_template\.json"):
        assert loaded(folder).prompts.text([question("?", Image())]).startswith("HUMAN")
    with pytest.warns() as said:
        assert load_model(f"hf:{folder}", device="cpu", settings={"template": TEMPLATE}).key
        warnings.warn("any", stacklevel=1)
    assert not [each for each in said if "two chat templates" in str(each.message)]


@pytest.mark.parametrize(
    ("gone", "named"), [("processor_config.json", "preprocessor_config.json"), ("tokenizer.json", "tokenizer.json")]
)
def test_a_checkpoint_without_its_processor_names_the_files(base: Path, tmp_path: Path, gone: str, named: str) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "m"))
    (folder / gone).unlink()
    with pytest.raises(UsageError, match=f"{folder} lacks {named}, as checkpoints of a training often"):
        loaded(folder)
