"""Files of a model that hold something else than they should: one error that names the file, never a default."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.errors import DataError, UsageError
from harness.models.loading import load
from harness.models.model_files import INDICES, OBJECTS, TEMPLATES, read_start, read_template, require_readable
from harness.models.settings import PromptSettings, trained_settings
from harness.models.sources import composition, may_be_hub_id
from harness.models.spec import load_model
from tests.tiny import tiny_adapter, tiny_llava

NO_OBJECT = {"a list": "[]", "null": "null", "a NUL": '{"a": 1}\0', "deep": "[" * 100_000, "half": '{"a": ', "": ""}
JSON_FILES = (*OBJECTS, *INDICES, "chat_template.json", "adapter_config.json", "start.json", "prompt_settings.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base/ and adapter/ of it."""
    root = tmp_path_factory.mktemp("files")
    tiny_llava(root / "base")
    tiny_adapter(root / "base", root / "adapter")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    for name in ("base", "adapter"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("content", NO_OBJECT.values(), ids=NO_OBJECT)
def test_a_file_of_settings_that_is_no_object_is_named(root: Path, content: str) -> None:
    for name in JSON_FILES:
        of_adapter = name in ("adapter_config.json", "start.json")
        file = root / ("adapter" if of_adapter else "base") / name
        before = file.read_bytes() if file.is_file() else None
        file.write_text(content)
        with pytest.raises(DataError, match=f"^{file}: "):
            composition(f"{root / 'base'}+{root / 'adapter'}")
            trained_settings(str(root / "base"))
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)
    assert composition(f"{root / 'base'}+{root / 'adapter'}")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"weight_map": {}}, "expected the file of every weight"),
        ({"weight_map": {"a": 3}}, "expected the file of every weight"),
        ({"weight_map": {"a": "model-1.safetensors"}}, r"1 of its 1 files are not there \(model-1.safetensors\)"),
        ({"weight_map": {"a": "../model.safetensors"}}, "names '../model.safetensors', which is not beside it"),
    ],
)
def test_an_index_names_files_that_lie_beside_it(root: Path, said: Any, message: str) -> None:
    (root / "base/model.safetensors.index.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match=f"base/model.safetensors.index.json: {message}"):
        require_readable(root / "base")


def pointer(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n")


def broken_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("../../blobs/4d7a")


def emptied(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        (pointer, "a pointer of Git LFS and not the file itself. Fetch it, in its folder: git lfs pull"),
        (broken_link, "a link to a file that is not there"),
        (emptied, "is empty: "),
    ],
)
@pytest.mark.parametrize(
    "name", ["base/model.safetensors", "base/tokenizer.json", "base/config.json", "adapter/adapter_model.safetensors"]
)
def test_what_stands_in_the_place_of_a_file_is_named(
    root: Path, name: str, instead: Callable[[Path], None], message: str
) -> None:
    instead(root / name)
    if (name, instead) == ("base/config.json", broken_link):
        message = "no model directory"
    with pytest.raises(UsageError, match=message) as refused:
        composition(f"{root / 'base'}+{root / 'adapter'}")
    assert str(root / name.partition("/")[0]) in str(refused.value)


def test_weights_that_are_not_read_may_be_pointers(root: Path) -> None:
    """As `git lfs pull --include=*.safetensors` leaves a clone."""
    pointer(root / "base/pytorch_model.bin")
    pointer(root / "base/consolidated.safetensors")
    require_readable(root / "base")


def test_shards_beside_a_file_of_another_model_are_refused(root: Path) -> None:
    index = {"weight_map": {"a": "model-1-of-1.safetensors"}}
    shutil.copy(root / "base/model.safetensors", root / "base/model-1-of-1.safetensors")
    (root / "base/model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"base holds two models: model\.safetensors, and others in 1 files by"):
        require_readable(root / "base")
    (root / "base/model.safetensors").unlink()
    require_readable(root / "base")


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_quantised_weights_of_which_the_configuration_says_nothing_are_refused(root: Path, kind: torch.dtype) -> None:
    """They would be loaded as numbers without their scales: another model, with exit code 0."""
    file = root / "base/model.safetensors"
    state = {name: (t * 10).to(kind) if "mlp" in name and t.dim() == 2 else t for name, t in load_file(file).items()}
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"of its 64 weights are quantised to 8 bits .*config\.json does not say how"):
        require_readable(root / "base")
    said = json.loads((root / "base/config.json").read_text())
    (root / "base/config.json").write_text(json.dumps(said | {"quantization_config": {"quant_method": "x"}}))
    require_readable(root / "base")


def test_weights_that_zero3_left_empty_are_refused_with_the_remedy(root: Path) -> None:
    file = root / "adapter/adapter_model.safetensors"
    save_file({name: tensor[:0] for name, tensor in load_file(file).items()}, file)
    with pytest.raises(DataError, match=r"28 of its 28 weights are empty, as DeepSpeed's ZeRO-3.*zero_to_fp32\.py"):
        composition(f"{root / 'base'}+{root / 'adapter'}")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("base/config.json", {"text_config": 3}),
        ("base/config.json", {"text_config": {"hidden_size": "x"}}),
        ("base/config.json", {"model_type": ["llava"]}),
        ("base/config.json", {"vision_config": {"hidden_size": 0, "num_attention_heads": 0}}),
        ("base/tokenizer_config.json", {"added_tokens_decoder": 3}),
        ("base/generation_config.json", {"eos_token_id": "x"}),
        ("base/generation_config.json", {"eos_token_id": [2, None]}),
        ("base/generation_config.json", {"eos_token_id": -1}),
        ("base/generation_config.json", {"repetition_penalty": "1.2"}),
        ("base/generation_config.json", {"min_length": math.nan}),
        ("adapter/adapter_config.json", {"r": "x"}),
        ("adapter/adapter_config.json", {"r": 0}),
        ("adapter/adapter_config.json", {"target_modules": 7}),
        ("adapter/adapter_config.json", {"target_modules": ["nothing"]}),
        ("adapter/adapter_config.json", {"peft_type": "MADE_UP"}),
        ("adapter/adapter_config.json", {"lora_alpha": None}),
    ],
)
def test_values_of_another_kind_inside_are_one_message(root: Path, file: str, said: dict[str, Any]) -> None:
    settings = json.loads((root / file).read_text())
    (root / file).write_text(json.dumps(settings | said))
    with pytest.raises(UsageError) as refused:
        load_model(f"hf:{root / 'base'}+{root / 'adapter'}", device="cpu")
    assert str(root / file.partition("/")[0]) in str(refused.value) and "\n" not in str(refused.value)


