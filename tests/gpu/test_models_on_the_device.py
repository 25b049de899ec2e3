"""A model that is asked on the device: known by the same key, answering the same, in smaller batches when it must."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.models.hf import HfModel
from harness.models.spec import load_model
from harness.models.weights import tensors_hash
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image
from tests.gpu.where import CUDA, DEVICE
from tests.tiny import load_tiny, picture

pytestmark = [pytest.mark.gpu, pytest.mark.needs("cuda")]
DECODING = Decoding(max_new_tokens=8)


def samples(count: int = 6) -> list[Sample]:
    """Questions about ``count`` pictures, two each."""
    images = [Image(data=picture(i)) for i in range(count)]
    texts = ("what do you see ?", "is there a dog in the image ?")
    return [Sample(f"{i}-{text}", text, image) for i, image in enumerate(images) for text in texts]


def loaded(made: Path, device: str, **settings: object) -> HfModel:
    model = load_model(f"hf:{made / 'model'}", device=device, settings={"dtype": "float32", **settings})
    assert isinstance(model, HfModel)
    return model


def test_weights_have_the_same_hash_on_the_device(made: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        model = load_tiny(made / "model")[0].to(dtype)
        there = tensors_hash(model)
        assert tensors_hash(model.to(DEVICE)) == there


def test_answers_and_the_model_s_key_are_the_cpu_s(made: Path) -> None:
    here, there = loaded(made, DEVICE.type), loaded(made, "cpu")
    assert here.key == there.key
    assert DEVICE.type in here.route
    answers = [{i: answer.text for i, answer in model.generate(samples(), DECODING)} for model in (here, there)]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 12


@pytest.mark.skipif(not CUDA, reason="needs CUDA itself")
def test_batches_are_halved_until_they_fit_into_memory(made: Path) -> None:
    """512 rows of 64 new tokens take some 60 MB of keys and values; there are 24."""
    model, asked, longer = loaded(made, "cuda", batch_size=512), samples(256), Decoding(max_new_tokens=64)
    whole = {i: answer.text for i, answer in model.generate(asked, longer)}
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 24 * 2**20) / total)
    try:
        parts = {i: answer.text for i, answer in model.generate(asked, longer)}
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert model.batch_size < 512, "memory was too small for all at once"
    assert parts == whole
