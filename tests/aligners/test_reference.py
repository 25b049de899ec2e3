from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aligners.collate import Encoder
from aligners.data import load_pairs
from aligners.reference import ReferenceModel, weights_hash
from aligners.train import load_model


@pytest.fixture
def reference(llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReferenceModel:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    model, processor = load_model(str(llava), "float32")
    return ReferenceModel(
        model, Encoder(processor, 64), route="shared", dtype="float32", device=torch.device("cpu"), micro_batch=4
    )


def test_computed_once_then_read(reference: ReferenceModel, pairs_file: Path, tmp_path: Path) -> None:
    pairs = load_pairs(pairs_file, 10).pairs
    first, cached = reference.logprobs(pairs)
    assert not cached
    again, cached = reference.logprobs(pairs)
    assert cached
    assert torch.equal(first, again)
    assert first.shape == (10, 2)
    assert (first < 0).all()
    assert len(list((tmp_path / "cache/reference").iterdir())) == 1


def test_values_do_not_depend_on_the_batch(reference: ReferenceModel, pairs_file: Path) -> None:
    pairs = load_pairs(pairs_file, 10).pairs
    together, _ = reference.logprobs(pairs)
    one_by_one = torch.cat([reference.logprobs([pair])[0] for pair in pairs])
    torch.testing.assert_close(together, one_by_one, rtol=1e-5, atol=1e-5)


def test_a_cache_that_disagrees_with_the_model_is_computed_again(
    reference: ReferenceModel, pairs_file: Path, tmp_path: Path
) -> None:
    pairs = load_pairs(pairs_file, 6).pairs
    right, _ = reference.logprobs(pairs)
    (file,) = (tmp_path / "cache/reference").iterdir()
    for wrong in (right.numpy() + 5, right.numpy()[:3]):
        np.save(file, wrong)
        values, cached = reference.logprobs(pairs)
        assert not cached
        assert torch.equal(values, right)
    file.write_bytes(b"cut")
    assert not reference.logprobs(pairs)[1]


def test_the_key_is_made_of_all_that_determines_the_values(reference: ReferenceModel, pairs_file: Path) -> None:
    pairs = load_pairs(pairs_file, 4).pairs
    keys = {reference.key(pairs), reference.key(pairs[:3])}
    reference.route = "plain"
    keys.add(reference.key(pairs))
    reference.encoder.max_length = 32
    keys.add(reference.key(pairs))
    before = weights_hash(reference.model)
    with torch.no_grad():
        next(reference.model.parameters()).add_(1e-3)
    assert len(keys) == 4
    assert weights_hash(reference.model) != before
