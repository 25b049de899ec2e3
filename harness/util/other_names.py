"""What settings are called in TRL, LLaMA-Factory and LLaVA's scripts: one table, for messages and docs/settings.md."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

NEARLY = 0.8
"""How alike (difflib's ratio) a misspelt name and the one that is meant are at least."""


@dataclass(frozen=True)
class Ours:
    """What answers to a name from elsewhere.

    Args:
        names: our setting ("lr"), that of a part ("model.dtype") or option ("--data"); the first that there is counts,
            where align and bench differ; () where there is none.
        note: how its value translates, or why there is none.
    """

    names: tuple[str, ...]
    note: str = ""


_STEP = (
    "batch_size counts the pairs of an optimiser step (per_device_train_batch_size x processes x "
    "gradient_accumulation_steps), micro_batch those of a forward"
)
_LENGTH = "one limit for prompt and response together; a prompt is never cut"
_TEXT = "on all linear layers of the language model"
_TOWER = "the opposite: train_vision=true tunes the tower"
_ADAMW = "AdamW, with betas 0.9 and 0.999 and epsilon 1e-8"
_REFERENCE = "the reference is the model that training starts from; its log-probabilities are computed once and kept"
_FOLDER = "a run is kept in $DAMA_HOME/aligned under its name"

OTHER_NAMES: Mapping[str, Ours] = {
    # training
    "learning_rate": Ours(("lr",)),
    "num_train_epochs": Ours(("epochs",), "a whole number"),
    "max_steps": Ours(("epochs",), "a run has epochs x pairs / batch_size steps; --limit takes fewer pairs"),
    "per_device_train_batch_size": Ours(("micro_batch",), _STEP),
    "train_batch_size": Ours(("batch_size",), _STEP),
    "gradient_accumulation_steps": Ours(("batch_size",), _STEP),
    "per_device_eval_batch_size": Ours(("micro_batch", "model.batch_size")),
    "lr_scheduler_type": Ours(("scheduler",)),
    "warmup_ratio": Ours(("warmup",)),
    "warmup_steps": Ours(("warmup",), "a share: warmup_steps divided by the steps of the run"),
    "bf16": Ours(("dtype", "model.dtype"), "bf16=true is dtype=bfloat16"),
    "fp16": Ours(("dtype", "model.dtype"), "training is in bfloat16 or float32"),
    "torch_dtype": Ours(("dtype", "model.dtype")),
    "infer_dtype": Ours(("model.dtype",)),
    "optim": Ours((), _ADAMW),
    "adam_beta1": Ours((), _ADAMW),
    "adam_beta2": Ours((), _ADAMW),
    "adam_epsilon": Ours((), _ADAMW),
    "max_prompt_length": Ours(("max_length",), _LENGTH),
    "max_completion_length": Ours(("max_length",), _LENGTH),
    "max_target_length": Ours(("max_length",), _LENGTH),
    "cutoff_len": Ours(("max_length",), _LENGTH),
    "model_max_length": Ours(("max_length",), _LENGTH),
    "truncation_mode": Ours((), "responses are cut from the right, prompts never"),
    "data_seed": Ours(("seed",)),
    "dataloader_num_workers": Ours(("workers",)),
    "preprocessing_num_workers": Ours(("workers",)),
    "dataset_num_proc": Ours(("workers",)),
    "disable_dropout": Ours((), "dropout is always off, so that the reward gaps of a step are not random"),
    # adapters and precision
    "lora_r": Ours(("lora_rank",)),
    "r": Ours(("lora_rank",)),
    "use_peft": Ours(("lora_rank",), "lora_rank=64 trains adapters, 0 the model in full"),
    "use_lora": Ours(("lora_rank",), "lora_rank=64 trains adapters, 0 the model in full"),
    "lora_enable": Ours(("lora_rank",), "lora_rank=64 trains adapters, 0 the model in full"),
    "finetuning_type": Ours(("lora_rank",), "lora is lora_rank=64 or so, full is lora_rank=0"),
    "train_type": Ours(("lora_rank",), "lora is lora_rank=64 or so, full is lora_rank=0"),
    "lora_dropout": Ours((), "adapters have no dropout, so that the reward gaps of a step are not random"),
    "lora_target": Ours((), f"adapters are {_TEXT}"),
    "lora_target_modules": Ours((), f"adapters are {_TEXT}"),
    "target_modules": Ours((), f"adapters are {_TEXT}"),
    "load_in_4bit": Ours(("quantize", "model.quantization"), "4bit; in training with lora_rank"),
    "load_in_8bit": Ours(("model.quantization",), "8bit for answering only"),
    "quantization_bit": Ours(("quantize", "model.quantization"), "4 is 4bit; in training with lora_rank"),
    "bits": Ours(("quantize", "model.quantization"), "4 is 4bit; in training with lora_rank"),
    "freeze_vision_tower": Ours(("train_vision",), _TOWER),
    "freeze_vit": Ours(("train_vision",), _TOWER),
    "unfreeze_mm_vision_tower": Ours(("train_vision",)),
    "attn_implementation": Ours(("attention",)),
    "flash_attn": Ours(("attention",)),
    "deepspeed": Ours(("sharding",), "zero2 or zero3"),
    "fsdp": Ours(("sharding",), "sharding=fsdp"),
    # the objective
    "pref_beta": Ours(("beta",)),
    "dpo_beta": Ours(("beta",)),
    "simpo_gamma": Ours(("gamma",)),
    "loss_type": Ours(("--method",), "sigmoid is dpo; see `list aligners`"),
    "pref_loss": Ours(("--method",), "sigmoid is dpo; see `list aligners`"),
    "rlhf_type": Ours(("--method",)),
    "stage": Ours(("--method",)),
    "ref_model": Ours((), _REFERENCE),
    "precompute_ref_log_probs": Ours((), _REFERENCE),
    # what goes in and out
    "model_name_or_path": Ours(("--model",)),
    "model_id_or_path": Ours(("--model",)),
    "dataset": Ours(("--data",)),
    "dataset_name": Ours(("--data",)),
    "dataset_path": Ours(("--data",)),
    "data_path": Ours(("--data",)),
    "train_file": Ours(("--data",)),
    "max_samples": Ours(("--limit",)),
    "max_train_samples": Ours(("--limit",)),
    "eval_dataset": Ours(("heldout",)),
    "val_dataset": Ours(("heldout",)),
    "image_folder": Ours(("--image-root",)),
    "image_dir": Ours(("--image-root",)),
    "media_dir": Ours(("--image-root",)),
    "output_dir": Ours(("--name",), _FOLDER),
    "run_name": Ours(("--name",), _FOLDER),
    "overwrite_output_dir": Ours(("--fresh",)),
    "resume_from_checkpoint": Ours(("--resume",), "the default: the last checkpoint is found by itself"),
    "save_steps": Ours(("checkpoint_every",)),
    "save_strategy": Ours(("checkpoint_every",), "a number of steps; 0 saves no checkpoint"),
    "save_total_limit": Ours((), "the last two checkpoints are kept until the run is done"),
    "eval_steps": Ours(("probe_every",)),
    "eval_strategy": Ours(("probe_every",), "a number of steps"),
    "logging_steps": Ours((), "every step is logged"),
    # how a model is asked
    "template": Ours(("model.template",), "a chat template: a file or its text"),
    "chat_template": Ours(("model.template",)),
    "default_system": Ours(("model.system",)),
    "enable_thinking": Ours(("model.thinking",), "on or off"),
    "system": Ours(("model.system",)),
    "thinking": Ours(("model.thinking",), "on or off"),
    "min_pixels": Ours(("model.min_pixels",)),
    "max_pixels": Ours(("model.max_pixels",)),
    "image_min_pixels": Ours(("model.min_pixels",)),
    "image_max_pixels": Ours(("model.max_pixels",)),
    "model_revision": Ours(("model.revision",)),
    "revision": Ours(("model.revision",)),
    "trust_remote_code": Ours(("model.trust_remote_code",)),
    # answering
    "max_tokens": Ours(("decoding.max_new_tokens",)),
    "max_new_tokens": Ours(("decoding.max_new_tokens",)),
    "num_beams": Ours(("decoding.num_beams",)),
    "temperature": Ours(("decoding.temperature",)),
    "do_sample": Ours(("decoding.temperature",), "0 is greedy"),
    "batch_size": Ours(("model.batch_size",)),
    "gen_kwargs": Ours(("decoding.max_new_tokens",), "one setting each: decoding.num_beams, decoding.temperature"),
}
"""Names of TRL's DPOConfig, ModelConfig and script arguments, LLaMA-Factory, ms-swift and LLaVA's scripts by ours."""


def in_our_words(name: str, known: Collection[str]) -> str:
    """What is called ``name`` elsewhere, in our words, or why there is no such setting; "" where nothing answers to it.

    ``known``: the settings that can be set where ``name`` was, of parts with the part's name ("model.dtype"). A name
    that nobody has is read as the one from elsewhere that it nearly is, unless one of ours is nearer.
    """
    if name in OTHER_NAMES:
        return _answer(OTHER_NAMES[name], known)
    answers = {other: answer for other, ours in OTHER_NAMES.items() if (answer := _answer(ours, known))}
    of_ours = {each.rpartition(".")[2] for each in known}
    near = difflib.get_close_matches(name, {*of_ours, *answers}, n=1, cutoff=NEARLY)
    return f"Did you mean {near[0]!r}? {answers[near[0]]}" if near and near[0] not in of_ours else ""


def _answer(ours: Ours, known: Collection[str]) -> str:
    if not ours.names:
        return f"It has no counterpart here: {ours.note}."
    fitting = (each for each in ours.names if each.startswith("--") or each in known)
    called = next(fitting, "")
    return f"Here it is {called}{f' ({ours.note})' if ours.note else ''}." if called else ""
