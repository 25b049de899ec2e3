"""A random model of a few thousand weights for every supported family, with a processor made offline."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessor,
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ImageProcessor,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaNextConfig,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    SiglipVisionConfig,
    SmolVLMConfig,
)

from tests.tiny import WORDS

FAMILIES = ("llava", "llava_next", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "idefics3", "smolvlm")
SPECIAL = [
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    "<image>",
    "<video>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<fake_token_around_image>",
    "<end_of_utterance>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
]
IDS = {token: place for place, token in enumerate(SPECIAL)}
PLAIN_IMAGE = "<image> "
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|> "


def tiny_family(family: str, seed: int = 0) -> tuple[Any, Any]:
    """Model (float64, sdpa, train mode off) and processor of ``family``."""
    text, processor, config = BUILDERS[family]()
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config, attn_implementation="sdpa").double().eval()
    assert model.config.model_type == family and model.config.get_text_config().vocab_size == text["vocab_size"]
    with torch.no_grad():  # the default is too small for images to matter
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.2)
    return model, processor


def template(image: str) -> str:
    return (
        "{% for message in messages %}{% if message['role'] == 'assistant' %} ASSISTANT : {% else %}USER : {% endif %}"
        "{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}" + image + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
        "{% if message['role'] == 'assistant' %} </s>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %} ASSISTANT :{% endif %}"
    )


def tokenizer(image: str = "<image>") -> Any:
    table = Tokenizer(WordLevel({word: i for i, word in enumerate(SPECIAL + WORDS)}, unk_token="<unk>"))
    table.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=table,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=SPECIAL[4:],
    )


def text_settings() -> dict[str, Any]:
    return {
        "vocab_size": len(SPECIAL) + len(WORDS),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }


def clip_tower() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )


def siglip_tower(kind: Any = SiglipVisionConfig) -> Any:
    return kind(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )


Built = tuple[dict[str, Any], Any, Any]


def llava() -> Built:
    text = text_settings()
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(PLAIN_IMAGE),
    )
    return (
        text,
        processor,
        LlavaConfig(vision_config=clip_tower(), text_config=LlamaConfig(**text), image_token_id=4, image_seq_length=4),
    )


def llava_next() -> Built:
    text, pinpoints = text_settings(), [[16, 32], [32, 16], [32, 32]]
    processor = LlavaNextProcessor(
        LlavaNextImageProcessor(
            size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, image_grid_pinpoints=pinpoints
        ),
        tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(PLAIN_IMAGE),
    )
    config = LlavaNextConfig(
        vision_config=clip_tower(),
        text_config=LlamaConfig(**text),
        image_token_id=4,
        image_grid_pinpoints=pinpoints,
        image_seq_length=4,
    )
    return text, processor, config


def llava_onevision() -> Built:
    text, pinpoints = text_settings(), [[16, 32], [32, 16], [32, 32]]
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size={"height": 16, "width": 16}, image_grid_pinpoints=pinpoints),
        tokenizer(),
        LlavaOnevisionVideoProcessor(size={"height": 16, "width": 16}),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=template(PLAIN_IMAGE),
    )
    config = LlavaOnevisionConfig(
        vision_config=siglip_tower(),
        text_config=Qwen2Config(**text),
        image_token_id=4,
        video_token_id=5,
        image_grid_pinpoints=pinpoints,
    )
    return text, processor, config


def qwen2_5_vl() -> Built:
    text = text_settings()
    sizes = {"patch_size": 4, "min_pixels": 64, "max_pixels": 1024}
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(**sizes),
        tokenizer(),
        Qwen2VLVideoProcessor(**sizes),
        chat_template=template(QWEN_IMAGE),
    )
    vision = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": 4,
        "window_size": 16,
        "fullatt_block_indexes": [1],
        "out_hidden_size": 32,
    }
    rope = {"rope_type": "default", "type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    return (
        text,
        processor,
        Qwen2_5_VLConfig(text_config={**text, "rope_parameters": rope}, vision_config=vision, **qwen_tokens()),
    )


def qwen2_vl() -> Built:
    text = text_settings()
    sizes = {"patch_size": 4, "min_pixels": 64, "max_pixels": 1024}
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(**sizes),
        tokenizer(),
        Qwen2VLVideoProcessor(**sizes),
        chat_template=template(QWEN_IMAGE),
    )
    vision = {"depth": 2, "embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 2, "patch_size": 4}
    rope = {"rope_type": "default", "type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    return (
        text,
        processor,
        Qwen2VLConfig(text_config={**text, "rope_parameters": rope}, vision_config=vision, **qwen_tokens()),
    )


def qwen_tokens() -> dict[str, int]:
    names = ("vision_start", "vision_end")
    ids = {f"{name}_token_id": IDS[f"<|{name}|>"] for name in names}
    return {**ids, "image_token_id": IDS["<|image_pad|>"], "video_token_id": IDS["<|video_pad|>"]}


def idefics3() -> Built:
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

    text = text_settings()
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size={"longest_edge": 32}, max_image_size={"longest_edge": 16}),
        tokenizer(),
        image_seq_len=1,
        chat_template=template(PLAIN_IMAGE),
    )
    vision = siglip_tower(Idefics3VisionConfig)
    config = Idefics3Config(
        image_token_id=4, vision_config=vision, text_config=LlamaConfig(**text), scale_factor=2, pad_token_id=0
    )
    return text, processor, config


def smolvlm() -> Built:
    from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig

    text = text_settings()
    # SmolVLM's own processor wants num2words for its videos; for images it does what Idefics3's does.
    processor = idefics3()[1]
    vision = siglip_tower(SmolVLMVisionConfig)
    config = SmolVLMConfig(
        image_token_id=4, vision_config=vision, text_config=LlamaConfig(**text), scale_factor=2, pad_token_id=0
    )
    return text, processor, config


BUILDERS = {
    "llava": llava,
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
}
