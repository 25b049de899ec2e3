"""Checkpoints as they are published or damaged, from `bench` and `align` to the figures or the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file, save_file
from torch import Tensor

from harness.store import Store
from tests.cases.running import figures, mmhal, run, said
from tests.tiny import tiny_adapter, tiny_amber, tiny_llava, tiny_pairs

Weights = dict[str, Tensor]
SHORT = ("--set", "decoding.max_new_tokens=8", "--set", "decoding.num_beams=1", "--no-probe")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))


def copied(base: Path, folder: Path, change: Callable[[Weights], Weights] = dict) -> Path:
    shutil.copytree(base, folder)
    file = next(folder.glob("*.safetensors"))
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return folder


def edited(folder: Path, file: str, **changes: object) -> Path:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **changes}))
    return folder


def benched(model: Path | str, tmp_path: Path, *more: str, code: int = 0) -> Result:
    data = tmp_path / "amber"
    if not data.exists():
        tiny_amber(data)
    words = ["--benchmark", "amber", "--data-dir", data, "--db", tmp_path / "r.sqlite", "--json", *SHORT]
    return run("bench", "--model", model, *words, *more, code=code)


def aligned(model: Path, tmp_path: Path, *more: str, code: int = 0) -> Result:
    data = tiny_pairs(tmp_path / "pairs", 4)
    words = ["--method", "dpo", "--data", data, "--db", tmp_path / "r.sqlite", "--name", tmp_path.name, "--json"]
    return run("align", "--model", model, *words, "--set", "batch_size=4", *more, code=code)


def test_a_checkpoint_without_its_projector_is_neither_benchmarked_nor_aligned(base: Path, tmp_path: Path) -> None:
    model = copied(base, tmp_path / "m", lambda w: {n: t for n, t in w.items() if "projector" not in n})
    for result in (benched(model, tmp_path, code=2), aligned(model, tmp_path, code=2)):
        assert "multi_modal_projector.linear_1.weight" in said(result) and "missing" in said(result)


def test_an_adapter_whose_names_match_nothing_is_not_benchmarked_as_the_base(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(base, tmp_path / "good")
    lost = copied(
        adapter,
        tmp_path / "lost",
        lambda w: {n.replace("model.language_model.layers", "decoder.blocks"): t for n, t in w.items()},
    )
    assert figures(benched(f"hf:{base}+{adapter}", tmp_path))["n_failed"] == 0
    assert "was made for another" in said(benched(f"hf:{base}+{lost}", tmp_path, code=2))


def test_the_repetition_penalty_that_a_checkpoint_brings_is_a_decoding_of_its_own(base: Path, tmp_path: Path) -> None:
    hidden = edited(copied(base, tmp_path / "m"), "generation_config.json", repetition_penalty=3.0)
    decodings = []
    for model, more in ((base, ()), (hidden, ()), (hidden, ("--set", "decoding.repetition_penalty=1.0"))):
        benched(model, tmp_path, *more)
        decodings.append(Store(tmp_path / "r.sqlite").evaluations()[-1].decoding)
    assert decodings[0] == decodings[2] != decodings[1] and "repetition_penalty" in str(decodings[1])


def test_answers_that_end_at_the_token_limit_are_counted_in_the_record_and_said(base: Path, tmp_path: Path) -> None:
    result = benched(base, tmp_path, "--set", "decoding.eos_bias=-10000", "--set", "decoding.max_new_tokens=2")
    assert "4 of 4 answers (100.0 %) reached the token limit and are cut" in said(result)
    assert figures(result)["n_cut"] == 4
    assert "are cut" in str(Store(tmp_path / "r.sqlite").evaluations()[-1].info["notes"])


def test_mmhal_is_not_answered_where_its_images_are_not_there(base: Path, tmp_path: Path) -> None:
    judge = "openai:judge@http://127.0.0.1:9/v1"  # it is not asked
    words = ["--benchmark", "mmhal", "--judge", judge, "--db", tmp_path / "r.sqlite", *SHORT]
    none = mmhal(tmp_path / "none", 3, images=())
    assert "3 of 3 samples have no image" in said(run("bench", "--model", base, "--data-dir", none, *words, code=2))


def test_a_template_that_joins_texts_gets_one_or_is_refused_in_one_line(base: Path, tmp_path: Path) -> None:
    model = copied(base, tmp_path / "m")
    begin = "{% for m in messages %}{% if m['role'] == 'user' %}{{ 'USER : ' + m['content'] + ' ASSISTANT :' }}"
    (model / "chat_template.jinja").write_text(begin + "{% endif %}{% endfor %}")
    result = aligned(model, tmp_path, code=2)
    assert "the chat template leaves the answer out" in said(result) and "model.template=FILE" in said(result)
    assert figures(benched(model, tmp_path))["n_failed"] == 0
    (model / "chat_template.jinja").write_text("{{ 'USER : ' + messages[0]['content']['text'] + '' }}")
    assert "the chat template refuses this conversation" in said(benched(model, tmp_path, code=2))


def test_a_processor_of_an_older_version_is_trained_and_asked_alike(base: Path, tmp_path: Path) -> None:
    model = copied(base, tmp_path / "m")
    config = json.loads((model / "processor_config.json").read_text())
    for name in ("patch_size", "vision_feature_select_strategy", "num_additional_image_tokens"):
        del config[name]
    (model / "processor_config.json").write_text(json.dumps(config))
    assert estimated(model, tmp_path / "a") == estimated(base, tmp_path / "b")
    old, new = (figures(benched(each, tmp_path)) for each in (model, base))
    assert old["metrics"] == new["metrics"] and old["n_failed"] == 0


def estimated(model: Path, folder: Path) -> object:
    return json.loads(aligned(model, folder, "--dry-run").stdout)["estimate"]["tokens a pair"]


def test_a_checkpoint_that_transformers_cannot_load_names_the_ways_to_use_it(base: Path, tmp_path: Path) -> None:
    original = edited(copied(base, tmp_path / "o"), "config.json", model_type="llava_llama", mm_vision_tower="openai/x")
    own_code = edited(copied(base, tmp_path / "c"), "config.json", model_type="minicpmv", auto_map={"AutoModel": "x.M"})
    for model, ways in (
        (original, [f"python cli.py import-model {original} --out DIR", "openai:NAME@BASE_URL"]),
        (own_code, ["openai:NAME@BASE_URL", "replay:FILE.jsonl", "model.trust_remote_code=true"]),
    ):
        for result in (benched(model, tmp_path, code=2), aligned(model, tmp_path, code=2)):
            assert [way for way in ways if way not in said(result)] == []


def test_two_runs_of_one_seed_train_the_same_adapter(base: Path, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        aligned(base, tmp_path / name, "--set", "lora_rank=4", "--set", "lr=0.01", "--seed", "3", "--no-probe")
        (file,) = (tmp_path / "home").rglob(f"{name}-*/model/adapter_model.safetensors")
        made.append(load_file(file))
    assert made[0].keys() == made[1].keys() and all(torch.equal(made[0][key], made[1][key]) for key in made[0])
    assert any(weight.abs().max() > 0 for key, weight in made[0].items() if "lora_B" in key), "it was trained"
