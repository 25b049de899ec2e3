"""Loading a model and its processor: the same weights whichever side asks, errors that say what to give."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from aligners.training.base_model import base_prompts, load_base
from aligners.training.config import AlignConfig
from aligners.training.model_configs import model_config
from harness.errors import HarnessError, Transient, UsageError
from harness.models.hf import HfModel
from harness.models.loading import device_named, load
from harness.models.prompts import Prompts
from harness.models.spec import load_model
from harness.models.weights import tensors_hash
from harness.protocols.conversation import Image, question
from tests.tiny import tiny_adapter, tiny_llava

CPU = torch.device("cpu")
NOBODY = AlignConfig(model="nobody/nothing", data="x")


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapter(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(model_dir, tmp_path_factory.mktemp("adapter"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_align_and_bench_load_the_same_weights(tmp_path: Path, dtype: str) -> None:
    folder = tiny_llava(tmp_path / "model")
    lora = 4 if dtype == "bfloat16" else 0  # full fine-tuning keeps float32 weights
    trained = load_base(AlignConfig(model=str(folder), data="", lora_rank=lora, dtype=dtype), CPU).model  # type: ignore[arg-type]
    asked = load_model(f"hf:{folder}", device="cpu", settings={"dtype": dtype})
    assert isinstance(asked, HfModel)
    assert tensors_hash(trained) == tensors_hash(asked._model)
    assert str(trained.dtype) == f"torch.{dtype}"


def test_loading_reports_from_nothing_to_all_weights(tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    folder = tiny_llava(tmp_path / "model")
    load(str(folder), device=CPU, named="model", progress=lambda *report: reports.append(report))
    assert reports[0] == ("model weights", 0, 1) and reports[-1] == ("model weights", 1, 1)
    steps = [done for _, done, total in reports if total > 1]
    assert len(steps) > 20 and steps == sorted(steps)


def test_what_cannot_be_loaded_is_named_as_the_user_named_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(
        UsageError, match=r"(?s)--model hf:x: transformers cannot load .* Give the directory of an image-text"
    ):
        load(str(tmp_path), device=CPU, named="--model hf:x")
    with pytest.raises(UsageError, match="dtype 'float8': choose one of auto, float32"):
        load(str(tmp_path), device=CPU, named="x", dtype="float8")


def test_a_hub_that_does_not_answer_may_do_so_later_and_one_that_is_not_to_be_asked_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the tries of the hub's library
    for offline in (False, True):
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
        for ask in (lambda: load("nobody/nothing", device=CPU, named="x"), lambda: base_prompts(NOBODY)):
            with pytest.raises(UsageError) as refused:
                ask()
            assert isinstance(refused.value, Transient) != offline, str(refused.value)


def test_a_name_in_a_configuration_that_transformers_does_not_know_is_said(model_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_dir, tmp_path / "model"))
    text = json.loads((folder / "config.json").read_text())["text_config"] | {"rope_parameters": {"rope_type": "odd"}}
    with pytest.raises(UsageError, match="it knows nothing called 'odd'"):
        load(str(with_config(folder, text_config=text)), device=CPU, named="x")


def test_devices_are_named_or_refused() -> None:
    assert device_named("cpu") == CPU
    with pytest.raises(UsageError, match="--device gpu: expected auto, cpu, cuda"):
        device_named("gpu")
    if not torch.cuda.is_available():
        assert device_named("auto") == CPU
        with pytest.raises(UsageError, match="sees no GPU here"):
            device_named("cuda:1")


def rewritten(source: Path, folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Path:
    """A copy of a model or an adapter with other weights in its file."""
    shutil.copytree(source, folder)
    file = next(folder.glob("*.safetensors"))
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {n: t for n, t in w.items() if "projector" not in n}, r"4 weights .*projector.* missing, so that"),
        (lambda w: {**w, "model.extra.weight": torch.zeros(2)}, r"1 weight \(model.extra.weight\) unknown to this"),
        (lambda w: {n: t[:-1] if "lm_head" in n else t for n, t in w.items()}, r"\(lm_head.weight\) of another shape"),
        (lambda w: {n: t for n, t in w.items() if "lm_head" not in n}, r"1 weight \(lm_head.weight\) missing"),
        (
            lambda w: {n: t / 0 if "lm_head" in n else t for n, t in w.items()},
            r"\(lm_head.weight\) holds .*not finite",
        ),
        (lambda w: {n: t * 0 if "lm_head" in n else t for n, t in w.items()}, "of its output head are 0, so that"),
        (
            lambda w: {n: t * 0 + 1 if "embed_tok" in n else t for n, t in w.items()},
            "of its input embeddings are 1,",
        ),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused_for_align_and_bench(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str, model_dir: Path, tmp_path: Path
) -> None:
    folder = rewritten(model_dir, tmp_path / "model", change)
    with pytest.raises(UsageError, match=message):
        load_model(f"hf:{folder}", device="cpu")
    with pytest.raises(UsageError, match=message):
        load_base(AlignConfig(model=str(folder), data=""), CPU)


def with_config(folder: Path, file: str = "config.json", **changes: Any) -> Path:
    """``folder`` with other settings in a file of JSON."""
    said = json.loads((folder / file).read_text()) if (folder / file).is_file() else {}
    (folder / file).write_text(json.dumps(said | changes))
    return folder


def test_weights_that_the_configuration_ties_may_stand_in_the_file_once(model_dir: Path, tmp_path: Path) -> None:
    """The head from the embedding or the other way round; with neither in the file both would be random."""
    for left_out in ("lm_head", "embed_tokens"):
        folder = rewritten(
            model_dir,
            tmp_path / left_out,
            lambda w, name=left_out: {n: t for n, t in w.items() if name not in n},  # type: ignore[misc]
        )
        model = load(str(with_config(folder, tie_word_embeddings=True)), device=CPU, named="x").model
        assert model.lm_head.weight is model.get_input_embeddings().weight
    neither = rewritten(
        model_dir,
        tmp_path / "neither",
        lambda w: {n: t for n, t in w.items() if "lm_head" not in n and "embed_tokens" not in n},
    )
    with pytest.raises(UsageError, match=r"2 weights \(lm_head.weight, .*embed_tokens.weight\) missing"):
        load(str(with_config(neither, tie_word_embeddings=True)), device=CPU, named="x")


def test_tied_weights_of_which_the_file_holds_two_are_used_as_they_are_and_said(
    model_dir: Path, tmp_path: Path
) -> None:
    folder = with_config(rewritten(model_dir, tmp_path / "model", dict), tie_word_embeddings=True)
    with pytest.warns(UserWarning, match=r"ties weights .* different ones: 1 weight \(lm_head.weight\)"):
        both = load(str(folder), device=CPU, named="x").model
    assert tensors_hash(both) == tensors_hash(load(str(model_dir), device=CPU, named="x").model)


@pytest.mark.parametrize("tokens", [-10, 2000], ids=["larger", "smaller"])
def test_a_tokeniser_of_another_model_is_refused(tokens: int, model_dir: Path, tmp_path: Path) -> None:
    def resized(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        words = {n: t for n, t in weights.items() if "embed_tokens" in n or "lm_head" in n}
        return weights | {n: torch.cat([t, torch.rand(2000, t.shape[1])])[: len(t) + tokens] for n, t in words.items()}

    folder = rewritten(model_dir, tmp_path / "model", resized)
    text = json.loads((folder / "config.json").read_text())["text_config"]
    with_config(folder, text_config=text | {"vocab_size": text["vocab_size"] + tokens})
    with pytest.raises(UsageError, match=r"has embeddings of \d+ tokens, and its tokeniser has 45: the tokeniser"):
        load(str(folder), device=CPU, named="x")


@pytest.mark.parametrize("fault", ["no shard", "an empty shard", "half a shard", "no index"])
def test_a_checkpoint_in_shards_that_are_not_all_there_is_refused(fault: str, model_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_dir, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: weights[name] for name in held}, folder / file, metadata={"format": "pt"})
    index = {name: file for file, held in parts.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    assert load(str(folder), device=CPU, named="x").model
    last = folder / "model-2-of-2.safetensors"
    if fault == "no shard":
        last.unlink()
    elif fault == "an empty shard":
        save_file({}, last, metadata={"format": "pt"})
    elif fault == "half a shard":
        last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    else:
        (folder / "model.safetensors.index.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match=f"{folder}"):
        load(str(folder), device=CPU, named="x")


def test_a_template_that_adds_a_turn_to_a_string_holds_the_image_or_is_refused_in_a_line(tmp_path: Path) -> None:
    """As exports write it: asked with the image in the text; what it cannot hold is an answer to train on."""
    only_asks = (
        "{% for m in messages %}{% if m['role'] == 'user' %}{{ 'USER : ' + m['content'] + ' ASSISTANT :' }}"
        "{% endif %}{% endfor %}"
    )
    folder = tiny_llava(tmp_path / "model", template=only_asks)
    asked = load_model(f"hf:{folder}", device="cpu")
    assert isinstance(asked, HfModel)
    assert asked.prompts.text([question("what is it ?", Image())]) == "USER : <image>\nwhat is it ? ASSISTANT :"
    with pytest.raises(UsageError, match=f"^model {folder}: the chat template leaves the answer out") as refused:
        base_prompts(AlignConfig(model=str(folder), data=""))
    assert "\n" not in str(refused.value)


def test_a_file_of_weights_that_cannot_be_read_is_one_line(model_dir: Path, tmp_path: Path) -> None:
    folder = rewritten(model_dir, tmp_path / "model", dict)
    file = next(folder.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UsageError, match="transformers cannot load"):
        load_model(f"hf:{folder}", device="cpu")
    file.unlink()
    torch.save(torch.nn.Linear(2, 2), folder / "pytorch_model.bin")
    with pytest.raises(
        UsageError, match=r"\(a \.bin file of weights is damaged, or holds more than weights; save them"
    ):
        load_model(f"hf:{folder}", device="cpu")


def test_an_adapter_of_llavas_own_training_names_its_import(model_dir: Path, adapter: Path, tmp_path: Path) -> None:
    folder = rewritten(adapter, tmp_path / "adapter", dict)
    (folder / "non_lora_trainables.bin").write_bytes(b"")
    with pytest.raises(UsageError, match=r"projector above all.*import-model"):
        load_model(f"hf:{model_dir}+{folder}", device="cpu")


def _ends_and(more: set[int], prompts: Prompts) -> frozenset[int]:
    return prompts.ends | more


def test_an_end_that_only_the_template_has_is_in_the_key(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    kinds: list[set[int]] = [set(), set(), {7}]
    for more in kinds:
        monkeypatch.setattr(Prompts, "stops", property(partial(_ends_and, more)))
        keys.append(load_model(f"hf:{model_dir}", device="cpu").key)
    assert keys[0] == keys[1] != keys[2]


def test_weights_of_no_use_may_be_left_out_and_old_buffers_always_are(model_dir: Path, tmp_path: Path) -> None:
    unused = {"model.extra.weight": torch.zeros(2), "model.vision_tower.embeddings.position_ids": torch.zeros(2)}
    folder = rewritten(model_dir, tmp_path / "model", lambda w: {**w, **unused})
    with pytest.raises(UsageError, match=r"1 weight \(model.extra.weight\) unknown .* model.unused_weights=allow"):
        load_model(f"hf:{folder}", device="cpu")
    assert load_model(f"hf:{folder}", device="cpu", settings={"unused_weights": "allow"}).key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: {n.replace("model.language_model.layers", "layers"): t for n, t in w.items()},
            "was made for another",
        ),
        (lambda w: dict(list(w.items())[1:]), r"1 weight \(.*\) missing"),
        (lambda w: {n: t * 0 if "lora_B" in n else t for n, t in w.items()}, "changes nothing"),
        (lambda w: {n: t / 0 for n, t in w.items()}, "not finite"),
        (lambda w: {n: t[:1] for n, t in w.items()}, "does not fit the model"),
        ({"adapter_model.safetensors": b"version https://git-lfs.github.com/spec/v1\n"}, "does not fit the model"),
        ({"modules_to_save": ["lm_head"]}, r"lacks weights that its adapter_config.json names: .*lm_head"),
        ({"lora_alpha": 0}, r"changes nothing \(lora_alpha is 0\)"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_of_another_model_is_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]] | dict[str, Any],
    message: str,
    dtype: str,
    model_dir: Path,
    adapter: Path,
    tmp_path: Path,
) -> None:
    changed = rewritten(adapter, tmp_path / "adapter", change if callable(change) else dict)
    for name, value in {} if callable(change) else change.items():
        if isinstance(value, bytes):
            (changed / name).write_bytes(value)
        else:
            config = json.loads((changed / "adapter_config.json").read_text())
            (changed / "adapter_config.json").write_text(json.dumps(config | {name: value}))
    with pytest.raises(UsageError, match=message):
        load(str(model_dir), device=CPU, named="hf:x", dtype=dtype, adapters=[str(changed)])


def test_an_adapter_with_the_names_of_older_versions_is_put_where_they_are_now(
    model_dir: Path, adapter: Path, tmp_path: Path
) -> None:
    older = rewritten(
        adapter,
        tmp_path / "adapter",
        lambda w: {n.replace("model.model.language_model.", "model.language_model.model."): t for n, t in w.items()},
    )
    one, other = (load(str(model_dir), device=CPU, named="x", adapters=[str(a)]).model for a in (adapter, older))
    assert tensors_hash(one) == tensors_hash(other)


def test_a_model_of_a_layout_that_transformers_has_not_says_what_to_do(tmp_path: Path) -> None:
    for config in (
        '{"model_type": "llava_llama"}',
        '{"model_type": "llava", "mm_vision_tower": "openai/clip"}',
        '{"model_type": "llava", "architectures": ["LlavaLlamaForCausalLM"]}',
    ):
        (tmp_path / "config.json").write_text(config)
        with pytest.raises(UsageError, match=f"python cli.py import-model {tmp_path} --out DIR"):
            load_model(f"hf:{tmp_path}", device="cpu")
        with pytest.raises(UsageError, match=f"python cli.py import-model {tmp_path} --out DIR"):
            model_config(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "llava_new"}')
    for asked in (lambda: load_model(f"hf:{tmp_path}", device="cpu"), lambda: model_config(str(tmp_path))):
        with pytest.raises(UsageError, match="has no model_type llava_new") as said:
            asked()
        assert "pip install" not in str(said.value)
    (tmp_path / "config.json").write_text('{"model_type": "minicpmv", "auto_map": {"AutoModel": "x.M"}}')
    with pytest.raises(UsageError, match=r"code of its own.*openai:NAME@BASE_URL.*replay:FILE.jsonl"):
        load_model(f"hf:{tmp_path}", device="cpu")


def test_a_model_that_does_not_fit_onto_the_device_says_its_size_and_what_is_smaller(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 500.00 MiB.\nGPU 0 has a total capacity")

    monkeypatch.setattr("transformers.LlavaForConditionalGeneration.to", full)
    with pytest.raises(HarnessError, match=r"weights of 0\.0 GiB in float32 do not fit .* 500\.00 MiB.*lora_rank"):
        load(str(model_dir), device=torch.device("cpu"), named="model m")
