"""What the name of a transformers model stands for on disk: a base and the adapters on top of it. Imports no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.models.model_files import (
    ADAPTER_CONFIG,
    START,
    read_adapter_config,
    read_config,
    read_start,
    require_readable,
)
from harness.util.files import write_json

MODEL_FILES = tuple(
    f"{name}{index}" for name in ("model.safetensors", "pytorch_model.bin") for index in ("", ".index.json")
)
OTHER_TRAINED = "non_lora_trainables.bin"
"""What LLaVA's own repository writes beside a LoRA adapter: what was trained in full, the projector above all."""
HUB_ID = re.compile(r"(?=.{1,96}$)[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")
ORIGINAL_TYPES = ("llava_llama", "llava_mistral", "llava_mpt", "llava_qwen")
ORIGINAL_LAYOUT = "mm_vision_tower"
"""A key that the configurations of LLaVA's own repository have, and those of the hub's layout do not."""


def may_be_hub_id(source: str) -> bool:
    """Whether ``source`` is written as ORGANISATION/NAME, unlike NAME, ./DIR, /DIR, ~/DIR and DIR/DIR/DIR.

    No model that reads images is on the hub under a bare name: that is a directory which is not there.
    """
    return bool(HUB_ID.fullmatch(source)) and ".." not in source and "--" not in source


def parts(target: str) -> list[str]:
    """``BASE+ADAPTER...`` cut at its plus signs, but for those in the names of directories."""
    pieces, cut = target.split("+"), list[str]()
    while pieces:
        end = next((n for n in range(len(pieces), 0, -1) if os.path.isdir("+".join(pieces[:n]))), 1)
        cut.append("+".join(pieces[:end]))
        del pieces[:end]
    return cut


def absolute(target: str) -> str:
    """``BASE+ADAPTER...`` with absolute paths where they are paths here; hub ids stay."""
    cut = parts(target)
    return "+".join(str(Path(part).resolve()) if part and os.path.exists(part) else part.rstrip("/") for part in cut)


def composition(target: str) -> tuple[str, tuple[str, ...]]:
    """The base model of ``BASE[+ADAPTER...]`` and its adapters, in the order in which they were trained.

    An adapter's directory alone stands for the model it was trained on with the adapter on top.
    Raises UsageError for what is no model or adapter, for a base that is not where the adapter says, and for an adapter
    put on another stack than it was trained on.
    """
    head, *rest = parts(target)
    base, before = trained_on(Path(head)) if _is_adapter(head) else (head, ())
    adapters = (*before, *([head] if _is_adapter(head) else []), *rest)
    if os.path.isdir(base):
        check_model_dir(Path(base))
    elif os.path.isfile(base):
        raise UsageError(f"hf:{base} is a file; give the directory that holds it.")
    elif not may_be_hub_id(base):
        raise UsageError(f"hf:{base}: no such directory, and not a hub id (ORGANISATION/NAME).")
    for position, adapter in enumerate(adapters):
        _check_adapter(adapter, adapters[:position], target)
    return base, adapters


def trained_on(adapter: Path) -> tuple[str, tuple[str, ...]]:
    """The base model and the further adapters that an adapter was trained on, as it says itself.

    A relative path is looked for in the adapter's directory, then in the current one.
    Raises UsageError if it does not say or they are not there.
    """
    said = read_adapter_config(adapter).get("base_model_name_or_path")
    start = read_start(adapter)
    below = (start or {}).get("adapters", ())
    base = str(start["base"] if start and below else said or "")
    if not base:
        raise UsageError(
            f"hf:{adapter} holds an adapter that does not say what model it belongs to (base_model_name_or_path in "
            f"{ADAPTER_CONFIG}); name its base model too: hf:BASE+{adapter}."
        )
    found = [_located(name, adapter) for name in (base, *below)]
    return found[0], tuple(found[1:])


def write_start(adapter: Path, base: str, adapters: Sequence[str], weights: Sequence[str] = ()) -> None:
    """Say beside ``adapter`` that it was trained on ``base`` with ``adapters``, which its own configuration cannot.

    ``weights``: their hashes (``weights_identity``), the base's first.
    """
    said = {"base": base, "adapters": list(adapters), "weights": list(weights)}
    write_json(adapter / START, said)


def start_weights(adapter: Path) -> list[str]:
    """The hashes of the weights that ``adapter`` was trained on, the base's first; none where it does not say."""
    return [str(each) for each in (read_start(adapter) or {}).get("weights", ())]


