"""Adapters on a model: on top of one another as if folded into the weights, and on what they were trained on."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from aligners.training.config import AlignConfig
from aligners.training.lora import make_trainable
from harness.errors import UsageError
from harness.models.adapter_files import write_as_one
from harness.models.adapters import with_adapters
from harness.models.hf import HfModel
from harness.models.loading import load
from harness.models.settings import LoadSettings
from harness.models.sources import write_start
from harness.models.spec import load_model
from harness.models.weights import weights_identity
from tests.tiny import load_tiny, tiny_llava

TARGETS = r".*language_model.*\.(q|v)_proj"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base/ and adapters of it: plain, plain2, two with a head of their own, one of DoRA."""
    root = tmp_path_factory.mktemp("adapters")
    tiny_llava(root / "base")
    made: dict[str, dict[str, Any]] = {
        "plain": {},
        "plain2": {},
        "head": {"modules_to_save": ["lm_head"]},
        "head2": {"modules_to_save": ["lm_head"]},
        "dora": {"use_dora": True},
    }
    for seed, (name, options) in enumerate(made.items()):
        adapter(root / "base", root / name, seed, **options)
    return root


def adapter(base: Path, folder: Path, seed: int, **options: Any) -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=2, target_modules=TARGETS, init_lora_weights=False, **options)
    made = get_peft_model(load_tiny(base)[0], config)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "modules_to_save" in name or "magnitude" in name:
                weight.mul_(torch.rand_like(weight) + 0.5)
    made.save_pretrained(str(folder))


def test_adapters_with_older_and_present_names_are_added_as_one(root: Path, tmp_path: Path) -> None:
    older = shutil.copytree(root / "plain", tmp_path / "older")
    state = load_file(older / "adapter_model.safetensors")
    renamed = {n.replace("model.model.language_model.", "model.language_model.model."): t for n, t in state.items()}
    assert renamed.keys() != state.keys()
    save_file(renamed, older / "adapter_model.safetensors", metadata={"format": "pt"})
    write_as_one([older, root / "plain2"], str(root / "base"), tmp_path / "one")
    chains = ([root / "plain", root / "plain2"], [tmp_path / "one"])
    one, other = (
        load(str(root / "base"), device=torch.device("cpu"), named="x", adapters=[str(a) for a in chain]).model
        for chain in chains
    )
    torch.testing.assert_close(logits(one), logits(other), rtol=1e-4, atol=1e-5)
    save_file(
        {**{n: t.clone() for n, t in renamed.items()}, **state},
        older / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(UsageError, match="one module under two names"):
        write_as_one([older], str(root / "base"), tmp_path / "none")


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=torch.arange(5, 25)[None]).logits
    return found


@pytest.mark.parametrize("names", [("plain", "head"), ("head", "head2", "plain"), ("dora", "plain")])
def test_adapters_beside_the_weights_are_the_model_that_they_are_folded_in(root: Path, names: tuple[str, ...]) -> None:
    stack = [str(root / name) for name in names]
    folded = logits(with_adapters(load_tiny(root / "base")[0], stack, "x", fold=True))
    beside = with_adapters(load_tiny(root / "base")[0], stack, "x", fold=False)
    torch.testing.assert_close(logits(beside), folded, rtol=1e-4, atol=1e-5)
    config = AlignConfig(model=str(root / "base"), data="x", lora_rank=2)
    torch.testing.assert_close(logits(make_trainable(beside, config)), folded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": ["lm_head"]},
        {"target_modules": ["embed_tokens"]},
        {"target_modules": ["lm_head", "embed_tokens"]},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["embed_tokens", "lm_head"]},
        {"trainable_token_indices": [5, 6]},
    ],
    ids=str,
)
def test_an_adapter_of_one_end_of_a_tied_model_leaves_the_other(tmp_path: Path, options: dict[str, Any]) -> None:
    """Embeddings and head are one weight: folded, the adapter changes what it was trained on and nothing else."""
    from peft import LoraConfig, get_peft_model

    base = tiny_llava(tmp_path / "tied")
    said = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(said | {"tie_word_embeddings": True}))
    state = load_file(base / "model.safetensors")
    save_file({n: t for n, t in state.items() if "lm_head" not in n}, base / "model.safetensors", {"format": "pt"})
    torch.manual_seed(0)
    config = LoraConfig(r=2, init_lora_weights=False, **{"target_modules": TARGETS, **options})
    trained = get_peft_model(load_tiny(base)[0], config)
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if "modules_to_save" in name or "tokens_delta" in name:
                weight.add_(torch.rand_like(weight))
    expected = logits(trained.eval())
    trained.save_pretrained(str(tmp_path / "adapter"))
    for fold in (True, False):
        found = with_adapters(load_tiny(base)[0], [str(tmp_path / "adapter")], "x", fold=fold)
        torch.testing.assert_close(logits(found), expected, rtol=1e-4, atol=1e-4)
    asked = load_model(f"hf:{base}+{tmp_path / 'adapter'}", device="cpu")
    assert isinstance(asked, HfModel)
    assert ("embeddings parted from the head" in asked.route) == ("trainable_token_indices" not in options)
    merged = with_adapters(load_tiny(base)[0], [str(tmp_path / "adapter")], "x", fold=True)
    merged.save_pretrained(tmp_path / "merged")
    again = type(merged).from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(again.eval()), expected, rtol=1e-4, atol=1e-4)


