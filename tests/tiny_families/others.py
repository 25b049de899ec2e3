"""Families with a tower, positions or attention of their own: Qwen-VL, GLM-4V, Idefics, Mllama, LFM2-VL."""

from __future__ import annotations

from typing import Any

import transformers

from tests.tiny_families import templates
from tests.tiny_families.llava_like import Built, clip_tower
from tests.tiny_families.words import IDS, text_settings, tokenizer

hf: Any = transformers
"""Untyped: settings of many classes are spread from dictionaries."""

PATCHES = {"patch_size": 4, "min_pixels": 64, "max_pixels": 1024}
MROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
EXPERTS = {"moe_intermediate_size": 16, "num_experts_per_tok": 2}


def qwen_text(**more: Any) -> dict[str, Any]:
    return {**text_settings("<|im_end|>"), "rope_parameters": MROPE, **more}


def qwen_tokens() -> dict[str, int]:
    names = ("vision_start", "vision_end")
    ids = {f"{name}_token_id": IDS[f"<|{name}|>"] for name in names}
    return {**ids, "image_token_id": IDS["<|image_pad|>"], "video_token_id": IDS["<|video_pad|>"]}


def qwen_processor(kind: Any, template: str, video: Any = hf.Qwen2VLVideoProcessor) -> Any:
    return kind(
        hf.Qwen2VLImageProcessor(**PATCHES), tokenizer(eos="<|im_end|>"), video(**PATCHES), chat_template=template
    )


