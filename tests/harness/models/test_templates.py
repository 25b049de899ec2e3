"""Prompt, answer and end of turn from templates of the structure that published models have."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

from harness.errors import UsageError
from harness.models.prompts import Prompts
from harness.models.settings import PromptSettings
from harness.protocols.conversation import Image, Turn, question
from tests.harness.models.chat_templates import PUBLISHED, Published

ASKED = (question("q", Image()),)
OWN_SYSTEM = {"qwen2.5-vl": "You are a helpful assistant.", "mistral-3": "It is 2026-01-01"}
"""Those whose template writes a system message where a conversation has none."""


def processor_of(case: Published) -> Any:
    """Bytes as tokens, the case's own special tokens, and a BOS before every text, as Llama's tokeniser writes it."""
    texts = case.template + case.asked + case.end + case.image
    marks = re.findall(r"<\|?/?[\w]+\|?>|\[/?[A-Z]+\]", texts)
    special = sorted({*marks, case.bos, case.eos, case.image, *case.ends} - {"<think>", "</think>"})
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    table = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    table.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    table.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    table.add_tokens(["<think>", "</think>"])
    table.post_processor = processors.TemplateProcessing(
        single=f"{case.bos} $A", special_tokens=[(case.bos, table.token_to_id(case.bos))]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=table, bos_token=case.bos, eos_token=case.eos)
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        tokenizer,
        patch_size=8,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        image_token=case.image,
    )
    processor.chat_template = case.template
    return processor


def prompts_of(case: Published, **settings: Any) -> Prompts:
    processor = processor_of(case)
    ends = frozenset(processor.tokenizer.convert_tokens_to_ids(list(case.ends or (case.eos,))))
    off = {"thinking": "off"} if case.off else {}
    return Prompts(processor, ends, PromptSettings(**{**off, **settings}), asked=PromptSettings(**settings))


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_answer_is_trained_after_what_is_asked_up_to_its_own_end(name: str) -> None:
    case = PUBLISHED[name]
    prompts = prompts_of(case)
    form = prompts.form(ASKED)
    assert (form.prompt, form.lead, form.end) == (case.asked, case.lead, case.end)
    assert prompts.text(ASKED) == form.prompt
    assert "<think>" not in form.lead and form.prompt.count("<think>") == form.prompt.count("</think>")
    tokenizer = prompts.processor.tokenizer
    assert tokenizer.convert_tokens_to_ids(case.end.strip()) in prompts.stops
    bos = tokenizer.bos_token_id
    special = prompts.adds_special_tokens(form.prompt)
    ids = tokenizer(form.answered("a"), add_special_tokens=special)["input_ids"]
    assert ids[0] == bos and (ids.count(bos) == 1 or case.bos == "<|im_start|>")
    assert ids.count(tokenizer.convert_tokens_to_ids(case.image)) == 1


@pytest.mark.parametrize("name", [name for name in PUBLISHED if PUBLISHED[name].off])
def test_no_answer_is_trained_inside_thoughts(name: str) -> None:
    prompts = prompts_of(PUBLISHED[name], thinking="auto")
    prompts.check()
    with pytest.raises(UsageError, match=r"thoughts that it does not have.*model\.thinking=off"):
        prompts.check(training=True)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_system_message_goes_where_the_template_has_it_or_is_refused(name: str) -> None:
    case = PUBLISHED[name]
    prompts = prompts_of(case, system="sys")
    if not case.system:
        with pytest.raises(UsageError, match="Only user and assistant roles"):
            prompts.text(ASKED)
        return
    assert prompts.text(ASKED) == case.system
    own = (Turn("system", ("sys",)), *ASKED)
    assert prompts_of(case, system="another").text(own) == case.system, "a conversation's own comes first"


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_system_message_is_refused_where_the_template_writes_one_of_its_own(name: str) -> None:
    """A default that stands in the published template, in the prompt of a conversation without any."""
    own = OWN_SYSTEM.get(name)
    prompts = prompts_of(PUBLISHED[name], system="")
    assert (own or "") in prompts.text(ASKED)
    if own:
        with pytest.raises(UsageError, match=re.escape(f"one of its own ({own!r}")):
            prompts.check()
    else:
        prompts.check()
        assert prompts.text(ASKED) == prompts_of(PUBLISHED[name]).text(ASKED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_conversation_of_several_turns_keeps_what_was_said(name: str) -> None:
    turns = (*ASKED, Turn("assistant", ("first answer",)), question("second question"))
    form = prompts_of(PUBLISHED[name]).form(turns)
    assert form.prompt.index("first answer") < form.prompt.index("second question")
    assert form.end == PUBLISHED[name].end


def test_only_the_prompts_own_thoughts_are_closed() -> None:
    """A question that holds the word <think> is not taken for open thoughts."""
    prompts = prompts_of(PUBLISHED["qwen3-vl"], thinking="off")
    assert prompts.text((question("what does <think> mean?"),)).endswith("<|im_start|>assistant\n")


def test_a_template_that_leaves_the_image_out_or_writes_it_twice_is_refused() -> None:
    case = PUBLISHED["qwen3-vl"]
    twice, none = (case.template.replace("<|image_pad|>", image) for image in ("<|image_pad|><|image_pad|>", ""))
    for template in (twice, none):
        with pytest.raises(UsageError, match="times for 1 images"):
            prompts_of(dataclasses.replace(case, template=template)).check()


def test_thoughts_cannot_be_switched_where_the_template_knows_none() -> None:
    for switch, training in itertools.product(("on", "off"), (True, False)):
        with pytest.raises(UsageError, match=f"model.thinking={switch}: this chat template knows no thoughts"):
            prompts_of(PUBLISHED["llava-1.5"], thinking=switch).check(training=training)
    trained = Prompts(processor_of(PUBLISHED["llava-1.5"]), settings=PromptSettings(thinking="on"))
    trained.check()  # as older versions recorded it: nobody asks for it now, and nothing is asked otherwise
    prompts = prompts_of(PUBLISHED["qwen3.5"], thinking="on")
    prompts.check()
    assert prompts.text(ASKED).endswith("<think>\n")


@pytest.mark.parametrize(("text", "what"), [("a <image> tag", "an image"), ("it ends </s> here", "a control token")])
def test_a_text_that_holds_a_token_with_a_meaning_is_refused(text: str, what: str) -> None:
    prompts = prompts_of(PUBLISHED["llava-1.5"])
    with pytest.raises(UsageError, match=what):
        prompts.text((Turn("user", (Image(), text)),))
    with pytest.raises(UsageError, match=what):
        prompts.require_plain("fine", text)
