"""Loading a transformers model with its processor: one way for training and for generation."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.utils.tqdm import enable_progress_bars
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import cached_file, extract_commit_hash

from harness.errors import HarnessError, Unreachable, UsageError
from harness.models.adapters import PARTED, ends_are_one, with_adapters
from harness.models.checks import CANNOT_LOAD, reason, require_finite, require_loaded, require_whole, unreachable
from harness.models.device_errors import out_of_memory
from harness.models.origin import at_revision, require_start, trained_revision
from harness.models.processors import hub_options, load_prompts, prompts_of
from harness.models.prompts import Prompts
from harness.models.settings import LoadSettings
from harness.models.sources import check_config
from harness.protocols.progress import Progress, silent
from harness.util.distributed import local_rank

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Loaded:
    """A model and how it is asked."""

    model: Any
    prompts: Prompts

    @property
    def processor(self) -> Any:
        """The model's; it always has a chat template."""
        return self.prompts.processor


def load(
    source: str,
    *,
    device: torch.device,
    named: str,
    dtype: str = "auto",
    attention: str | None = None,
    quantization: str = "none",
    device_map: str = "",
    adapters: Sequence[str] = (),
    settings: LoadSettings | None = None,
    progress: Progress = silent,
) -> Loaded:
    """The model and processor of ``source``, a directory or hub id.

    Args:
        device: where the model goes, unless ``device_map`` spreads it.
        named: what the user called the model, for messages.
        dtype: "auto" (float32 on a CPU, the checkpoint's own on a GPU) or one of ``DTYPES``.
        attention: transformers' name of an attention implementation; None: its default.
        quantization: "none", "4bit" (NF4) or "8bit"; these need bitsandbytes.
        device_map: "" for one device, or what transformers takes.
        adapters: directories of peft adapters to put in effect, each on top of those before it.
        settings: how the model is asked, and where it comes from.

    Raises UsageError if it cannot be loaded, or not as a whole, or is not what its adapters were trained on.
    """
    note = require_start(source, adapters, named, progress)
    options: dict[str, Any] = {"dtype": _dtype(dtype, device), **_quantized(quantization, device, named)}
    given = at_revision(settings or LoadSettings(), source, adapters)
    options |= hub_options(given)
    if attention is not None:
        options["attn_implementation"] = attention
    if device_map:
        options["device_map"] = device_map
    model, info, prompts = _read(source, options, given, adapters, named, progress)
    commit, said = commit_of(source, given), trained_revision(source, adapters)
    model.config._commit_hash = commit
    if commit and said and said not in (given.revision, commit):
        note = "revision not as trained"
    tokenizer, unused = prompts.processor.tokenizer, given.unused_weights == "allow"
    require_loaded(model, info, tokenizer, f"{named}: the checkpoint {source}", allow_unused=unused)
    if adapters:
        tied = ends_are_one(model)
        model = with_adapters(model, adapters, named, fold=model.dtype == torch.float32 and quantization == "none")
        note = ", ".join(filter(None, (note, PARTED if tied and not ends_are_one(model) else "")))
    if quantization == "none" and not device_map:
        model = _placed(model, device, named)
    return Loaded(model.eval(), _noted(prompts, note))


def _placed(model: Any, device: torch.device, named: str) -> Any:
    """``model`` on ``device``; as it is in a process that waits for its part of the weights.

    Raises HarnessError where it does not fit.
    """
    if any(weight.is_meta for weight in model.parameters()):
        return model
    try:
        return model.to(device)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        size = sum(weight.nbytes for weight in model.parameters()) / 2**30
        raise HarnessError(
            f"{named}: its weights of {size:.1f} GiB in {str(model.dtype).removeprefix('torch.')} do not fit into the "
            f"memory of {device} ({str(error).splitlines()[0]}) Load it smaller: to ask it, --set "
            "model.dtype=bfloat16, model.quantization=4bit or model.device_map=auto; to train it, lora_rank=64 with "
            "dtype=bfloat16, quantize=4bit, or sharding=fsdp over several."
        ) from error


