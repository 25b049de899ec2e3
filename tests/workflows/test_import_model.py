"""Checkpoints in the layout of LLaVA's own repository: after the conversion the logits are those of the original."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from cli import cli
from harness.errors import UsageError
from harness.models.original_tokenizer import hub_tokenizer
from harness.models.spec import load_model
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image as Picture
from tests.original_llava import IMAGE, OriginalLlava, save_original, save_original_lora, save_tower
from tests.tiny import load_tiny, picture
from workflows.import_model import import_model

EMBEDDINGS = ("model.embed_tokens.weight", "lm_head.weight")
QUESTION = "what do you see ?"


@pytest.fixture(scope="module")
def original() -> OriginalLlava:
    return OriginalLlava(seed=0)


@pytest.fixture(scope="module")
def tower(original: OriginalLlava, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tower(original, tmp_path_factory.mktemp("clip") / "clip-vit-large-patch14-336")


@torch.no_grad()
def assert_same_logits(model: OriginalLlava, converted: Path) -> None:
    """Of the prompt of LLaVA's scripts, about one image, by the original forward and by the converted directory."""
    loaded, processor = load_tiny(converted)
    image = Image.open(io.BytesIO(picture(3)))
    inputs = processor(text=f"USER: <image>\n{QUESTION} ASSISTANT:", images=image, return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    token = loaded.config.image_token_id
    at = ids.index(token)
    assert ids.count(token) == 4 and ids[at : at + 4] == [token] * 4
    words = [*ids[:at], IMAGE, *ids[at + 4 :]]
    expected = model(words, inputs["pixel_values"])
    found = loaded(**inputs).logits[0]
    assert found.shape[1] % 64 == 0
    torch.testing.assert_close(found[:, : expected.shape[1]], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("with_tower", [True, False])
@pytest.mark.parametrize("older", [True, False])
def test_logits_are_those_of_the_original(
    original: OriginalLlava, tower: Path, tmp_path: Path, with_tower: bool, older: bool
) -> None:
    source = save_original(original, tmp_path / "original", with_tower=with_tower, older=older)
    made = import_model(str(source), tmp_path / "hub", vision_tower=str(tower))
    assert_same_logits(original, made.folder)
    names = load_file(made.folder / "model.safetensors").keys()
    assert {"language_model.model.layers.0.mlp.up_proj.weight", "language_model.lm_head.weight"} <= names
    assert "vision_tower.vision_model.embeddings.class_embedding" in names, "as llava-hf's, which vLLM knows"


def test_a_converted_model_is_asked_as_llava_is_and_answers(
    original: OriginalLlava, tower: Path, tmp_path: Path
) -> None:
    source = save_original(original, tmp_path / "original", with_tower=True)
    run = CliRunner().invoke(
        cli, ["import-model", str(source), "--out", str(tmp_path / "hub"), "--vision-tower", str(tower), "--json"]
    )
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["rows"] == 64
    model = load_model(f"hf:{tmp_path / 'hub'}", device="cpu")
    assert "fallback" not in model.route
    sample = Sample("1", QUESTION, Picture(data=picture(3)))
    [(_, answer)] = model.generate([sample], Decoding(max_new_tokens=5))
    assert answer.error is None
    processor = load_tiny(tmp_path / "hub")[1]
    assert (processor.tokenizer.pad_token, processor.tokenizer.eos_token) == ("<pad>", "</s>")
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hi"}]}]
    assert processor.apply_chat_template(turns, add_generation_prompt=True) == "USER: <image>\nHi ASSISTANT:"


def test_lora_of_the_original_layout_is_added_to_its_base(tower: Path, tmp_path: Path) -> None:
    model = OriginalLlava(seed=0)
    base = save_original(model, tmp_path / "base", with_tower=False)
    adapter = save_original_lora(model, tmp_path / "llava-lora", str(base), seed=1)
    made = import_model(str(adapter), tmp_path / "hub", vision_tower=str(tower))
    assert (made.base, made.adapter) == (str(base), str(adapter))
    assert_same_logits(model, made.folder)
    (adapter / "non_lora_trainables.bin").rename(tmp_path / "trained.bin")
    with pytest.raises(UsageError, match=r"lacks non_lora_trainables.bin"):
        import_model(str(adapter), tmp_path / "hub4", vision_tower=str(tower))
    (tmp_path / "trained.bin").rename(adapter / "non_lora_trainables.bin")
    elsewhere = tmp_path / "elsewhere"
    shutil.move(base, elsewhere)
    with pytest.raises(UsageError, match=r"its base \(--base\) is in no such directory"):
        import_model(str(adapter), tmp_path / "hub2", vision_tower=str(tower))
    import_model(str(adapter), tmp_path / "hub3", base=str(elsewhere), vision_tower=str(tower))


def test_more_embeddings_than_configured_and_generation_settings_are_kept(
    original: OriginalLlava, tower: Path, tmp_path: Path
) -> None:
    source = save_original(original, tmp_path / "original", with_tower=True)
    for file in source.glob("*.safetensors"):
        state = load_file(file)
        grown = {n: torch.cat([t, t[:1].expand(100 - len(t), -1)]) for n, t in state.items() if n in EMBEDDINGS}
        save_file({**state, **grown}, file, metadata={"format": "pt"})
    said = {"eos_token_id": [2, 7], "repetition_penalty": 1.2}
    (source / "generation_config.json").write_text(json.dumps(said))
    made = import_model(str(source), tmp_path / "hub", vision_tower=str(tower))
    assert made.rows == 128
    assert_same_logits(original, made.folder)
    assert said.items() <= json.loads((made.folder / "generation_config.json").read_text()).items()


def test_a_prompt_is_tokenized_as_llavas_own_scripts_do(tmp_path: Path) -> None:
    """They cut the prompt at its image and give each piece to SentencePiece; the checkpoint has only its model."""
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "text").write_text("USER: what do you see in the image ? ASSISTANT: a dog and a cat .\n" * 40)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "tokenizer"), vocab_size=300, model_type="bpe",
        byte_fallback=True, unk_id=0, bos_id=1, eos_id=2, normalization_rule_name="identity", minloglevel=2,
        remove_extra_whitespaces=False,
    )  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer", "legacy": false}')
    hub_tokenizer(tmp_path).save_pretrained(tmp_path / "hub")
    alone = AutoTokenizer.from_pretrained(tmp_path / "hub")
    (tmp_path / "hub/config.json").write_text('{"model_type": "llava"}')
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hub")
    pieces = sentencepiece.SentencePieceProcessor(str(tmp_path / "tokenizer.model"))
    assert tokenizer.convert_tokens_to_ids(["<image>", "<pad>"]) == [300, 301]
    for before, after in (("USER: ", "\nwhat do you see ? ASSISTANT:"), ("", "Is there  a car \u00e9 \u6f22?\n")):
        expected = [1, *pieces.encode(before), 300, *pieces.encode(after)]
        assert tokenizer(f"{before}<image>{after}")["input_ids"] == expected
        assert alone(f"{before}<image>{after}")["input_ids"] == expected
    (tmp_path / "tokenizer.model").write_bytes(b"none")
    with pytest.raises(UsageError, match=r"tokenizer.model is no SentencePiece model"):
        hub_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mm_projector_type": "linear"}, "not mm_projector_type linear"),
        ({"image_aspect_ratio": "anyres"}, r"not image_aspect_ratio anyres \(LLaVA-1.6\)"),
        ({"model_type": "llava_mpt"}, "not model_type llava_mpt"),
        ({"mm_vision_tower": "google/siglip-so400m"}, "not vision tower google/siglip"),
        ({}, r"--vision-tower\) is in no such directory"),
    ],
)
def test_what_is_no_llava_15_or_lacks_its_tower_is_refused(
    original: OriginalLlava, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    source = save_original(original, tmp_path / "original", with_tower=False, **changes)
    with pytest.raises(UsageError, match=message):
        import_model(str(source), tmp_path / "hub")
    with pytest.raises(
        UsageError, match=rf"LLaVA-1\.5 .*python cli.py import-model {source} .*another LLaVA .*serve it"
    ):
        load_model(f"hf:{source}", device="cpu")


def test_a_directory_that_needs_no_import_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(UsageError, match=r"a model that transformers loads needs no import: --model DIR"):
        import_model(str(tmp_path), tmp_path / "hub")
