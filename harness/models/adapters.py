"""Adapters of peft on a model: put in effect one on top of the other, and checked to be what they claim."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from harness.errors import UsageError
from harness.models.checks import CANNOT_LOAD, CANNOT_READ, reason, require_adapter
from harness.models.model_files import ADAPTER_CONFIG

OLDER_NAMES = {
    r"^language_model\.model\.": "model.language_model.",
    r"^language_model\.(?!model\.)": "model.language_model.",
    r"^model\.(?=layers\.)": "model.language_model.",
    r"^visual\.": "model.visual.",
}
"""What transformers before 4.52 called modules, and calls them now."""

PARTED = "embeddings parted from the head"
"""What a record says of a model whose adapter changes one of two ends that share a weight."""
NOT_ABOVE = ("use_dora", "trainable_token_indices", "layer_replication", "bias")
"""Settings of LoRA under which an adapter is no sum with the adapters below it."""


def present_name(module: str) -> str:
    """What transformers calls ``module`` now, of which an adapter may hold the older name."""
    for older, name in OLDER_NAMES.items():
        if re.match(older, module):
            return re.sub(older, name, module)
    return module


def with_adapters(model: Any, adapters: Sequence[str], named: str, *, fold: bool) -> Any:
    """``model`` with ``adapters`` (directories) in effect, each trained on top of those before it; none is trained.

    With ``fold`` they are added to the weights, which float32 can hold. Otherwise they stay beside the weights: half
    precision would round small updates away, and quantised weights cannot be added to.
    Raises UsageError for an adapter that does not belong to the model.
    """
    if fold:
        for adapter in adapters:
            adapted = _put_on(model, adapter, _config(adapter, named), "default", named)
            _fill(adapted, adapter, "default", named)
            model = merged(adapted)
        return model
    if not adapters:
        return model
    names = [f"start{position}" for position in range(len(adapters))]
    adapted = _put_on(model, adapters[0], _config(adapters[0], named), names[0], named)
    for name, adapter in zip(names, adapters, strict=True):
        if name != names[0]:
            _config_above(adapter, named)
        _fill(adapted, adapter, name, named)
    base = adapted.get_base_model()  # type: ignore[no-untyped-call]
    del base.peft_config  # what is trained on it is saved without these
    put_in_effect(base)
    return base


def merged(adapted: Any) -> Any:
    """The model of a PeftModel with its adapter added to the weights.

    Where input embeddings and head share a weight, and the adapter changes one of them or each in its own way, they are
    parted first: peft would change both (huggingface/peft#2018).
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch.nn import Parameter

    model = adapted.get_base_model()
    words, head = model.get_input_embeddings(), model.get_output_embeddings()
    if ends_are_one(model) and (isinstance(words, BaseTunerLayer) or isinstance(head, BaseTunerLayer)):
        below: Any = head.get_base_layer() if isinstance(head, BaseTunerLayer) else head
        below.weight = Parameter(below.weight.detach().clone(), requires_grad=False)
    return adapted.merge_and_unload()


def ends_are_one(model: Any) -> bool:
    """Whether input embeddings and head of ``model`` share a weight."""
    words, head = model.get_input_embeddings(), model.get_output_embeddings()
    return head is not None and words.weight is head.weight


def trained_further(model: Any, adapter: str, named: str) -> Any:
    """``model`` with ``adapter`` on it as a PeftModel whose adapter can be trained; ``with_adapters`` came before."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    lies_above = any(isinstance(layer, BaseTunerLayer) for layer in model.modules())
    config = (_config_above if lies_above else _config)(adapter, named)
    config.inference_mode, config.base_model_name_or_path = False, model.name_or_path
    adapted = _put_on(model, adapter, config, "default", named)
    _fill(adapted, adapter, "default", named)
    put_in_effect(adapted)
    return adapted


def put_in_effect(model: Any, trained: str | None = None) -> None:
    """Switch on every adapter of ``model``, in all layers that it has; ``trained`` is the only one that learns.

    A run is asked with the layers that it was trained with, so that half precision rounds alike. Of modules that
    adapters hold as a whole (``modules_to_save``) the last adapter's is in effect, as if folded.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    from harness.models.lora_layer import add_in_one_product

    for layer in model.modules():
        if isinstance(layer, AuxiliaryTrainingWrapper):
            layer.set_adapter(_in_order(layer._adapters)[-1:])
        elif isinstance(layer, BaseTunerLayer):
            layer.set_adapter(_in_order(layer._get_available_adapters()))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained is not None and f".{trained}." in f"{name}.")
    add_in_one_product(model)