def test_what_an_adapter_was_trained_on_is_text(root: Path) -> None:
    for said in (
        {"base": 3},
        {"base": "x", "adapters": "y"},
        {"base": "x", "adapters": [1]},
        {"base": "x", "weights": {}},
    ):
        (root / "adapter/start.json").write_text(json.dumps(said))
        with pytest.raises(DataError, match=r"adapter/start\.json: expected"):
            read_start(root / "adapter")
    config = json.loads((root / "adapter/adapter_config.json").read_text())
    (root / "adapter/adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": ["x"]}))
    with pytest.raises(DataError, match=r"adapter_config\.json: expected a text under 'base_model_name_or_path'"):
        composition(str(root / "adapter"))


@pytest.mark.parametrize(
    "said", [{"template": 1.5}, {"system": ["x"]}, {"thinking": "maybe"}, {"max_pixels": "many"}, {"unknown": 1}]
)
def test_how_a_model_was_asked_in_training_has_the_types_of_its_settings(root: Path, said: dict[str, Any]) -> None:
    (root / "base/prompt_settings.json").write_text(json.dumps({"system": "be brief"}))
    assert trained_settings(str(root / "base")) == PromptSettings(system="be brief")
    (root / "base/prompt_settings.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match=r"base/prompt_settings.json.*Restore the file, or remove it"):
        trained_settings(str(root / "base"))


def test_a_template_is_read_alike_wherever_it_stands(tmp_path: Path) -> None:
    for name, content in {"t.jinja": "{{ x }}", "t.json": json.dumps({"chat_template": "{{ x }}"})}.items():
        (tmp_path / name).write_text(content)
        assert read_template(tmp_path / name) == PromptSettings(template=str(tmp_path / name)).template == "{{ x }}"
    half = rb'{"chat_template": "{{ strftime_now(\"%d\ud800\") }}"}'
    spoilt = {"t.jinja": b"{{ \xff }}", "u.jinja": b"{{ \0 }}", "t.json": b'{"chat_template": [1]}', "u.json": half}
    for name, bad in spoilt.items():
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(DataError, match=f"^{tmp_path / name}: "):
            read_template(tmp_path / name)
        with pytest.raises(UsageError, match="neither a chat template"):
            PromptSettings(template=str(tmp_path / name))
    assert {file.rpartition(".")[2] for file in TEMPLATES} == {"jinja", "json"}
    (tmp_path / "tokenizer_config.json").write_bytes(half)
    with pytest.raises(DataError, match=r"tokenizer_config.json: its chat template is no text: it is no valid Unicode"):
        require_readable(tmp_path)


@pytest.mark.parametrize(
    "name", ["../base/\0", "a\nb", "..", "a/..", "\x1b[31m/x", "~nobody/x", "a" * 5000, "é/x", "a b/c"]
)
def test_a_name_that_is_no_model_is_refused_in_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        load_model(f"hf:{name}", device="cpu")


def test_a_file_in_the_place_of_a_directory_is_said(root: Path) -> None:
    file = root / "base/config.json"
    for target in (f"{file}", f"{root / 'base'}+{file}"):
        with pytest.raises(UsageError, match=r"is a file; give the directory that holds it\.|is no adapter directory"):
            composition(target)
    assert may_be_hub_id("me/base") and load(str(root / "base"), device=torch.device("cpu"), named="x")
