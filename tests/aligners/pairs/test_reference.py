from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aligners.pairs.data import load_pairs
from aligners.pairs.encoding import Encoder
from aligners.pairs.reference import Reference, ReferenceModel
from harness.errors import HarnessError
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
    assert len(list((tmp_path / "cache/reference").iterdir())) == 1


def test_values_do_not_depend_on_the_batch(reference: ReferenceModel, pairs_file: Path) -> None:
    pairs = load_pairs(pairs_file, 10).pairs
    together, _ = reference.logprobs(pairs)
    one_by_one = torch.cat([reference.logprobs([pair])[0].sums for pair in pairs])
    torch.testing.assert_close(together.sums, one_by_one, rtol=1e-5, atol=1e-5)


def test_a_cache_that_disagrees_with_the_model_is_computed_again(
    reference: ReferenceModel, pairs_file: Path, tmp_path: Path
) -> None:
    pairs = load_pairs(pairs_file, 6).pairs
    right, _ = reference.logprobs(pairs)
    (file,) = (tmp_path / "cache/reference").iterdir()
    tokens, lengths = right.tokens.numpy(), right.lengths.numpy()
    for wrong, why in (
        ((tokens + 5, lengths), "other weights or data"),
        ((tokens[: lengths[:3].sum()], lengths[:3]), "holds 3 pairs, not 6"),
        ((np.where(np.arange(len(tokens)) == lengths[:2].sum(), np.nan, tokens), lengths), "are not finite"),
    ):
        np.savez(file, tokens=wrong[0], lengths=wrong[1])
        with pytest.warns(UserWarning, match=why):
            values, cached = reference.logprobs(pairs)
        assert not cached
        assert torch.equal(values.tokens, right.tokens)
    file.write_bytes(b"cut")
    with pytest.warns(UserWarning, match="cannot be read"):
        assert not reference.logprobs(pairs)[1]


def test_the_key_is_made_of_all_that_determines_the_values(reference: ReferenceModel, pairs_file: Path) -> None:
    pairs = load_pairs(pairs_file, 4).pairs
    keys = {reference.key(pairs), reference.key(pairs[:3])}
    reference.route = "plain"
    keys.add(reference.key(pairs))
    reference.encoder.max_length = 32
    keys.add(reference.key(pairs))
    plain = reference.encoder.prompts
    reference.encoder.prompts = dataclasses.replace(plain, settings=PromptSettings(pad_to_square="on"))
    keys.add(reference.key(pairs))
    reference.encoder.prompts = plain
    before = tensors_hash(reference.model)
    with torch.no_grad():
        next(reference.model.parameters()).add_(1e-3)
    assert len(keys) == 5
    assert tensors_hash(reference.model) != before


def test_a_reference_that_is_not_finite_names_the_pairs(
    reference: ReferenceModel, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = load_pairs(pairs_file, 3).pairs
    whole, _ = reference.logprobs(pairs)
    tokens = whole.tokens.clone()
    tokens[whole.lengths[:1].sum()] = torch.nan
    monkeypatch.setattr(reference, "_compute", lambda *_: Reference(tokens, whole.lengths))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(HarnessError, match=r"of 1 pairs \(first: 1\) are not finite"):
        reference.logprobs(pairs)
