"""The small files of a model or an adapter, read in one place: each is as it should be, or named. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.util.files import read_object
from harness.util.options import unstorable
from harness.util.other_kind import LFS

ADAPTER_CONFIG = "adapter_config.json"
START = "start.json"
"""Beside an adapter: {"base", "adapters", "weights"}, what it was trained on; older versions wrote it where there were
adapters below, and without "weights", the hashes of base and adapters."""
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin", "adapter_model.safetensors", "adapter_model.bin")
OF_WORDS = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")
PACKED = ("I8", "U8", "F8_E4M3", "F8_E5M2")
"""Types of weights, by safetensors' names, that are no weights without their scales."""
LONGEST_HEAD = 100_000_000
"""Bytes of the head of a file of safetensors, as its own library has it."""
TEMPLATES = ("chat_template.jinja", "chat_template.json")
OBJECTS = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
"""Files of settings, of which transformers takes some for absent when they cannot be read."""
NUMBERS = (
    "repetition_penalty", "encoder_repetition_penalty", "no_repeat_ngram_size", "min_length", "min_new_tokens",
    "length_penalty", "guidance_scale", "max_time",
)  # fmt: skip
TOKENS = ("eos_token_id", "pad_token_id", "bos_token_id")
"""Of a generation configuration."""
NO_PADDING = -1
"""What the first LLaMA's name for padding: none."""
TEXT = (str,)
OPTIONAL = (str, type(None))


def require_readable(folder: Path) -> None:
    """Raise DataError, which names the file, if a file of settings in ``folder`` is no JSON object, a template no text,
    an index names files of weights that are not there, or a file is not the one that was published.
    """
    for name in (*OBJECTS, *OF_WORDS):
        require_published(folder / name)
    for name in OBJECTS:
        if (folder / name).is_file():
            _template(read_object(folder / name).get("chat_template"), folder / name)
    if (folder / "generation_config.json").is_file():
        _check_generation(folder / "generation_config.json")
    for name in TEMPLATES:
        if (folder / name).is_file():
            read_template(folder / name)
    for name in INDICES:
        if (folder / name).is_file():
            _check_index(folder / name)
    for file in _read_weights(folder):
        require_published(file)
        _check_heads(file, quantized=_says_quantized(folder))


def require_published(file: Path) -> None:
    """Raise DataError for what stands in the place of a file that was not fetched: a pointer, a broken link."""
    if file.is_symlink() and not file.exists():
        raise DataError(f"{file}: a link to a file that is not there: fetch or copy the model again, whole.")
    if not file.is_file():
        return
    with file.open("rb") as stream:
        begin = stream.read(len(LFS))
    if begin == LFS:
        raise DataError(f"{file}: a pointer of Git LFS and not the file itself. Fetch it, in its folder: git lfs pull")
    if not begin:
        raise DataError(f"{file}: is empty: its download or its saving was cut off. Fetch or save it again.")


def _read_weights(folder: Path) -> list[Path]:
    """The files of weights that transformers or peft reads of ``folder``: of several kinds it takes the first.

    Raises DataError where one file and an index of others are there: one of them is left over from another model.
    """
    for name in WEIGHT_FILES:
        file, index = folder / name, folder / f"{name}.index.json"
        shards = sorted(set(read_object(index)["weight_map"].values())) if index.is_file() else []
        if (file.exists() or file.is_symlink()) and shards and name not in shards:
            raise DataError(
                f"{folder} holds two models: {name}, and others in {len(shards)} files by {index.name}. Only the first "
                "would be read. Remove the one that is left over."
            )
        if file.exists() or file.is_symlink() or shards:
            return [folder / shard for shard in shards] or [file]
    return []


def _says_quantized(folder: Path) -> bool:
    """Whether a configuration says how weights are packed; of an adapter, which has none, its base's does."""
    file = folder / "config.json"
    return not file.is_file() or bool(read_object(file).get("quantization_config"))


