"""Which pairs may share a row of one image, and that it is refused where none can."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.route import fit_attention, require_shared_images
from aligners.pairs.sharing import groups_of, row_of
from aligners.training.config import AlignConfig
from harness.errors import UsageError
from harness.models.prompts import Prompts
from tests.tiny import TEMPLATE, load_tiny, picture, tiny_llava

IMAGE = 9
IMAGES = torch.tensor([IMAGE])


def pair(number: int, *prefix: int, pixel: float = 0.0) -> Encoded:
    vision = {"pixel_values": torch.full((1, 3), pixel)}
    return Encoded(number, str(number), torch.tensor(prefix), torch.tensor([1, 2]), torch.tensor([3]), vision, {})


def test_pairs_share_what_their_prompts_have_in_common_and_no_other_image() -> None:
    pairs = [
        pair(0, 5, IMAGE, 6, 7),
        pair(1, 5, IMAGE, 6, 8, 8),
        pair(2, 5, IMAGE, 6, 7, pixel=1),
        pair(3, 5, IMAGE, 6),
    ]
    groups = groups_of(pairs, IMAGES)
    assert [(group.numbers, group.common) for group in groups] == [([0, 1, 3], 3), ([2], 4)]
    row = row_of(pairs, groups[0])
    parts = [(segment.tokens.tolist(), segment.parent, segment.response) for segment in row.segments]
    assert parts == [
        ([5, 9, 6], -1, -1),
        ([7], 0, -1), ([1, 2], 1, 0), ([3], 1, 1),
        ([8, 8], 0, -1), ([1, 2], 4, 2), ([3], 4, 3),
        ([1, 2], 0, 6), ([3], 0, 7),
    ]  # fmt: skip


def test_an_image_behind_the_question_is_not_shared_nor_is_one_whose_tokens_are_unknown() -> None:
    two_images = [pair(0, 5, IMAGE, 6, IMAGE), pair(1, 5, IMAGE, 7, IMAGE)]
    assert [group.numbers for group in groups_of(two_images, IMAGES)] == [[0], [1]]
    behind = [pair(0, 5, 6, IMAGE), pair(1, 5, 7, IMAGE)]
    assert [group.numbers for group in groups_of(behind, IMAGES)] == [[0], [1]]
    assert [group.numbers for group in groups_of([pair(0, 5, IMAGE), pair(1, 5, IMAGE)], IMAGES[:0])] == [[0], [1]]
    textual = [dataclasses.replace(pair(n, 5, 6), vision={}) for n in range(2)]
    assert [group.numbers for group in groups_of(textual, IMAGES)] == [[0], [1]]


def test_sharing_images_is_refused_where_it_would_not_be_exact(llava: Path, tmp_path: Path) -> None:
    model, processor = load_tiny(llava)
    prompts = Prompts(processor)
    assert "in one row" in require_shared_images(model, prompts, "shared", 512)
    with pytest.raises(UsageError, match="needs shared rows, and this model's pairs run as plain rows"):
        require_shared_images(model, prompts, "plain", 512)
    with pytest.raises(UsageError, match="set route=auto or leave share_images out"):
        AlignConfig(model="m", data="d", share_images=True, route="plain")
    question_first = TEMPLATE.replace(
        "{% for part in message['content'] %}", "{% for part in message['content'][::-1] %}"
    )
    assert question_first != TEMPLATE
    behind = Prompts(load_tiny(tiny_llava(tmp_path, template=question_first))[1])
    encoded = Encoder(behind, 64)(0, Pair.about(picture(0), "7", "what ?", "a dog", "a red dog"))
    assert behind.processor.tokenizer.decode(encoded.prefix).startswith("USER : what ? <image>")
    with pytest.raises(UsageError, match="the image does not come before what differs between two questions"):
        require_shared_images(model, behind, "shared", 512)


def test_flash_attention_is_for_plain_rows_on_a_gpu(llava: Path) -> None:
    model, _ = load_tiny(llava)
    assert fit_attention(model, "plain", half=True) == ""
    assert model.config.get_text_config()._attn_implementation == "sdpa"
