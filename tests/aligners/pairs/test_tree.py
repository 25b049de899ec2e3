"""What a row's segments see, by masks and by attention segment by segment."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import scaled_dot_product_attention

from aligners.pairs import tree_attention
from aligners.pairs.tree import Row, Segment, Sight
from aligners.pairs.tree_attention import attention, with_rows


def row(*parts: tuple[int, int, int]) -> Row:
    """A row of (length, parent, response) segments, tokens counted up."""
    segments = [
        Segment(torch.arange(length), parent, response=response) for length, parent, response in parts
    ]  # fmt: skip
    return Row(tuple(segments), {})


TREE = row((3, -1, -1), (2, 0, -1), (2, 1, 0), (1, 1, 1), (1, 0, -1), (2, 4, 2), (3, 4, 3))
"""An image, two questions about it, two responses to each."""
PAIR = row((4, -1, -1), (3, 0, 4), (2, 0, 5))


def test_the_mask_is_that_of_ancestors_written_out() -> None:
    mask = Sight.of([row((2, -1, -1), (1, 0, -1), (1, 1, 0), (2, 1, 1)), row((1, -1, -1), (1, 0, 2))], 7).mask()
    drawn = [["".join(".x"[int(seen)] for seen in line) for line in each[0].tolist()] for each in mask]
    assert drawn[0] == ["x......", "xx.....", "xxx....", "xxxx...", "xxx.x..", "xxx.xx.", "......x"]
    assert drawn[1] == ["x......", "xx.....", "..x....", "...x...", "....x..", ".....x.", "......x"]


def test_positions_restart_on_every_branch_and_a_prompts_last_token_predicts_the_first_of_each_response() -> None:
    assert TREE.positions(None).tolist() == [[0, 1, 2, 3, 4, 5, 6, 5, 3, 4, 5, 4, 5, 6]]
    assert [(number, kept.tolist()) for number, kept in TREE.keep] == [
        (0, [4, 5]), (1, [4]), (2, [8, 9]), (3, [8, 11, 12])
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_segment_by_segment_equals_the_mask_and_so_do_flex_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    length = 128
    query, key, value = (torch.randn(2, 4, length, 16, generator=draw, dtype=torch.float64) for _ in range(3))
    for tensor in (query, key, value):
        tensor.requires_grad_()
    sight = Sight.of([TREE, PAIR], length)
    mask = sight.mask()
    whole = scaled_dot_product_attention(query, key, value, mask)
    monkeypatch.setattr(tree_attention, "SHORT", 0)
    found = attention(torch.nn.Module(), query, key, value, with_rows(mask, [TREE, PAIR]))[0].transpose(1, 2)
    real = [(slice(0, 1), slice(0, len(TREE))), (slice(1, 2), slice(0, len(PAIR)))]
    for at, tokens in real:
        torch.testing.assert_close(found[at, :, tokens], whole[at, :, tokens], rtol=1e-12, atol=1e-12)
    losses = (torch.stack([(each[at, :, tokens] ** 2).sum() for at, tokens in real]).sum() for each in (whole, found))
    expected, made = (torch.autograd.grad(loss, (query, key, value)) for loss in losses)
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    with torch.no_grad():  # FlexAttention has no backward on a CPU
        blocks = flex_attention(query.float(), key.float(), value.float(), block_mask=sight.block_mask())
    for at, tokens in real:
        torch.testing.assert_close(blocks[at, :, tokens], whole[at, :, tokens].float(), rtol=1e-4, atol=1e-5)