def _check_heads(file: Path, *, quantized: bool) -> None:
    """Raise DataError for a file of weights most of which are empty, or packed into 8 bits though nothing says how.

    One that cannot be read is found where it is.
    """
    if file.suffix != ".safetensors":
        return
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        head = stream.read(size) if size <= LONGEST_HEAD else b""
    try:
        said = {name: each for name, each in json.loads(head).items() if name != "__metadata__"}
        shapes = [each["shape"] for each in said.values()]
        packed = [name for name, each in said.items() if each["dtype"] in PACKED and name.endswith("weight")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    empty = sum(0 in shape for shape in shapes if isinstance(shape, list))
    if 2 * empty > len(shapes):
        raise DataError(
            f"{file}: {empty} of its {len(shapes)} weights are empty, as DeepSpeed's ZeRO-3 leaves them where no "
            "process gathers them. Save it again with stage3_gather_16bit_weights_on_model_save, or make it of the "
            "checkpoint with its zero_to_fp32.py."
        )
    if packed and not quantized:
        raise DataError(
            f"{file}: {len(packed)} of its {len(shapes)} weights are quantised to 8 bits ({packed[0]}, ...), and "
            "config.json does not say how (quantization_config): they would be taken for the weights themselves. Put "
            "the configuration back that they were saved with, or take the checkpoint that is not quantised."
        )


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a model's directory. Raises DataError."""
    require_published(folder / "config.json")
    return read_object(folder / "config.json", "the configuration of a model")


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """The adapter_config.json of an adapter's directory. Raises DataError, also for a base that is no text."""
    require_published(folder / ADAPTER_CONFIG)
    config = read_object(folder / ADAPTER_CONFIG, "the configuration of an adapter")
    for name in ("base_model_name_or_path", "revision"):
        _require(config, name, OPTIONAL, folder / ADAPTER_CONFIG)
    return config


def read_start(folder: Path) -> dict[str, Any] | None:
    """What an adapter says that it was trained on; None where it has no such file. Raises DataError."""
    file = folder / START
    if not file.is_file():
        return None
    said = read_object(file, "what an adapter was trained on")
    _require(said, "base", TEXT, file)
    for name in ("adapters", "weights"):
        listed = said.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            raise DataError(f"{file}: expected a list of texts under {name!r}, found {_short(listed)}.")
    return {"adapters": [], **said}


def read_template(file: Path) -> str:
    """The chat template in a file: Jinja, or the hub's JSON with "chat_template". Raises DataError."""
    if file.suffix == ".json":
        said = read_object(file, 'a JSON object with "chat_template"')
        _require(said, "chat_template", TEXT, file)
        text = str(said["chat_template"])
    else:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: cannot be read as a chat template ({error}).") from error
    return str(_template(text, file))


def _template(found: Any, file: Path) -> Any:
    """``found`` in ``file``, where a chat template may stand. Raises DataError for half a character."""
    if isinstance(found, str) and (fault := unstorable(found)):
        raise DataError(f"{file}: its chat template is no text: {fault}.")
    return found


def _check_generation(file: Path) -> None:
    """Raise DataError if numbers of a generation configuration are none: every answer would fail, or be another."""
    said = read_object(file)
    for name in NUMBERS:
        value = said.get(name)
        if value is not None and not (_is_number(value) and math.isfinite(value)):
            raise DataError(f"{file}: expected a number under {name!r}, found {_short(value)}.")
    for name in TOKENS:
        ids = said.get(name) if isinstance(said.get(name), list) else [said.get(name)]
        least = NO_PADDING if name == "pad_token_id" else 0
        if ids != [None] and not all(
            isinstance(each, int) and _is_number(each) and each >= least for each in ids or ()
        ):
            raise DataError(f"{file}: expected token ids under {name!r}, found {_short(said.get(name))}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_index(file: Path) -> None:
    """Raise DataError if an index of weights is none, or names a file that does not lie beside it."""
    places = read_object(file, "an index of weights").get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(place, str) for place in places.values()):
        raise DataError(f'{file}: expected the file of every weight under "weight_map", found {_short(places)}.')
    shards = sorted(set(places.values()))
    outside = [name for name in shards if Path(name).name != name]
    if outside:
        raise DataError(f"{file}: names {outside[0]!r}, which is not beside it.")
    gone = [name for name in shards if not (file.parent / name).is_file()]
    if gone:
        raise DataError(f"{file}: {len(gone)} of its {len(shards)} files are not there ({', '.join(gone[:3])}).")


def _require(said: Mapping[str, Any], name: str, kinds: tuple[type, ...], file: Path) -> None:
    if not isinstance(said.get(name), kinds):
        raise DataError(f"{file}: expected a text under {name!r}, found {_short(said.get(name))}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
