"""How a model is loaded and asked: one set of settings for training and for answering. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from harness.errors import DataError, UsageError
from harness.models.model_files import read_template
from harness.util.files import read_object, write_json
from harness.util.options import added, build
from harness.util.ranges import at_least, require_ranges

BATCH_SIZE = 128
FILE = "prompt_settings.json"
"""Beside a trained model's weights: how it was asked in training."""
Switch = Literal["auto", "on", "off"]
Pixels = Annotated[int, at_least(1, "pixels")] | None


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """How a model is asked (`--set model.KEY=VALUE` of align and bench alike); saved with the model that is trained.

    Args:
        template: a chat template (Jinja), or a file that holds one; "" takes the model's own.
        system: the system message of every conversation without one; "" for none; None: as the model was trained.
        thinking: of a template that knows thoughts: "off" closes them before the answer, "on" opens them, "auto": as
            the model was trained, else as the template has it.
        min_pixels: smaller images are enlarged to so many pixels (families that resize by pixels, such as Qwen-VL).
        max_pixels: larger images are shrunk to so many.
        pad_to_square: "on" pads an image with the processor's mean colour, as LLaVA-1.5 was trained, where its
            processor would cut a square out of the middle; "auto": as the model was trained, and where a benchmark's
            protocol says so.
    """

    template: str = added("")
    system: str | None = added(None)
    thinking: Switch = added("auto")
    min_pixels: Pixels = added(None)
    max_pixels: Pixels = added(None)
    pad_to_square: Switch = added("auto")

    def __post_init__(self) -> None:
        object.__setattr__(self, "template", _template(self.template))
        require_ranges(self, "--set model.*")
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise UsageError(f"model.min_pixels={self.min_pixels} is more than model.max_pixels={self.max_pixels}.")


@dataclass(frozen=True, kw_only=True)
class LoadSettings(PromptSettings):
    """What training and answering share of how a model is loaded.

    Args:
        revision: of a hub model: branch, tag or commit; "" for its main one.
        trust_remote_code: run the code that comes with a checkpoint. It can do on this machine whatever you can.
        unused_weights: "allow" leaves out weights of a checkpoint that its model type has no place for (parts for
            other uses); otherwise such a checkpoint is taken to be of another type, and refused.
    """

    revision: str = added("")
    trust_remote_code: bool = added(False)
    unused_weights: Literal["refuse", "allow"] = added("refuse")

    @property
    def prompt(self) -> PromptSettings:
        """How the model is asked, without how it is loaded."""
        names = [field.name for field in dataclasses.fields(PromptSettings)]
        return PromptSettings(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class HfSettings(LoadSettings):
    """How a transformers model is loaded (`--set model.KEY=VALUE`). What can change answers is part of its key: not
    ``device_map``, ``batch_size`` and ``unused_weights``; the type that ``dtype`` comes to, not how it was asked for.

    Args:
        attention: transformers' implementation: "auto" is its default (sdpa); "flash_attention_2" needs the package
            flash-attn, a GPU and half precision.
        dtype: of weights and computing; "auto": float32 on CPU, the checkpoint's own on a GPU.
        quantization: "4bit" (NF4) and "8bit" need bitsandbytes.
        device_map: "" for one device; "auto" spreads the layers over all GPUs of this process.
        batch_size: rows generated together at most; halved by itself when memory runs out.
    """

    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = added("auto")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantization: Literal["none", "4bit", "8bit"] = "none"
    device_map: str = ""
    batch_size: Annotated[int, at_least(1, "rows")] = BATCH_SIZE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention == "flash_attention_2" and self.dtype == "float32":
            raise UsageError("model.attention=flash_attention_2 computes in half precision: set model.dtype=bfloat16.")


def other_system(asked: str | None, protocol: str) -> str:
    """Why a benchmark's protocol with a system message cannot be asked with the user's, in words; "" if it can."""
    if not protocol or asked in (None, protocol):
        return ""
    return (
        f"the benchmark's protocol (protocol=official) has a system message of its own, and model.system={asked!r} is "
        "another: leave one out."
    )


def changed(settings: PromptSettings) -> dict[str, Any]:
    """The settings that are not at their default: what is saved, shown, and part of keys."""
    fields = dataclasses.fields(settings)
    return {f.name: value for f in fields if (value := getattr(settings, f.name)) != f.default}


def trained_settings(folder: str) -> PromptSettings:
    """How the model of a directory was asked in training, as ``save_settings`` wrote it; the defaults without that.

    Raises UsageError for a file that cannot be read.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        return PromptSettings()
    try:
        return build(PromptSettings, read_object(file), str(file))
    except UsageError as error:
        where = "" if str(file) in str(error) else f"{file}: "
        raise DataError(f"{where}{error} Restore the file, or remove it to ask the model its own way.") from error


def save_settings(settings: PromptSettings, folder: Path) -> None:
    """Write how a model was asked in training beside its weights; nothing where it was asked its own way."""
    given = changed(settings)
    if given:
        write_json(folder / FILE, given)
    else:
        (folder / FILE).unlink(missing_ok=True)


def combined(asked: PromptSettings, trained: PromptSettings) -> PromptSettings:
    """How a model is asked: as it was trained, but for what the user sets."""
    return PromptSettings(**(changed(trained) | changed(asked)))


def contradictions(asked: PromptSettings, trained: PromptSettings) -> str:
    """Where the user asks a model in another way than it was trained, in words; "" if nowhere."""
    before = changed(trained)
    other = [name for name, value in changed(asked).items() if before.get(name, value) != value]
    new = [name for name in changed(asked) if before and name not in before]
    return ", ".join([*(f"{n} not as trained" for n in other), *(f"trained without {n}" for n in new)])


def _template(given: str) -> str:
    """The text of a template given as a file (Jinja, or the hub's JSON with "chat_template") or as itself."""
    if "{" in given or not given:
        return given
    try:
        return read_template(Path(given).expanduser())
    except (DataError, RuntimeError, ValueError) as error:  # no home of that user; a name that no file can have
        raise UsageError(
            f"model.template={given}: neither a chat template (Jinja) nor a file that holds one ({error})"
        ) from error