def qwen2_vl() -> Built:
    vision = {"depth": 2, "embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 2, "patch_size": 4}
    return qwen_processor(hf.Qwen2VLProcessor, templates.published("qwen2.5-vl")), hf.Qwen2VLConfig(
        text_config=qwen_text(), vision_config=vision, **qwen_tokens()
    )


def qwen2_5_vl() -> Built:
    vision = {**QWEN3_TOWER, "window_size": 16, "fullatt_block_indexes": [1]}
    del vision["num_position_embeddings"]
    return qwen_processor(hf.Qwen2_5_VLProcessor, templates.published("qwen2.5-vl")), hf.Qwen2_5_VLConfig(
        text_config=qwen_text(), vision_config=vision, **qwen_tokens()
    )


QWEN3_TOWER = {
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_heads": 2,
    "patch_size": 4,
    "out_hidden_size": 32,
    "num_position_embeddings": 64,
}


def qwen3_processor(template: str) -> Any:
    return qwen_processor(hf.Qwen3VLProcessor, template, hf.Qwen3VLVideoProcessor)


def qwen3_vl() -> Built:
    return qwen3_processor(templates.published("qwen3-vl")), hf.Qwen3VLConfig(
        text_config=qwen_text(head_dim=8),
        vision_config={**QWEN3_TOWER, "deepstack_visual_indexes": [0]},
        **qwen_tokens(),
    )


def qwen3_vl_moe() -> Built:
    return qwen3_processor(templates.published("qwen3-vl")), hf.Qwen3VLMoeConfig(
        text_config=qwen_text(head_dim=8, num_experts=4, **EXPERTS),
        vision_config={**QWEN3_TOWER, "deepstack_visual_indexes": [0]},
        **qwen_tokens(),
    )


def qwen3_5(kind: Any = hf.Qwen3_5Config, **more: Any) -> Built:
    linear = {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2}
    kinds = ["linear_attention", "full_attention"]
    text = qwen_text(head_dim=16, linear_num_value_heads=4, layer_types=kinds, **linear, **more)
    return qwen3_processor(templates.published("qwen3.5")), kind(
        text_config={**text, "rope_parameters": {**MROPE, "partial_rotary_factor": 0.5}},
        vision_config=QWEN3_TOWER,
        **qwen_tokens(),
    )


def qwen3_5_moe() -> Built:
    return qwen3_5(hf.Qwen3_5MoeConfig, num_experts=4, shared_expert_intermediate_size=16, **EXPERTS)


GLM_TOKENS = {
    "image_token_id": IDS["<|image|>"],
    "video_token_id": IDS["<|video|>"],
    "image_start_token_id": IDS["<|begin_of_image|>"],
    "image_end_token_id": IDS["<|end_of_image|>"],
    "video_start_token_id": IDS["<|begin_of_video|>"],
    "video_end_token_id": IDS["<|end_of_video|>"],
}
GLM_TOWER = {
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_heads": 2,
    "patch_size": 4,
    "image_size": 32,
    "out_hidden_size": 32,
}


def glm_processor() -> Any:
    return hf.Glm4vProcessor(
        hf.Glm4vImageProcessor(patch_size=4, size={"shortest_edge": 64, "longest_edge": 2048}),
        tokenizer(bos="[gMASK]", eos="<|endoftext|>"),
        hf.Glm4vVideoProcessor(patch_size=4),
        chat_template=templates.published("glm-4v"),
    )


def glm_text(**more: Any) -> dict[str, Any]:
    """A turn ends where the next one begins."""
    ends = [IDS["<|endoftext|>"], IDS["<|user|>"]]
    return {**text_settings("<|endoftext|>"), "eos_token_id": ends, "rope_parameters": MROPE, **more}


def glm4v() -> Built:
    return glm_processor(), hf.Glm4vConfig(text_config=glm_text(), vision_config=GLM_TOWER, **GLM_TOKENS)


def glm4v_moe() -> Built:
    text = glm_text(n_routed_experts=4, rope_parameters={**MROPE, "partial_rotary_factor": 1.0}, **EXPERTS)
    return glm_processor(), hf.Glm4vMoeConfig(text_config=text, vision_config=GLM_TOWER, **GLM_TOKENS)


def idefics2() -> Built:
    from transformers.models.idefics2.configuration_idefics2 import Idefics2VisionConfig

    processor = hf.Idefics2Processor(
        hf.Idefics2ImageProcessor(size={"shortest_edge": 8, "longest_edge": 16}, do_image_splitting=False),
        tokenizer(eos="<end_of_utterance>", adds_bos=True),
        image_seq_len=2,
        chat_template=templates.published("idefics2"),
    )
    latents = {"hidden_size": 32, "resampler_n_latents": 2, "resampler_depth": 1, "resampler_n_heads": 2}
    return processor, hf.Idefics2Config(
        vision_config=clip_tower(Idefics2VisionConfig),
        perceiver_config={**latents, "resampler_head_dim": 8, "num_key_value_heads": 2},
        text_config=hf.MistralConfig(**text_settings("<end_of_utterance>")),
        image_token_id=IDS["<image>"],
    )


def idefics3() -> Built:
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

    return idefics3_processor(templates.published("idefics3"), bos="<s>"), hf.Idefics3Config(
        vision_config=clip_tower(Idefics3VisionConfig),
        text_config=hf.LlamaConfig(**text_settings("<end_of_utterance>")),
        **IDEFICS3,
    )


IDEFICS3 = {"image_token_id": IDS["<image>"], "scale_factor": 2, "pad_token_id": 0}


def idefics3_processor(template: str, bos: str) -> Any:
    return hf.Idefics3Processor(
        hf.Idefics3ImageProcessor(size={"longest_edge": 32}, max_image_size={"longest_edge": 16}),
        tokenizer(bos=bos, eos="<end_of_utterance>", adds_bos=True),
        image_seq_len=1,
        chat_template=template,
    )


def smolvlm() -> Built:
    from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig

    # SmolVLM's own processor wants num2words for its videos; for images it does what Idefics3's does.
    return idefics3_processor(templates.published("smolvlm"), bos="<|im_start|>"), hf.SmolVLMConfig(
        vision_config=clip_tower(SmolVLMVisionConfig),
        text_config=hf.LlamaConfig(**text_settings("<end_of_utterance>")),
        **IDEFICS3,
    )


def mllama() -> Built:
    from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig

    processor = hf.MllamaProcessor(
        hf.MllamaImageProcessor(size={"height": 16, "width": 16}, max_image_tiles=2),
        tokenizer(bos="<|begin_of_text|>", eos="<|eot_id|>", adds_bos=True),
        chat_template=templates.published("mllama"),
    )
    tower = MllamaVisionConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_global_layers=2,
        attention_heads=2,
        intermediate_size=32,
        vision_output_dim=48,
        image_size=16,
        patch_size=8,
        max_num_tiles=2,
        intermediate_layers_indices=[0, 1],
        supported_aspect_ratios=[[1, 1], [1, 2], [2, 1]],
    )
    text = MllamaTextConfig(**text_settings("<|eot_id|>"), cross_attention_layers=[1])
    return processor, hf.MllamaConfig(vision_config=tower, text_config=text, image_token_index=IDS["<|image|>"])


def lfm2_vl() -> Built:
    from transformers.models.siglip2.configuration_siglip2 import Siglip2VisionConfig

    tiles = {"tile_size": 16, "encoder_patch_size": 4, "min_image_tokens": 2, "max_image_tokens": 4}
    processor = hf.Lfm2VlProcessor(
        hf.Lfm2VlImageProcessor(size={"height": 16, "width": 16}, max_tiles=2, **tiles),
        tokenizer(bos="<|startoftext|>", eos="<|im_end|>", adds_bos=True),
        chat_template=templates.published("lfm2-vl"),
    )
    tower = clip_tower(Siglip2VisionConfig, patch_size=4, num_patches=16, vision_use_head=False)
    text = hf.Lfm2Config(
        **text_settings("<|im_end|>"), layer_types=["conv", "full_attention"], block_auto_adjust_ff_dim=False
    )
    return processor, hf.Lfm2VlConfig(
        vision_config=tower, text_config=text, image_token_id=IDS["<image>"], projector_hidden_size=16
    )
