"""The judge that is a model of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from harness.errors import UsageError
from harness.judges.registry import make_judge
from harness.models.spec import load_model
from harness.protocols.benchmark import Decoding, JudgePrompt, Sample
from harness.protocols.judge import JudgeRequest
from tests.tiny import tiny_adapter, tiny_llava


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("judge") / "model")


def test_it_is_asked_greedily_with_the_protocols_limit_and_says_what_is_other_than_the_protocol(model: Path) -> None:
    judge = make_judge(f"hf:{model}", model)
    short = JudgePrompt("is there a dog ?", max_tokens=3, temperature=0.2, role="system")
    long = JudgePrompt("what is red ?", max_tokens=9)
    requests = [JudgeRequest(str(i), question, "a dog") for i, question in enumerate((short, long, short))]
    replies = dict(judge.ask(requests))
    alone = load_model(f"hf:{model}")
    for question, position in ((short, 0), (long, 1), (short, 2)):
        decoding = Decoding(max_new_tokens=question.max_tokens or 0)
        [(_, answer)] = alone.generate([Sample("x", question.prompt)], decoding)
        assert replies[position].text == answer.text and replies[position].error is None
        assert replies[position].usage["finish_reason"] == ("length" if answer.cut else "stop")
    assert replies[0].usage["adapted"] == ["temperature 0.2: asked greedily", "role system: asked as the user"]
    assert replies[1].usage["adapted"] == []


def test_replies_of_other_weights_or_another_type_are_others(model: Path, tmp_path: Path) -> None:
    same = shutil.copytree(model, tmp_path / "same")
    other = tiny_llava(tmp_path / "other", seed=1)
    made = [make_judge(f"hf:{folder}", model) for folder in (model, same, other)]
    assert made[0].endpoint == made[1].endpoint != made[2].endpoint
    half, batched = (make_judge(f"hf:{model}", model, given) for given in ({"dtype": "bfloat16"}, {"batch_size": 2}))
    assert half.endpoint != made[0].endpoint == batched.endpoint


def test_a_name_that_is_no_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--judge hf: expected a model, as in hf:ID_OR_DIR\."):
        make_judge("hf:", tmp_path)


def with_nan(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor / 0 if "lm_head" in name else tensor for name, tensor in weights.items()}


def without_projector(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if "projector" not in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [(with_nan, r"lm_head\.weight\) holds numbers that are not finite"), (without_projector, "missing")],
)
def test_a_judge_whose_weights_are_broken_is_refused_when_it_is_made(
    model: Path, tmp_path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str
) -> None:
    broken = Path(shutil.copytree(model, tmp_path / "broken"))
    save_file(change(load_file(broken / "model.safetensors")), broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=f"^--judge hf:{broken}.*{message}"):
        make_judge(f"hf:{broken}", model)
    make_judge(f"hf:{broken}", model, only_estimate=True)
    with pytest.raises(UsageError, match=r"knows no thoughts"):
        make_judge(f"hf:{model}", model, {"thinking": "off"})
    adapter = tiny_adapter(model, tmp_path / "adapter")
    make_judge(f"hf:{model}+{adapter}", model)
    file = adapter / "adapter_model.safetensors"
    save_file({name: tensor / 0 for name, tensor in load_file(file).items()}, file)
    with pytest.raises(UsageError, match=f"{adapter}: .* not finite"):
        make_judge(f"hf:{model}+{adapter}", model)