def test_an_adapter_that_is_no_sum_with_those_below_is_refused_where_it_cannot_be_folded(root: Path) -> None:
    stack = [str(root / "plain"), str(root / "dora")]
    with pytest.raises(UsageError, match=r"dora \(LORA, use_dora\).*model\.dtype=float32.*export-model RUN --merge"):
        with_adapters(load_tiny(root / "base")[0], stack, "x", fold=False)


def test_an_adapter_is_refused_on_weights_that_were_replaced_and_noted_on_a_base_named_by_hand(
    root: Path, tmp_path: Path
) -> None:
    base, first, second = (Path(shutil.copytree(root / n, tmp_path / n)) for n in ("base", "plain", "plain2"))
    for each in (first, second):
        config = json.loads((each / "adapter_config.json").read_text()) | {"base_model_name_or_path": str(base)}
        (each / "adapter_config.json").write_text(json.dumps(config))
    write_start(first, str(base), [], [weights_identity(str(base))])
    write_start(second, str(base), [str(first)], [weights_identity(str(base)), weights_identity(str(first))])
    before = load_model(f"hf:{second}", device="cpu")
    assert isinstance(before, HfModel) and "not as trained" not in before.route
    shutil.copytree(base, tmp_path / "moved")
    assert load_model(f"hf:{tmp_path / 'moved'}+{first}+{second}", device="cpu").key == before.key
    tiny_llava(tmp_path / "other", seed=7)
    with pytest.warns(UserWarning, match=f"{tmp_path / 'other'} are not those that {first} was trained on"):
        other = load_model(f"hf:{tmp_path / 'other'}+{first}", device="cpu")
    assert isinstance(other, HfModel) and "base not as trained" in other.route
    (tmp_path / "link").symlink_to(base)
    shutil.copy(tmp_path / "other/model.safetensors", base)
    for spec in (f"hf:{first}", f"hf:{second}", f"hf:{base}+{first}", f"hf:{tmp_path / 'link'}+{first}"):
        with pytest.raises(UsageError, match=f"{first} was trained on .*, whose weights are others now"):
            load_model(spec, device="cpu")
    shutil.copy(tmp_path / "moved/model.safetensors", base)
    shutil.copy(root / "plain2/adapter_model.safetensors", first)
    with pytest.raises(UsageError, match=f"{second} was trained on {first}, whose weights are others now"):
        load_model(f"hf:{second}", device="cpu")
    (second / "start.json").write_text(json.dumps({"base": str(base), "adapters": [str(first)]}))
    assert load_model(f"hf:{second}", device="cpu").key != before.key, "older versions kept no hashes"


def published(folder: Path, cache: Path, commit: str, branch: str) -> None:
    """``folder`` as a commit of the hub's model me/base, as the hub's library keeps what it has downloaded."""
    repository = cache / "models--me--base"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / branch).write_text(commit)


def test_a_hub_model_is_loaded_in_the_revision_that_its_adapters_were_trained_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    from aligners.training.base_model import load_base

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    published(root / "base", tmp_path / "hub", "a" * 40, "old")
    published(tiny_llava(tmp_path / "new", seed=7), tmp_path / "hub", "b" * 40, "main")
    cpu = torch.device("cpu")
    config = AlignConfig(
        model="me/base", data="x", lora_rank=2, device="cpu", dtype="float32", prompt=LoadSettings(revision="old")
    )
    trained = make_trainable(load_base(config, cpu).model, config)
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.02)
    trained.save_pretrained(tmp_path / "first")
    said = json.loads((tmp_path / "first/adapter_config.json").read_text())
    assert (said["base_model_name_or_path"], said["revision"]) == ("me/base", "a" * 40)
    again = dataclasses.replace(config, model=str(tmp_path / "first"), prompt=LoadSettings())
    expected = logits(load(str(root / "base"), device=cpu, named="x", adapters=[str(tmp_path / "first")]).model)
    torch.testing.assert_close(logits(load_base(again, cpu).model), expected)
    further = dataclasses.replace(again, adapter_start="continue")
    torch.testing.assert_close(logits(load_base(further, cpu).model), expected)
    bench = load_model(f"hf:{tmp_path / 'first'}", device="cpu")
    assert isinstance(bench, HfModel)
    torch.testing.assert_close(logits(bench.network), expected)
    other = load_model(f"hf:{tmp_path / 'first'}", device="cpu", settings={"revision": "main"})
    assert isinstance(other, HfModel) and (logits(other.network) - expected).abs().max() > 0.1
    assert other.key != bench.key and "revision not as trained" in other.route and "revision" not in bench.route
