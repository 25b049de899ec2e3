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


def test_a_crop_keeps_a_share_between_1_and_20_percent_drawn_as_torchvision_draws_it() -> None:
    """The authors' code is RandomResizedCrop(scale=(0.01, 0.2)), of a square."""
    from torchvision.transforms import v2

    theirs = v2.RandomResizedCrop((336, 336), scale=(0.01, 0.2))
    image = torch.zeros(3, 336, 336)
    shares = []
    for seed in range(400):
        torch.manual_seed(seed)
        expected = theirs.make_params([image])
        left, top, right, bottom = Crop().box((336, 336), torch.Generator().manual_seed(seed))
        assert (left, top) == (expected["left"], expected["top"])
        assert (right - left, bottom - top) == (expected["width"], expected["height"])
        shares.append((right - left) * (bottom - top) / 336**2)
    quartiles = np.quantile(shares, [0, 0.25, 0.5, 0.75, 1])
    assert quartiles == pytest.approx([0.01, 0.0575, 0.105, 0.1525, 0.2], abs=0.012)  # uniform


@pytest.mark.parametrize("size", [(2000, 100), (100, 2000), (3, 2), (1, 1)])
def test_a_crop_of_a_narrow_image_stays_inside_it(size: tuple[int, int]) -> None:
    for seed in range(50):
        left, top, right, bottom = Crop().box(size, torch.Generator().manual_seed(seed))
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
        assert (right - left) * (bottom - top) <= max(0.21 * size[0] * size[1], 1)


def test_a_crop_is_the_same_every_time_and_each_pairs_own() -> None:
    crops = [np.asarray(Crop()(pair(seed))) for seed in range(8)]
    again = [np.asarray(Crop()(pair(seed))) for seed in range(8)]
    assert all(np.array_equal(one, other) and one.shape == (28, 28, 3) for one, other in zip(crops, again, strict=True))
    other = Pair.about(picture(1), "1", "where ?", "a dog", "a cat")
    assert not np.array_equal(np.asarray(Crop()(other)), crops[1]), "another pair, the same image"


def test_the_crop_is_what_the_objective_says_and_other_crops_have_other_caches() -> None:
    from aligners.mdpo import Mdpo

    chosen = Mdpo(crop_least=0.8, crop_most=1)
    crops = [corruption_for(each.needs, each.corruption_settings, None, "cpu") for each in (Mdpo(), chosen)]
    assert crops[0] is not None and crops[1] is not None
    assert crops[0].identity == Crop().identity != crops[1].identity
    assert isinstance(crops[1], Crop)
    left, top, right, bottom = crops[1].box((100, 100), torch.Generator().manual_seed(0))
    assert (right - left) * (bottom - top) > 0.7 * 100**2
    with pytest.raises(UsageError, match=r"crop_least=0\.5 is above crop_most=0\.2"):
        Mdpo(crop_least=0.5)


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
    asking = Encoder(encode.prompts, 128, Mask("clip", lambda images: torch.ones(len(images), 1)))
    assert (encode.possible_workers(2), asking.possible_workers(2)) == (2, 0), "no CLIP on a GPU in a forked process"
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
    assert corruption_for(frozenset({"reference"}), {}, None, "cpu") is None
    assert isinstance(corruption_for(frozenset({"corrupted:crop"}), {}, None, "cpu"), Crop)
    with pytest.raises(UsageError, match="give the CLIP model"):
        corruption_for(frozenset({"corrupted:mask"}), {}, None, "cpu")
    with pytest.raises(UsageError, match="expected one of crop, mask"):
        corruption_for(frozenset({"corrupted:blur"}), {}, None, "cpu")
