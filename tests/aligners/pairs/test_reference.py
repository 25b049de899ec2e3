from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from aligners.pairs.corruption import Crop
from aligners.pairs.data import Pair, load_pairs
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.reference import Reference, ReferenceModel, kept_bytes
from harness.errors import DataError, HarnessError
from harness.models.prompts import Prompts
from harness.models.settings import PromptSettings
from harness.models.weights import tensors_hash
from tests.tiny import load_tiny


@pytest.fixture
def reference(llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReferenceModel:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    model, processor = load_tiny(llava)
    return ReferenceModel(
        model,
        Encoder(Prompts(processor), 64),
        route="shared",
        dtype="float32",
        device=torch.device("cpu"),
        micro_batch=4,
    )


def test_computed_once_then_read(reference: ReferenceModel, pairs_file: Path, tmp_path: Path) -> None:
    pairs = load_pairs(pairs_file, 10).pairs
    first, cached = reference.logprobs(pairs)
    assert not cached
    again, cached = reference.logprobs(pairs)
    assert cached
    assert torch.equal(first.tokens, again.tokens)
    assert first.sums.shape == (10, 2)
    assert (first.tokens < 0).all() and first.tokens.dtype == torch.float32
    assert first.sums[3, 1].item() == pytest.approx(
        first.tokens[first.lengths.flatten().cumsum(0)[6] :][: first.lengths[3, 1]].sum().item()
    )
    assert len(files(tmp_path)) == 1
    kept = sum(file.stat().st_size for file in files(tmp_path))
    assert kept == pytest.approx(kept_bytes(10, len(first.tokens) / 10), abs=1000)


def test_values_do_not_depend_on_the_batch(reference: ReferenceModel, pairs_file: Path) -> None:
    pairs = load_pairs(pairs_file, 10).pairs
    together, _ = reference.logprobs(pairs)
    one_by_one = torch.cat([reference._forward([reference.encoder(i, pair)])[0].sums for i, pair in enumerate(pairs)])
    torch.testing.assert_close(together.sums, one_by_one, rtol=1e-5, atol=1e-5)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("cache/reference/*/*.npz"))


def counted(reference: ReferenceModel, monkeypatch: pytest.MonkeyPatch, stop_after: int = 1000) -> list[str]:
    """The ids of pairs as they go through the model; Ctrl-C is pressed after so many forwards."""
    ids: list[str] = []
    forward, calls = reference._forward, itertools.count(1)

    def noted(encoded: Sequence[Encoded]) -> list[Reference]:
        if next(calls) > stop_after:
            raise KeyboardInterrupt
        ids.extend(pair.id for pair in encoded)
        return forward(encoded)

    monkeypatch.setattr(reference, "_forward", noted)
    return ids


def test_another_set_order_or_limit_computes_only_what_is_new(
    reference: ReferenceModel, pairs_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = load_pairs(pairs_file, 12).pairs
    few, _ = reference.logprobs(pairs[2:8])
    ids = counted(reference, monkeypatch)
    backwards, cached = reference.logprobs(pairs[7:1:-1])
    assert cached and set(ids) <= {"7", "4", "2", "5"}, "nothing but the check of what is kept"
    assert torch.equal(backwards.sums, few.sums.flip(0))
    ids.clear()
    whole, cached = reference.logprobs(pairs)
    assert not cached and sorted(ids[3:]) == sorted(pair.id for pair in [*pairs[:2], *pairs[8:]])
    assert torch.equal(whole.sums[2:8], few.sums)


def test_an_interrupted_pass_keeps_what_it_computed_and_gives_the_same(
    reference: ReferenceModel, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = load_pairs(pairs_file, 14).pairs
    right, _ = reference.logprobs(pairs)
    shutil.rmtree(tmp_path / "cache/reference")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        counted(reference, patch, stop_after=2)
        reference.logprobs(pairs)
    ids = counted(reference, monkeypatch)
    resumed, cached = reference.logprobs(pairs)
    assert not cached and len(ids) == 3 + len(pairs) - 2 * 4
    assert torch.equal(resumed.tokens, right.tokens)


def test_damaged_files_and_values_of_other_weights_are_computed_again(
    reference: ReferenceModel, pairs_file: Path, tmp_path: Path
) -> None:
    pairs = load_pairs(pairs_file, 6).pairs
    right, _ = reference.logprobs(pairs)
    (file,) = files(tmp_path)
    kept, content = dict(np.load(file)), file.read_bytes()
    tokens, lengths = kept["tokens"], kept["lengths"]
    for wrong, why in (
        ({"tokens": tokens + 5}, "other weights or data"),
        ({"lengths": lengths[:3]}, "not those of 2 responses"),
        ({"tokens": np.where(np.arange(len(tokens)) == 9, np.nan, tokens)}, "are not finite"),
        ({}, "is damaged"),
    ):
        np.savez(file, **{**kept, **wrong})
        if not wrong:
            file.write_bytes(content[:-20])
        with pytest.warns(UserWarning, match=why):
            values, cached = reference.logprobs(pairs)
        assert not cached
        assert torch.equal(values.tokens, right.tokens)


def test_worker_processes_read_and_encode_and_the_values_are_the_same(
    reference: ReferenceModel, pairs_file: Path, tmp_path: Path
) -> None:
    pairs = load_pairs(pairs_file, 14).pairs
    right, _ = reference.logprobs(pairs)
    shutil.rmtree(tmp_path / "cache/reference")
    reference.workers, state = 2, torch.get_rng_state()
    read_ahead, cached = reference.logprobs(pairs)
    assert not cached and torch.equal(read_ahead.tokens, right.tokens)
    assert torch.equal(torch.get_rng_state(), state), "the run's own random numbers are not drawn from"
    without = dataclasses.replace(pairs[3], prompt=Pair.about(b"no image", "3", "?", "a", "b").prompt, digest="new")
    with pytest.raises(DataError, match=r"^pair 3: the image cannot be read"):
        reference.logprobs([*pairs, without, dataclasses.replace(without, digest="other")])


def test_the_key_is_made_of_all_that_determines_the_values(reference: ReferenceModel) -> None:
    keys = {reference.key()}
    reference.numerics = "bfloat16, fsdp"
    keys.add(reference.key())
    reference.route = "plain"
    keys.add(reference.key())
    reference.encoder.max_length = 32
    keys.add(reference.key())
    plain = reference.encoder.prompts
    reference.encoder.prompts = dataclasses.replace(plain, settings=PromptSettings(pad_to_square="on"))
    keys.add(reference.key())
    reference.encoder.prompts = plain
    reference.encoder.corruption = Crop()
    keys.add(reference.key())
    reference.model.config.get_text_config()._attn_implementation = "eager"
    keys.add(reference.key())
    before = tensors_hash(reference.model)
    with torch.no_grad():
        next(reference.model.parameters()).add_(1e-3)
    assert len(keys) == 7
    assert tensors_hash(reference.model) != before


def test_a_reference_that_is_not_finite_names_the_pairs(
    reference: ReferenceModel, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = load_pairs(pairs_file, 3).pairs
    forward = reference._forward

    def overflows(encoded: Sequence[Encoded]) -> list[Reference]:
        rows = forward(encoded)
        return [
            Reference(row.tokens * torch.nan, row.lengths) if pair.id == "1" else row
            for pair, row in zip(encoded, rows, strict=True)
        ]

    monkeypatch.setattr(reference, "_forward", overflows)
    with pytest.raises(HarnessError, match=r"of 1 pairs \(first: 1\) are not finite"):
        reference.logprobs(pairs)
