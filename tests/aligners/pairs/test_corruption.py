from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aligners.pairs.corruption import Crop, Mask, corruption_for
from aligners.pairs.data import Pair, load_pairs
from aligners.pairs.encoding import Encoder
from aligners.pairs.forward import response_logprobs
from harness.errors import UsageError
from harness.models.prompts import Prompts
from tests.tiny import load_tiny, picture


def pair(seed: int) -> Pair:
    return Pair.about(picture(seed), str(seed), "what ?", "a dog", "a cat")


def test_a_crop_loses_at_most_a_fifth_and_is_the_same_every_time() -> None:
    crops = [Crop()(pair(seed)) for seed in range(20)]
    shares = [crop.width * crop.height / 28**2 for crop in crops]
    assert min(shares) > 0.75 and len(set(shares)) > 3
    again = [Crop()(pair(seed)) for seed in range(20)]
    assert all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in zip(crops, again, strict=True))


def test_the_mask_is_the_one_that_hurts_most_and_is_chosen_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    calls: list[int] = []

    def embed(images: list[bytes]) -> Tensor:
        calls.append(len(images))
        similar = torch.ones(len(images))
        similar[8] = -1.0  # the eighth mask: image 0 is the whole one
        return similar[:, None]

    mask = Mask("clip", embed)
    made = np.asarray(mask(pair(1)))
    changed = (made != np.asarray(pair(1).open_image())).any(-1)
    assert changed.mean() == pytest.approx(0.09, abs=0.02)
    left, top = mask._boxes(pair(1).open_image(), pair(1))[7][:2]
    assert changed[top : top + 8, left : left + 8].mean() > 0.9
    assert np.array_equal(np.asarray(mask(pair(1))), made) and calls == [31]


@pytest.mark.parametrize("content", ["", "7.0", "30", "-1", "true", "[7]", "{", "\0"])
def test_a_choice_of_a_mask_that_is_none_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    mask = Mask("clip", lambda images: torch.tensor([[1.0 - (n == 8)] for n in range(len(images))]))
    made = np.asarray(mask(pair(1)))
    (file,) = (path for path in (tmp_path / "cache/corruption").rglob("*") if path.is_file())
    assert file.read_text() == "7"
    file.write_text(content)
    with pytest.warns(UserWarning, match="is damaged .*: it is thrown away and made anew"):
        assert np.array_equal(np.asarray(mask(pair(1))), made)
    assert file.read_text() == "7"


def test_the_corrupted_branch_is_the_chosen_response_given_the_corrupted_image(llava: Path, pairs_file: Path) -> None:
    model, processor = load_tiny(llava)
    encode = Encoder(Prompts(processor), 128, Crop())
    pairs = [encode(i, pair) for i, pair in enumerate(load_pairs(pairs_file, 4).pairs)]
    swapped = [type(p)(p.index, p.id, p.prefix, p.chosen, p.rejected, p.corrupted, p.marks) for p in pairs]
    with torch.no_grad():
        for route in ("shared", "plain"):
            out = response_logprobs(model, pairs, route, "cpu", corrupted=True)  # type: ignore[arg-type]
            expected = response_logprobs(model, swapped, "plain", "cpu").chosen
            assert out.corrupted is not None
            torch.testing.assert_close(out.corrupted, expected, rtol=1e-5, atol=1e-4)
            assert len(out.tokens) == sum(2 * len(p.chosen) + len(p.rejected) for p in pairs)


def test_needs_name_the_corruption() -> None:
    assert corruption_for(frozenset({"reference"}), None, "cpu") is None
    assert isinstance(corruption_for(frozenset({"corrupted:crop"}), None, "cpu"), Crop)
    with pytest.raises(UsageError, match="give the CLIP model"):
        corruption_for(frozenset({"corrupted:mask"}), None, "cpu")
    with pytest.raises(UsageError, match="expected one of crop, mask"):
        corruption_for(frozenset({"corrupted:blur"}), None, "cpu")