def check_model_dir(path: Path) -> None:
    """Raise UsageError if ``path`` holds no model that transformers can load, saying what to give or do instead."""
    if _is_adapter(str(path)):
        raise UsageError(
            f"hf:{path} is an adapter, named as the base of another one. Name the model below both: "
            f"hf:MODEL+{path}+ADAPTER."
        )
    if (path / ADAPTER_CONFIG).is_file():
        raise UsageError(
            f"hf:{path} holds a model and an adapter, and transformers would load the adapter's base in the model's "
            "place. Put them in directories of their own: hf:MODEL+ADAPTER."
        )
    if (path / "config.json").is_file():
        check_config(read_config(path), str(path))
        return require_readable(path)
    raise UsageError(f"hf:{path} is no model directory (no config.json).{_near(path, 'config.json', ADAPTER_CONFIG)}")


def _near(path: Path, *names: str) -> str:
    """Where in ``path`` such a file is, as in the output of a training and in the hub's cache."""
    patterns = [f"{folder}/{name}" for name in names for folder in ("*", "snapshots/*")]
    near = next((file.parent for pattern in patterns for file in sorted(path.glob(pattern))), None)
    return f" Did you mean hf:{near}?" if near else ""


def is_original(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is of LLaVA's own repository; early ones call their model type ``llava`` as the hub's."""
    classes = config.get("architectures")
    classes = classes if isinstance(classes, list) else ()
    named = any(re.fullmatch(r"Llava\w*ForCausalLM", str(name)) for name in classes)
    return named or ORIGINAL_LAYOUT in config or str(config.get("model_type")) in ORIGINAL_TYPES


def check_config(config: Mapping[str, Any], source: str) -> None:
    """Raise UsageError for a model in the layout of LLaVA's own repository, with the command that converts it."""
    if is_original(config):
        raise UsageError(
            f"hf:{source} is in the layout of LLaVA's own repository (model_type {config.get('model_type')}), which "
            f"transformers cannot load. A LLaVA-1.5 is converted once: python cli.py import-model {source} --out DIR, "
            "then use DIR. Of another LLaVA take a release in the hub's layout (llava-hf/...), or serve it (vLLM, "
            "SGLang) and name it openai:NAME@BASE_URL."
        )


def _is_adapter(source: str) -> bool:
    """Whether ``source`` is the directory of an adapter and of no model."""
    folder = Path(source)
    return os.path.isfile(folder / ADAPTER_CONFIG) and not any((folder / name).is_file() for name in MODEL_FILES)


def _located(name: str, adapter: Path) -> str:
    """Where ``name`` is that ``adapter`` was trained on: a directory, or else a hub id."""
    for path in (adapter / name, Path(name)):
        if os.path.isdir(path):
            return str(path.resolve())
    if may_be_hub_id(name):
        return name
    raise UsageError(
        f"hf:{adapter} was trained on {name}, which is not there. If it was moved, name both: hf:BASE+{adapter}."
    )


def _check_adapter(adapter: str, below: Sequence[str], target: str) -> None:
    """Raise UsageError if ``adapter`` is none, or was trained on top of other adapters than those ``below`` it."""
    if not os.path.isfile(Path(adapter) / ADAPTER_CONFIG):
        raise UsageError(
            f"hf:{target}: {adapter or 'the adapter'} is no adapter directory (no {ADAPTER_CONFIG})."
            + _near(Path(adapter), ADAPTER_CONFIG)
        )
    if (Path(adapter) / "config.json").is_file():
        check_config(read_config(Path(adapter)), adapter)
    require_readable(Path(adapter))
    if (Path(adapter) / OTHER_TRAINED).is_file():
        raise UsageError(
            f"hf:{target}: {adapter} was made with LLaVA's own repository: its {OTHER_TRAINED} (the "
            "projector above all) would be left out. "
            f"Convert it once: python cli.py import-model {adapter} --out DIR, then use DIR."
        )
    own, start = read_adapter_config(Path(adapter)), read_start(Path(adapter))
    said = str(own.get("base_model_name_or_path") or "")  # of other tools, which have no better place for it
    expected = [str(name) for name in start["adapters"]] if start else [said] * _is_adapter(said)
    known = list(zip(expected, below, strict=False))
    moved = [Path(name).is_dir() and Path(name).resolve() != Path(given).resolve() for name, given in known]
    if expected and (len(expected) != len(below) or any(moved)):
        raise UsageError(
            f"hf:{target}: {adapter} was trained on top of {' + '.join(expected)}; without them it is another model. "
            f"Give {f'hf:{adapter} alone, or ' if start else ''}"
            f"hf:{'+'.join([start['base'] if start else 'MODEL', *expected, adapter])}."
        )
