from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoder
from aligners.pairs.forward import Route, response_logprobs
from harness.errors import UsageError
from harness.models.prompts import Prompts
from harness.protocols.conversation import Turn
from harness.protocols.conversation import question as ask
from tests.tiny import picture
from tests.tiny_families import tiny_family


@pytest.fixture(scope="module")
def encode(llava: Path) -> Encoder:
    return Encoder(Prompts(AutoProcessor.from_pretrained(llava)), 512)


def test_a_given_beginning_belongs_to_the_prompt_and_an_open_answer_has_no_end(encode: Encoder) -> None:
    whole = Pair.about(picture(1), "1", "what ?", "a dog", "a cat")
    text = encode.prompts.processor.tokenizer
    begun = Pair("2", whole.prompt, "a dog", "a cat", prefix="a table . ", ends=False)
    plain, given = encode(0, whole), encode(1, begun)
    assert text.decode(given.prefix[len(plain.prefix) :]).split() == ["a", "table", "."]
    assert [text.decode(ids).split() for ids in (given.chosen, given.rejected)] == [["a", "dog"], ["a", "cat"]]
    assert plain.chosen[-1] == plain.rejected[-1] == text.eos_token_id


@pytest.mark.parametrize("route", ["plain", "shared"])
def test_pairs_without_and_with_several_images_share_a_batch(encode: Encoder, llava: Path, route: Route) -> None:
    one = Pair.about(picture(1), "1", "what ?", "a dog", "a cat sits")
    none = Pair.about(None, "2", "what ?", "a dog runs", "a cat")
    two = Pair("3", (Turn("user", (*one.images, "or", *ask("?", *one.images).content)),), "a dog", "a table")
    encoded = [encode(i, pair) for i, pair in enumerate((none, one, two))]
    model = LlavaForConditionalGeneration.from_pretrained(llava, attn_implementation="sdpa").double().eval()
    with torch.no_grad():
        together = response_logprobs(model, encoded, route, "cpu")
        alone = [response_logprobs(model, [each], route, "cpu") for each in encoded]
    for name in ("chosen", "rejected"):
        expected = torch.cat([getattr(each, name) for each in alone])
        assert torch.allclose(getattr(together, name), expected, atol=1e-9)


def test_mllama_refuses_rows_with_different_numbers_of_images() -> None:
    model, processor = tiny_family("mllama")
    encode = Encoder(Prompts(processor), 512)
    one = Pair.about(picture(1), "1", "what ?", "a dog", "a cat")
    none = Pair.about(None, "2", "what ?", "a dog", "a cat")
    with pytest.raises(UsageError, match="pairs with different numbers of images cannot share a forward of this model"):
        response_logprobs(model, [encode(0, one), encode(1, none)], "plain", "cpu")
