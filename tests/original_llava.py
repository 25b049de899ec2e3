"""A tiny LLaVA as its own repository saves and runs it, written after its published code and with nothing of ours.

The forward is plain: image features in the place of the token -200, those of the second last layer of CLIP without its
class token, through Linear, GELU, Linear. It shares no code with transformers' LLaVA or with the conversion.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from tests.tiny import WORDS, tiny_tokenizer

IMAGE = -200
SPECIAL = ["<unk>", "<s>", "</s>"]


class OriginalLlava(nn.Module):
    """Modules and names as in ``llava/model``: model.* of a Llama, mm_projector, vision_tower.vision_tower, lm_head."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.tower = CLIPVisionModel(tower_config())
        self.llama = LlamaForCausalLM(LlamaConfig(**text_config()))
        wide = text_config()["hidden_size"]
        self.projector = nn.Sequential(nn.Linear(16, wide), nn.GELU(), nn.Linear(wide, wide))
        with torch.no_grad():
            for weight in self.parameters():
                if weight.dim() > 1:
                    weight.normal_(0, 0.2)

    def forward(self, ids: list[int], pixels: Tensor) -> Tensor:
        """Logits [tokens, vocabulary] of one prompt with one image at the token -200."""
        hidden = self.tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
        image = self.projector(hidden)[0]
        at = ids.index(IMAGE)
        before, after = (self.llama.model.embed_tokens(torch.tensor(part)) for part in (ids[:at], ids[at + 1 :]))
        rows = torch.cat([before, image, after])
        logits: Tensor = self.llama(inputs_embeds=rows[None]).logits[0]
        return logits

    def state(self, *, with_tower: bool) -> dict[str, Tensor]:
        """The state dict under the names of LLaVA's repository."""
        tower = {
            f"model.vision_tower.vision_tower.vision_model.{bare(n)}": t for n, t in self.tower.state_dict().items()
        }
        projector = {f"model.mm_projector.{name}": t for name, t in self.projector.state_dict().items()}
        return {**self.llama.state_dict(), **projector, **(tower if with_tower else {})}


def bare(name: str) -> str:
    return name.removeprefix("vision_model.")


def tower_config() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=14
    )


def text_config() -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return {**sizes, "num_key_value_heads": 2, "vocab_size": len(SPECIAL) + len(WORDS), "rms_norm_eps": 1e-5}


def original_config(**changes: Any) -> dict[str, Any]:
    """config.json as released checkpoints have it."""
    return {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava_llama",
        **text_config(),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "freeze_mm_mlp_adapter": False,
        "hidden_act": "silu",
        "image_aspect_ratio": "pad",
        "max_position_embeddings": 256,
        "mm_hidden_size": 16,
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": "/home/somebody/clip-vit-large-patch14-336",
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "tune_mm_mlp_adapter": False,
        "use_mm_proj": True,
        **changes,
    }


def save_original(model: OriginalLlava, folder: Path, *, with_tower: bool, older: bool = False, **changes: Any) -> Path:
    """Write ``model`` as a released checkpoint, in two shards; ``older`` writes pytorch_model-*.bin."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(original_config(**changes)))
    tiny_tokenizer(SPECIAL, pad="<unk>").save_pretrained(folder)
    state = {name: tensor.clone() for name, tensor in model.state(with_tower=with_tower).items()}
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    names = sorted(state)
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard = {name: state[name] for name in part}
        if older:
            torch.save(shard, folder / f"pytorch_model-{number:05d}-of-00002.bin")
        else:
            save_file(shard, folder / f"model-{number:05d}-of-00002.safetensors", metadata={"format": "pt"})
    return folder


def save_tower(model: OriginalLlava, folder: Path) -> Path:
    """Write the vision tower as openai/clip-vit-large-patch14-336 has it, text model and all."""
    folder.mkdir(parents=True)
    state = {f"vision_model.{bare(name)}": tensor for name, tensor in model.tower.state_dict().items()}
    state |= {"text_model.embeddings.token_embedding.weight": torch.zeros(2, 2), "logit_scale": torch.zeros(())}
    torch.save(state, folder / "pytorch_model.bin")
    vision = tower_config().to_dict()
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": vision, "text_config": {}}))
    images = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    images.save_pretrained(folder)
    return folder


def save_original_lora(model: OriginalLlava, folder: Path, base: str, seed: int) -> Path:
    """Change ``model`` at random, by LoRA and in its projector, and write what LLaVA's LoRA training writes."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    state: dict[str, Tensor] = {}
    modules = dict(model.llama.named_modules())
    with torch.no_grad():
        for name in [n for n, m in modules.items() if isinstance(m, nn.Linear) and n != "lm_head"]:
            layer = modules[name]
            first, second = torch.randn(2, layer.in_features) * 0.1, torch.randn(layer.out_features, 2) * 0.1
            layer.weight += 4 / 2 * second @ first
            state[f"base_model.model.{name}.lora_A.weight"] = first
            state[f"base_model.model.{name}.lora_B.weight"] = second
        for weight in model.projector.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    torch.save(state, folder / "adapter_model.bin")
    trained = {f"base_model.model.model.mm_projector.{n}": t for n, t in model.projector.state_dict().items()}
    torch.save(trained, folder / "non_lora_trainables.bin")
    (folder / "config.json").write_text(json.dumps(original_config()))
    adapter = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": base, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(adapter | {"target_modules": ["q_proj", "v_proj"]}))
    return folder
