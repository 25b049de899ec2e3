"""What cannot be trained is refused by the model's type, before pairs are read; what is trained is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers

from aligners.dpo import Dpo
from aligners.training.config import AlignConfig
from aligners.training.trainable import require_trainable, trained_parts
from harness.errors import UsageError
from tests.tiny_families import shared_family

hf: Any = transformers
FULL, LORA = AlignConfig(model="M", data=""), AlignConfig(model="M", data="", lora_rank=8)


@pytest.mark.parametrize("config", [FULL, LORA])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Florence2Config", "type florence2 is an encoder and a decoder"),
        ("Blip2Config", "type blip-2 makes the logits of whole sequences only"),
        ("LlamaConfig", "type llama is no image-text-to-text model"),
    ],
)
def test_a_type_that_cannot_be_trained_is_named(kind: str, said: str, config: AlignConfig) -> None:
    with pytest.raises(UsageError, match=rf"^model M: {said}.*docs/models.md"):
        require_trainable(getattr(hf, kind)(), config)


def test_a_family_without_a_row_is_trained_by_adapters_or_whole() -> None:
    shapes = hf.Ovis2Config()
    with pytest.raises(UsageError, match=r"type ovis2 is of no family.*Set lora_rank.*or train_vision=true"):
        require_trainable(shapes, FULL)
    require_trainable(shapes, LORA)
    require_trainable(shapes, AlignConfig(model="M", data="", train_vision=True))


def test_it_is_refused_before_pairs_are_read(bench: Any, tmp_path: Path) -> None:
    hf.Ovis2Config().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"type ovis2 is of no family"):
        bench.run(Dpo(), "x", model=str(tmp_path), data="absent.jsonl")


def test_what_is_trained_is_said() -> None:
    assert trained_parts(shared_family("llava")[0], FULL) == "everything but model.vision_tower"
    assert trained_parts(shared_family("qwen2_vl")[0], FULL) == (
        "everything but model.visual; model.visual.merger in it is"
    )
    assert trained_parts(shared_family("smolvlm")[0], LORA) == "adapters on 14 linear layers of model.text_model"
    assert trained_parts(shared_family("qwen3_vl_moe")[0], LORA) == (
        "adapters on 8 linear layers of model.language_model; 4 tensors of experts stay as they are"
    )