def of_adapter(state: dict[str, Any]) -> dict[str, Any]:
    """``state`` without the adapters that training started from, which peft would save as well."""
    return {name: tensor for name, tensor in state.items() if not re.search(r"\.start\d+(\.|$)", name)}


def _in_order(names: Iterable[str]) -> list[str]:
    """Names of adapters in the order in which they were trained: start0, start1..., and the one in training."""
    return sorted(names, key=lambda name: (name == "default", len(name), name))


def _config_above(adapter: str, named: str) -> Any:
    """The configuration of an adapter that stays on top of others that are not added to the weights.

    Raises UsageError for one whose effect depends on the weights below it, which peft computes without those others.
    """
    config = _config(adapter, named)
    own = [name for name in NOT_ABOVE if getattr(config, name, None) not in (None, False, "none")]
    if config.peft_type.value != "LORA" or own:
        raise UsageError(
            f"{named}: {adapter} ({', '.join([config.peft_type.value, *own])}) was trained on top of another "
            "adapter, and in half precision or on quantised weights it would be another model there. Ask it in "
            "float32 (bench: --set model.dtype=float32), or merge it: python cli.py export-model RUN --merge."
        )
    return config


def _config(adapter: str, named: str) -> Any:
    from peft import PeftConfig

    try:
        config: Any = PeftConfig.from_pretrained(adapter)
    except CANNOT_LOAD as error:
        raise UsageError(f"{named}: {adapter}/{ADAPTER_CONFIG} is no adapter's ({reason(error)}).") from error
    if config.is_prompt_learning:
        raise UsageError(f"{named}: {adapter} is a {config.peft_type.value}, not a LoRA or another adapter of weights.")
    config.inference_mode = True
    return config


def _put_on(model: Any, adapter: str, config: Any, name: str, named: str) -> Any:
    """``model`` with places for the weights of ``adapter`` of this ``config``, under ``name``. Raises UsageError."""
    from peft import PeftModel

    try:
        return PeftModel(model, config, name)
    except CANNOT_LOAD as error:
        raise UsageError(f"{named}: adapter {adapter} does not fit the model: {reason(error)}") from error


def _fill(adapted: Any, adapter: str, name: str, named: str) -> None:
    """Load ``adapter``'s weights under ``name``, by the names of older versions of transformers if by no others."""
    try:
        result = adapted.load_adapter(adapter, name)
        if result.unexpected_keys:
            older = adapted.load_adapter(adapter, name, key_mapping=OLDER_NAMES)
            result = older if len(older.unexpected_keys) < len(result.unexpected_keys) else result
    except KeyError as error:  # modules_to_save
        raise UsageError(
            f"{named}: adapter {adapter} lacks weights that its {ADAPTER_CONFIG} names: {error}. Take it whole."
        ) from error
    except (ValueError, *CANNOT_READ) as error:  # of another size; for modules that are not there; no weights
        raise UsageError(f"{named}: adapter {adapter} does not fit the model: {reason(error)}") from error
    own = {key: value for key, value in adapted.state_dict().items() if name in key.split(".")}
    scales = [getattr(layer, "scaling", {}) for layer in adapted.modules()]
    scaling = [scale[name] for scale in scales if isinstance(scale, dict) and name in scale]
    require_adapter(result.missing_keys, result.unexpected_keys, own, f"{named}: adapter {adapter}", scaling)
