"""Log-probabilities in chunks of rows equal those of whole scores, with their derivatives, and no scores are whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from aligners.pairs import head
from aligners.pairs.data import load_pairs
from aligners.pairs.encoding import Encoder
from aligners.pairs.forward import response_logprobs
from harness.models.prompts import Prompts
from tests.aligners.test_families import encoded
from tests.tiny import load_tiny
from tests.tiny_families import shared_family


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "ABOVE", 0)
    monkeypatch.setattr(head, "CHUNK", 4 * 50 * 7)  # seven rows of fifty words


@pytest.mark.parametrize("frozen", [True, False])
def test_chunks_equal_the_whole_with_a_frozen_and_with_a_trained_head(small_chunks: None, frozen: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(30, 16, generator=draw, dtype=torch.float64).requires_grad_()
    weight = torch.randn(50, 16, generator=draw, dtype=torch.float64).requires_grad_(not frozen)
    targets, share = torch.randint(50, (30,), generator=draw), torch.randn(30, generator=draw, dtype=torch.float64)
    inputs = (hidden,) if frozen else (hidden, weight)
    whole = (hidden @ weight.T).log_softmax(-1).gather(1, targets[:, None])[:, 0]
    found = head.token_logprobs(hidden, weight, targets)
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)
    expected, made = (torch.autograd.grad((values * share).sum(), inputs) for values in (whole, found))
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_bfloat16_is_computed_in_under_autocast_and_summed_in_float32() -> None:
    hidden, weight = torch.randn(4, 8), torch.randn(20, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = head.token_logprobs(hidden, weight, torch.arange(4))
        scores = nn.functional.linear(hidden, weight)
    assert scores.dtype == torch.bfloat16 and found.dtype == torch.float32
    assert torch.equal(found, scores.float().log_softmax(-1)[torch.arange(4), torch.arange(4)])


def test_a_pairs_forward_in_chunks_equals_the_whole_and_holds_one_chunk_of_scores(
    llava: Path, pairs_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = load_tiny(llava)
    model = model.double()
    encode = Encoder(Prompts(processor), 256)
    pairs = [encode(i, pair) for i, pair in enumerate(load_pairs(pairs_file, 3).pairs)]
    pairs = [dataclasses.replace(p, vision={k: v.double() for k, v in p.vision.items()}) for p in pairs]
    expected = response_logprobs(model, pairs, "shared", "cpu").tokens
    wanted = torch.autograd.grad(expected.sum(), [p for p in model.parameters() if p.requires_grad], allow_unused=True)
    words = model.get_output_embeddings().out_features
    monkeypatch.setattr(head, "ABOVE", 0)
    monkeypatch.setattr(head, "CHUNK", 4 * words * 2)
    sizes: list[int] = []
    original = head._log_softmax
    monkeypatch.setattr(head, "_log_softmax", lambda *given: _noted(original(*given), sizes))
    found = response_logprobs(model, pairs, "shared", "cpu").tokens
    made = torch.autograd.grad(found.sum(), [p for p in model.parameters() if p.requires_grad], allow_unused=True)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for one, other in zip(made, wanted, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)
    assert set(sizes) == {2 * words} or set(sizes) == {2 * words, words}
    assert "forward" not in vars(model.get_output_embeddings()), "its own forward is back"


def _noted(scores: Tensor, sizes: list[int]) -> Tensor:
    sizes.append(scores.numel())
    return scores


@pytest.mark.parametrize("cap", [None, 5.0])
def test_a_model_that_changes_its_heads_scores_is_run_whole(
    small_chunks: None, monkeypatch: pytest.MonkeyPatch, cap: float | None
) -> None:
    """PaliGemma may cap them: then what the head gives is not what the model returns."""
    model, prompts = shared_family("paligemma")
    monkeypatch.setattr(model.config.get_text_config(), "final_logit_softcapping", cap, raising=False)
    pairs = encoded(prompts)[:1]
    with torch.no_grad():
        found = response_logprobs(model, pairs, "plain", "cpu").tokens
        monkeypatch.setattr(head, "ABOVE", 1 << 60)
        whole = response_logprobs(model, pairs, "plain", "cpu").tokens
    torch.testing.assert_close(found, whole, rtol=1e-9, atol=1e-9)
