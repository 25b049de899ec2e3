"""Families whose tower is a CLIP, SigLIP or Pixtral before a projector and a language model of its own."""

from __future__ import annotations

from typing import Any

import transformers

from tests.tiny_families import templates
from tests.tiny_families.words import IDS, text_settings, tokenizer

hf: Any = transformers
"""Untyped: settings of many classes are spread from dictionaries."""

Built = tuple[Any, Any]
"""The processor and the configuration."""
PINPOINTS = [[16, 32], [32, 16], [32, 32]]


def clip_tower(kind: Any = hf.CLIPVisionConfig, **more: Any) -> Any:
    """16 pixels in 4 patches, two layers."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return kind(**{**sizes, "image_size": 16, "patch_size": 8, **more})


def siglip_tower(**more: Any) -> Any:
    return clip_tower(hf.SiglipVisionConfig, vision_use_head=False, **more)


def pixtral_tower() -> Any:
    return clip_tower(hf.PixtralVisionConfig, image_size=32, patch_size=4)


def llava() -> Built:
    return clip_processor(templates.published("llava-1.5")), hf.LlavaConfig(
        vision_config=clip_tower(),
        text_config=hf.LlamaConfig(**text_settings()),
        image_token_id=IDS["<image>"],
        image_seq_length=4,
    )


def clip_processor(template: str) -> Any:
    """LLaVA-1.5's, with the BOS of Llama's tokeniser before every text."""
    return hf.LlavaProcessor(
        hf.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        tokenizer(adds_bos=True),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )


def vipllava() -> Built:
    return clip_processor(templates.VIPLLAVA), hf.VipLlavaConfig(
        vision_config=clip_tower(),
        text_config=hf.LlamaConfig(**text_settings()),
        image_token_index=IDS["<image>"],
        image_seq_length=4,
        vision_feature_layers=[-2, 1],
    )


def llava_next() -> Built:
    size = {"height": 16, "width": 16}
    processor = hf.LlavaNextProcessor(
        hf.LlavaNextImageProcessor(size={"shortest_edge": 16}, crop_size=size, image_grid_pinpoints=PINPOINTS),
        tokenizer(adds_bos=True),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=templates.published("llava-next-mistral"),
    )
    return processor, hf.LlavaNextConfig(
        vision_config=clip_tower(),
        text_config=hf.MistralConfig(**text_settings(), sliding_window=None),
        image_token_id=IDS["<image>"],
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=4,
    )


def llava_onevision() -> Built:
    size = {"height": 16, "width": 16}
    processor = hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=PINPOINTS),
        tokenizer(eos="<|im_end|>"),
        hf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=templates.published("llava-onevision"),
    )
    return processor, hf.LlavaOnevisionConfig(
        vision_config=siglip_tower(),
        text_config=hf.Qwen2Config(**text_settings("<|im_end|>")),
        image_token_id=IDS["<image>"],
        video_token_id=IDS["<video>"],
        image_grid_pinpoints=PINPOINTS,
    )


def pixtral() -> Built:
    return pixtral_processor(templates.published("pixtral")), hf.LlavaConfig(
        vision_config=pixtral_tower(),
        text_config=hf.MistralConfig(**text_settings(), sliding_window=None, head_dim=8),
        image_token_id=IDS["[IMG]"],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=1,
    )


def pixtral_processor(template: str, merge: int = 1) -> Any:
    return hf.PixtralProcessor(
        hf.PixtralImageProcessor(size={"longest_edge": 32}, patch_size={"height": 4, "width": 4}),
        tokenizer(adds_bos=True),
        patch_size=4,
        spatial_merge_size=merge,
        chat_template=template,
    )


def mistral3() -> Built:
    return pixtral_processor(templates.published("mistral-3"), merge=2), hf.Mistral3Config(
        vision_config=pixtral_tower(),
        text_config=hf.MistralConfig(**text_settings(), sliding_window=None, head_dim=8),
        image_token_index=IDS["[IMG]"],
        spatial_merge_size=2,
    )


def internvl() -> Built:
    from transformers.models.internvl.configuration_internvl import InternVLVisionConfig

    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    size = {"height": 16, "width": 16}
    processor = hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size=size, crop_to_patches=True, min_patches=1, max_patches=2),
        tokenizer(eos="<|im_end|>", names={**names, "video_token": "<video>"}),
        hf.InternVLVideoProcessor(size=size),
        image_seq_length=1,
        chat_template=templates.published("internvl3"),
    )
    return processor, hf.InternVLConfig(
        vision_config=clip_tower(InternVLVisionConfig, use_mean_pooling=False),
        text_config=hf.Qwen2Config(**text_settings("<|im_end|>")),
        image_token_id=IDS["<IMG_CONTEXT>"],
        image_seq_length=1,
    )


def aya_vision() -> Built:
    processor = hf.AyaVisionProcessor(
        hf.GotOcr2ImageProcessor(size={"height": 16, "width": 16}, crop_to_patches=True, max_patches=2),
        tokenizer(bos="<BOS_TOKEN>", eos="<|END_OF_TURN_TOKEN|>", adds_bos=True),
        patch_size=8,
        img_size=16,
        downsample_factor=2,
        chat_template=templates.published("aya-vision"),
    )
    return processor, hf.AyaVisionConfig(
        vision_config=siglip_tower(),
        text_config=hf.Cohere2Config(**text_settings("<|END_OF_TURN_TOKEN|>"), layer_types=WINDOWS, logit_scale=1.0),
        image_token_index=IDS["<|IMG_PATCH|>"],
        downsample_factor=2,
    )


WINDOWS = ["sliding_attention", "full_attention"]


def gemma3() -> Built:
    names = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    processor = hf.Gemma3Processor(
        hf.Gemma3ImageProcessor(size={"height": 32, "width": 32}),
        tokenizer(bos="<bos>", eos="<eos>", adds_bos=True, names=names),
        image_seq_length=4,
        chat_template=templates.published("gemma-3"),
    )
    return processor, hf.Gemma3Config(
        vision_config=siglip_tower(image_size=32),
        text_config=hf.Gemma3TextConfig(
            **text_settings("<eos>"), head_dim=8, sliding_window=64, layer_types=WINDOWS, query_pre_attn_scalar=8
        ),
        mm_tokens_per_image=4,
        image_token_id=IDS["<image_soft_token>"],
        boi_token_index=IDS["<start_of_image>"],
        eoi_token_index=IDS["<end_of_image>"],
    )


def paligemma() -> Built:
    images = hf.SiglipImageProcessor(size={"height": 16, "width": 16})
    images.image_seq_length = 4
    words = tokenizer(bos="<bos>", eos="<eos>", names={"image_token": "<image>"})
    words.add_tokens = lambda *_, **__: 0  # 1,152 marks of places, which no test uses
    processor = hf.PaliGemmaProcessor(images, words)
    return processor, hf.PaliGemmaConfig(
        vision_config=siglip_tower(),
        text_config=hf.GemmaConfig(**text_settings("<eos>"), head_dim=8),
        image_token_index=IDS["<image>"],
        projection_dim=32,
        hidden_size=32,
    )
