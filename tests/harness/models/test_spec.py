"""Model names, and models whose answers stand in a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.errors import DataError, UsageError
from harness.models.sources import write_start
from harness.models.spec import ModelSpec, load_model, parse_spec
from harness.protocols.benchmark import Decoding, Sample


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "llava"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    return folder


def test_specs_are_read_into_kind_target_and_adapter(model_dir: Path) -> None:
    adapter = model_dir.parent / "adapter"
    assert parse_spec("hf:llava-hf/llava-1.5-7b-hf") == ModelSpec("hf", "llava-hf/llava-1.5-7b-hf")
    assert parse_spec(f"hf:{model_dir}+{adapter}") == ModelSpec("hf", str(model_dir), (str(adapter),))
    assert parse_spec(str(model_dir)) == ModelSpec("hf", str(model_dir))
    assert parse_spec(f"{model_dir}+{adapter}") == ModelSpec("hf", str(model_dir), (str(adapter),))
    assert parse_spec("run:dama-0") == ModelSpec("run", "dama-0")
    assert parse_spec("replay:a.jsonl") == ModelSpec("replay", "a.jsonl")
    assert parse_spec("openai:llava@http://h:1/v1") == ModelSpec("openai", "llava@http://h:1/v1")


def test_an_adapter_alone_stands_for_what_it_was_trained_on(model_dir: Path, tmp_path: Path) -> None:
    """Its base is read from its configuration, beside which further adapters stand; a path may be relative to it."""
    first, second = tmp_path / "adapter", tmp_path / "with+plus"
    second.mkdir()
    (first / "adapter_config.json").write_text('{"base_model_name_or_path": "../llava"}')
    (second / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{model_dir}"}}')
    assert parse_spec(f"hf:{first}") == ModelSpec("hf", str(model_dir), (str(first),))
    assert parse_spec(str(second)) == ModelSpec("hf", str(model_dir), (str(second),))
    write_start(second, str(model_dir), [str(first)])
    whole = ModelSpec("hf", str(model_dir), (str(first), str(second)))
    assert parse_spec(f"hf:{second}") == parse_spec(f"{model_dir}+{first}+{second}") == parse_spec(str(whole)) == whole
    with pytest.raises(UsageError, match=f"was trained on top of {first}; without them it is another model"):
        parse_spec(f"{model_dir}+{second}")
    (first / "adapter_config.json").write_text('{"base_model_name_or_path": "/moved/llava"}')
    with pytest.raises(UsageError, match=f"trained on /moved/llava, which is not there.*hf:BASE.{first}"):
        parse_spec(f"hf:{first}")


def test_what_lies_in_a_folder_of_a_training_or_of_the_hubs_cache_is_named(model_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(model_dir, tmp_path / "models--me--llava/snapshots/abc")
    shutil.copytree(tmp_path / "adapter", tmp_path / "out/checkpoint-5")
    for spec, near in (
        (f"hf:{tmp_path}/models--me--llava", "models--me--llava/snapshots/abc"),
        (f"hf:{tmp_path}/out", "out/checkpoint-5"),
        (f"hf:{model_dir}+{tmp_path}/out", "out/checkpoint-5"),
    ):
        with pytest.raises(UsageError, match=rf"Did you mean hf:{tmp_path / near}\?"):
            parse_spec(spec)


def test_an_adapter_of_another_tool_whose_base_is_an_adapter_is_put_on_both(model_dir: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "sft", tmp_path / "dpo"
    for folder, base in ((first, model_dir), (second, first)):
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    assert parse_spec(f"{model_dir}+{first}+{second}").adapters == (str(first), str(second))
    with pytest.raises(UsageError, match=f"{first} is an adapter, named as the base of another one.*hf:MODEL.{first}"):
        parse_spec(f"hf:{second}")
    with pytest.raises(UsageError, match=f"was trained on top of {first}; .*Give hf:MODEL.{first}.{second}"):
        parse_spec(f"{model_dir}+{second}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hff:x", "Did you mean 'hf'"),
        ("hf:", "after hf:"),
        ("llava", "no such directory"),
        ("openai:llava", "openai:NAME@BASE_URL"),
        ("hf:/no/such/model", "no such directory"),
        ("hf:nope", "no such directory, and not a hub id (ORGANISATION/NAME)"),
        ("hf:{root}", "Did you mean hf:{root}/llava"),
        ("hf:{root}/adapter", "name its base model too"),
        ("hf:{root}/llava+{root}/llava", "no adapter_config.json"),
    ],
)
def test_wrong_specs_say_what_to_do(model_dir: Path, spec: str, message: str) -> None:
    root = str(model_dir.parent)
    with pytest.raises(UsageError) as error:
        parse_spec(spec.replace("{root}", root))
    assert message.replace("{root}", root) in str(error.value)


def test_a_run_needs_a_store_to_be_looked_up_in() -> None:
    with pytest.raises(UsageError, match="no results file"):
        load_model("run:mine")


def test_replayed_answers_match_ids_as_strings_and_name_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"id": 7, "response": "Yes"}\n\n{"id": "b", "response": "", "extra": 1}\n')
    model = load_model(f"replay:{path}")
    found = dict(model.generate([Sample("b", ""), Sample("c", ""), Sample("7", "")], Decoding()))
    assert (found[2].text, found[0].text, found[1].text) == ("Yes", "", None)
    assert found[1].error == f"no answer in {path}"
    assert found[0].error is None


def test_recorded_answers_are_not_passed_off_as_another_decodings(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "response": "A dog."}\n')
    with pytest.raises(UsageError, match="leave --eos-bias out"):
        list(load_model(f"replay:{tmp_path / 'a.jsonl'}").generate([Sample("1", "?")], Decoding(eos_bias=0.5)))


def test_replay_key_follows_the_answers_and_not_the_file_name(tmp_path: Path) -> None:
    for name, text in (("a", "Yes"), ("b", "Yes"), ("c", "No")):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"id": 1, "response": "{text}"}}\n')
    a, b, c = (load_model(f"replay:{tmp_path / name}.jsonl").key for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1, "response": "again"}', "answered before"),
        ('{"id": 2', "not valid JSON"),
        ('{"id": 2}', "expected"),
        ('{"id": 2, "response": null}', "null, not a text"),
        ('{"id": 1.5, "response": "x"}', "whole number"),
        ("[1]", "expected"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "1", "response": "Yes"}\n' + line + "\n")
    with pytest.raises(DataError, match=message) as error:
        load_model(f"replay:{path}")
    assert f"{path} line 2" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl"):
        load_model(f"replay:{tmp_path / 'none.jsonl'}")