def _read(
    source: str,
    options: dict[str, Any],
    settings: LoadSettings,
    adapters: Sequence[str],
    named: str,
    progress: Progress,
) -> tuple[Any, dict[str, Any], Prompts]:
    """Model, what transformers says of its weights, and prompts, as their files have them. Raises UsageError."""
    with _loadable(source, named):
        check_type(source, settings)
        with _reported(progress):
            both: Any = AutoModelForImageTextToText.from_pretrained(
                source, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
            model, info = both
        last = adapters[-1] if adapters else ""
        return (
            model,
            info,
            load_prompts(source, model.config, settings, adapter=last, generation=model.generation_config),
        )


@contextlib.contextmanager
def _loadable(source: str, named: str) -> Iterator[None]:
    """Within it what transformers raises for a model that it cannot load is a UsageError."""
    try:
        yield
    except ImportError as error:
        other = ", or take attn_implementation out of its config.json" if "flash" in str(error).lower() else ""
        raise UsageError(
            f"{named}: {source} asks for a package that is not here ({reason(error)}). Install it{other}."
        ) from error
    except CANNOT_LOAD as error:
        kind = Unreachable if unreachable(error) else UsageError
        raise kind(
            f"{named}: transformers cannot load {source} ({reason(error)}). Give the directory of an "
            "image-text-to-text model or a hub id that can be reached."
        ) from error


def commit_of(source: str, settings: LoadSettings) -> str | None:
    """The commit of a hub model that is loaded; None for a directory. Transformers no longer keeps it."""
    if Path(source).is_dir():
        return None
    file = cached_file(source, "config.json", **hub_options(settings))
    return extract_commit_hash(file, None)


def _noted(prompts: Prompts, note: str) -> Prompts:
    return replace(prompts, note=", ".join(filter(None, (prompts.note, note))))


def require_askable(source: str, named: str, settings: LoadSettings, adapters: Sequence[str] = ()) -> None:
    """Raise UsageError where ``load`` of the same would, but for adapters that do not fit; it keeps no weights."""
    given = at_revision(settings, source, adapters)
    with _loadable(source, named):
        check_type(source, given)
        require_whole_files(source, given, named=f"{named}: ")
    prompts_of(source, given, named=named, adapter=adapters[-1] if adapters else "").check()
    require_start(source, adapters, named)
    for folder in filter(os.path.isdir, (source, *adapters)):
        require_finite(folder, f"{named}: {folder}", trained=folder == source)


def check_type(source: str, settings: LoadSettings | None = None) -> None:
    """Raise UsageError for a model type that transformers does not have, saying by what other way it can be asked."""
    given = settings or LoadSettings()
    config, _ = PreTrainedConfig.get_config_dict(source, **hub_options(given))
    check_config(config, source)
    kind = config.get("model_type")
    if kind in CONFIG_MAPPING:
        return
    if "auto_map" not in config:
        raise UsageError(
            f"hf:{source}: transformers {transformers.__version__} has no model_type {kind} (in its config.json). "
            "Give a model in the hub's layout, or serve it (vLLM, SGLang) and name it openai:NAME@BASE_URL."
        )
    if not given.trust_remote_code:
        raise UsageError(
            f"hf:{source} (model_type {kind}) runs only on code of its own, which is not run here. Serve it (vLLM, "
            "SGLang) and name it openai:NAME@BASE_URL, or answer with its own scripts and name the answers "
            "replay:FILE.jsonl. Where that code has an AutoModelForImageTextToText, --set model.trust_remote_code=true "
            "runs it with your rights."
        )


def require_whole_files(source: str, settings: LoadSettings | None = None, *, named: str = "") -> None:
    """Raise UsageError if the checkpoint in ``source`` lacks weights or holds others than its model has; reads none."""
    given = settings or LoadSettings()
    with _reported(silent):
        both: Any = AutoModelForImageTextToText.from_pretrained(
            source, device_map="meta", output_loading_info=True, ignore_mismatched_sizes=True, **hub_options(given)
        )
    require_whole(both[1], f"{named}the checkpoint {source}", allow_unused=given.unused_weights == "allow")


def own_dtype(source: str, settings: LoadSettings) -> str:
    """The type of a model's weights as its configuration says; float32 if it does not."""
    config, _ = PreTrainedConfig.get_config_dict(source, **hub_options(settings))
    said = str(config.get("dtype") or config.get("torch_dtype"))
    return said if said in DTYPES else "float32"


def load_weights(model: Any, folder: str) -> None:
    """Put the weights that ``save_pretrained`` wrote to ``folder`` into ``model``.

    By way of from_pretrained, since save_pretrained renames weights to the names of the hub's files.
    """
    with _reported(silent):
        saved = type(model).from_pretrained(folder, dtype=model.dtype)
    model.load_state_dict(saved.state_dict())


def device_named(name: str) -> torch.device:
    """The device of ``--device``: auto, cpu, cuda, cuda:N. Raises UsageError for one that is not there."""
    if name == "auto":
        return torch.device(
            f"cuda:{local_rank() % max(1, torch.cuda.device_count())}" if torch.cuda.is_available() else "cpu"
        )
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: torch {torch.__version__} sees no GPU here; use --device cpu.")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: expected auto, cpu, cuda or cuda:N.") from error


def _dtype(name: str, device: torch.device) -> torch.dtype | str:
    if name == "auto":
        return "auto" if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise UsageError(f"dtype {name!r}: choose one of auto, {', '.join(DTYPES)}.")
    return DTYPES[name]


def _quantized(quantization: str, device: torch.device, named: str) -> dict[str, Any]:
    if quantization == "none":
        return {}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UsageError(
            f"{named}: {quantization} quantization needs bitsandbytes; add it with: "
            ".venv/bin/python -m pip install bitsandbytes"
        )
    four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}
    config = BitsAndBytesConfig(**(four if quantization == "4bit" else {"load_in_8bit": True}))  # type: ignore[no-untyped-call]
    return {"quantization_config": config, "device_map": {"": device}}


@contextlib.contextmanager
def _reported(progress: Progress) -> Iterator[None]:
    """Transformers' own bars go to ``progress``; the hub's, of a download, stay where they are."""
    step = "model weights"

    class Bar(transformers_logging.EmptyTqdm):
        """Takes the place of a tqdm over what is loaded."""

        def __init__(self, items: Iterable[Any] = (), *_: Any, **__: Any) -> None:
            super().__init__(items)  # type: ignore[no-untyped-call]

        def __iter__(self) -> Iterator[Any]:
            items = list(self._iterator or ())
            for done, item in enumerate(items, start=1):
                yield item
                progress(step, done, len(items))

    progress(step, 0, 1)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    enable_progress_bars()  # the line above switches the hub's off too
    before = transformers_logging.set_tqdm_hook(lambda _, args, kwargs: Bar(*args, **kwargs))
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(before)
    progress(step, 1, 1)
