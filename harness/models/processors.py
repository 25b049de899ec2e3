"""Loading a processor and making it ask as the settings say: template, pixel bounds, what an old one lacks."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoProcessor, GenerationConfig

from harness.errors import Unreachable, UsageError
from harness.models.checks import CANNOT_LOAD, reason, unreachable
from harness.models.families import UNKNOWN, family_of
from harness.models.model_files import TEMPLATES, read_template
from harness.models.origin import at_revision
from harness.models.prompts import PLAIN, Prompts, require_square
from harness.models.settings import LoadSettings, PromptSettings, changed, combined, contradictions, trained_settings
from harness.models.templates import REMEDY, ChatTemplate
from harness.protocols.conversation import Image, question

FALLBACK = "fallback prompt"
OPENED = "no end after prompts"
"""What a record says where the tokeniser would add one."""
EDGES = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}
"""Where processors that resize by pixels keep their bounds."""
REMEMBERED = ("max_length", "truncation", "truncation_strategy", "stride", "padding", "pad_to_multiple_of")
"""Settings of calls that are saved with a tokeniser, and that its processor takes for defaults."""
FILES = (
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"),
)
"""Files of a processor and of a tokeniser, of each of which there is one."""
ONE_LINE = 40
"""Characters of a setting's value that a record shows."""


def load_prompts(
    source: str, config: Any, settings: LoadSettings | None = None, *, adapter: str = "", generation: Any = None
) -> Prompts:
    """How the model of ``source`` (a directory or hub id of this ``config``) is asked, from its processor.

    Args:
        settings: what the user set; the rest is as the model was trained.
        adapter: the directory of its last adapter, which then says how it was trained.
        generation: the model's generation configuration; read from its files if None.

    Raises UsageError for a setting that this processor does not have, OSError and ValueError where there is none.
    """
    given = settings or LoadSettings()
    trained = trained_settings(adapter or source)
    chosen = combined(given.prompt, trained)
    processor = _processor_of(source, given)
    if not chosen.template:
        _warn_of_two(source)
    fallback = False
    if template := chosen.template or saved_template(adapter):
        processor.chat_template = template
    else:
        fallback = ensure_template(processor, config)
    complete(processor, config)
    opened = ask_whole(processor.tokenizer, config)
    bound_pixels(processor, chosen)
    if chosen.pad_to_square == "on":
        require_square(processor, "model.pad_to_square=on")
    notes = [said for said, so in ((FALLBACK, fallback), (OPENED, opened)) if so]
    notes += [f"{name}={_short(value)}" for name, value in changed(chosen).items()]
    if against := contradictions(given.prompt, trained):
        notes.append(against)
        warnings.warn(
            f"{adapter or source} is not asked as it was trained, as --set model.* wants it: {against}", stacklevel=1
        )
    ends = end_ids(generation or _generation(source, config, given), processor)
    return Prompts(processor, ends, chosen, ", ".join(notes), given.prompt)


def prompts_of(source: str, settings: LoadSettings, *, named: str, adapter: str = "") -> Prompts:
    """How the model of ``source`` is asked, from its processor and configuration; no weights are read.

    Raises UsageError, which begins with ``named``, if they cannot be had.
    """
    settings = at_revision(settings, source, [adapter] if adapter else [])
    try:
        config = AutoConfig.from_pretrained(source, **hub_options(settings))
        return load_prompts(source, config, settings, adapter=adapter)
    except CANNOT_LOAD as error:
        kind = Unreachable if unreachable(error) else UsageError
        raise kind(f"{named}: no processor of a model there ({reason(error)}).") from error


def _warn_of_two(source: str) -> None:
    """Warn where a directory holds two chat templates that differ: the one of an older version is what is read."""
    newer, older = (Path(source) / name for name in TEMPLATES)
    if newer.is_file() and older.is_file() and read_template(newer).strip() != read_template(older).strip():
        warnings.warn(
            f"{source} holds two chat templates that differ: it is asked with {older.name}, as transformers does, and "
            f"not with {newer.name}. Remove the one that is left over.",
            stacklevel=2,
        )


def _processor_of(source: str, settings: LoadSettings) -> Any:
    """The processor of ``source``. Raises UsageError for a directory that lacks its files."""
    try:
        return AutoProcessor.from_pretrained(source, **hub_options(settings))  # type: ignore[no-untyped-call]
    except CANNOT_LOAD as error:
        gone = [names[0] for names in FILES if not any((Path(source) / name).is_file() for name in names)]
        if not gone or not Path(source).is_dir():
            raise
        raise UsageError(
            f"{source} lacks {' and '.join(gone)}, as checkpoints of a training often do. Copy the files of processor "
            "and tokeniser from the model that it was trained from."
        ) from error


def hub_options(settings: LoadSettings) -> dict[str, Any]:
    """Where from_pretrained gets files from, and whether their code may run."""
    options: dict[str, Any] = {"trust_remote_code": settings.trust_remote_code}
    return options | ({"revision": settings.revision} if settings.revision else {})


def ensure_template(processor: Any, config: Any) -> bool:
    """Give a processor without a chat template its tokeniser's, else its family's; True if that was needed.

    Training and generation both load through here, so that a model without a template is asked what it was trained on.
    Of several templates it is the default one. A tokeniser's that leaves the image out was of the language model alone.
    """
    for owner in (processor, processor.tokenizer):
        processor.chat_template = own = _one_template(getattr(owner, "chat_template", None))
        if own is not None and (owner is processor or _holds_an_image(processor)):
            return False
    template = family_of(config).fallback_template
    if not template:
        raise UsageError(f"a model of type {config.model_type} whose processor has no chat template. {REMEDY}")
    processor.chat_template = template
    return True


def _one_template(given: Any) -> Any:
    """The template of a processor or tokeniser that may have several by name."""
    if isinstance(given, dict) and "default" not in given:
        raise UsageError(f"it has chat templates called {', '.join(given)}, and none called default. {REMEDY}")
    return given["default"] if isinstance(given, dict) else given


def _holds_an_image(processor: Any) -> bool:
    try:
        ChatTemplate(processor).render([question(PLAIN, Image())], add_generation_prompt=True)
    except UsageError:
        return False
    return True


def ask_whole(tokenizer: Any, config: Any) -> bool:
    """Have ``tokenizer`` write what it is given, whole, and nothing behind it; True if it would have written an end.

    One that was run over data in training may remember to cut and to pad (its processor obeys), or to close every text
    (add_eos_token), so that answers would begin after an end. Without a token for padding it pads with the end: padding
    is masked.
    """
    for name in REMEMBERED:
        tokenizer.init_kwargs.pop(name, None)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise UsageError(
                "its tokeniser names no end of a text (eos_token). Put the tokenizer_config.json or "
                "special_tokens_map.json of the model that it was trained from beside its tokenizer.json."
            )
        tokenizer.pad_token = tokenizer.eos_token
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return False
    backend.no_truncation()
    backend.no_padding()
    closes = family_of(config) is not UNKNOWN or getattr(tokenizer, "add_eos_token", False)
    return closes and _leave_open(tokenizer, backend)


def _leave_open(tokenizer: Any, backend: Any) -> bool:
    """Have ``tokenizer`` add what it adds before a text, without the end behind it; False if it adds none."""
    bare = tokenizer.encode(PLAIN, add_special_tokens=False)
    whole, end = tokenizer.encode(PLAIN), tokenizer.eos_token_id
    if end is None or end in bare or whole[-1] != end:
        return False
    before = {tokenizer.convert_ids_to_tokens(id_): id_ for id_ in whole[: len(whole) - len(bare) - 1]}
    begin = [f"{token}:0" for token in before]
    backend.post_processor = TemplateProcessing(
        single=[*begin, "$A:0"], pair=[*begin, "$A:0", "$B:0"], special_tokens=list(before.items())
    )
    return True


def saved_template(adapter: str) -> str:
    """The chat template that was saved with an adapter by whatever trained it; "" without one."""
    for name in TEMPLATES:
        file = Path(adapter) / name
        if adapter and file.is_file():
            return read_template(file)
    return ""


def complete(processor: Any, config: Any) -> None:
    """Give a LLaVA processor of an earlier transformers the patch size that it lacks, from the configuration."""
    vision: Any = getattr(config, "vision_config", None)
    if getattr(processor, "patch_size", 0) is not None or not getattr(vision, "patch_size", None):
        return
    processor.patch_size = vision.patch_size
    if getattr(processor, "vision_feature_select_strategy", "") is None:
        processor.vision_feature_select_strategy = config.vision_feature_select_strategy
    if vision.model_type == "clip_vision_model":  # its class token counts as one more
        processor.num_additional_image_tokens = 1


def bound_pixels(processor: Any, settings: PromptSettings) -> None:
    """Set the bounds of an image's pixels. Raises UsageError for a processor that does not resize by pixels."""
    given = {edge: pixels for name, edge in EDGES.items() if (pixels := getattr(settings, name))}
    if not given:
        return
    images = processor.image_processor
    by_pixels = hasattr(sys.modules[type(images).__module__], "smart_resize")
    if not by_pixels or not {*EDGES.values()} <= dict(images.size).keys():
        names = " and ".join(f"model.{name}" for name, edge in EDGES.items() if edge in given)
        raise UsageError(
            f"{names}: {type(images).__name__} does not size images by their number of pixels; leave it out."
        )
    size = type(images.size)(**(dict(images.size) | given))
    if size["shortest_edge"] > size["longest_edge"]:
        raise UsageError(
            f"model.min_pixels={size['shortest_edge']} is more than model.max_pixels={size['longest_edge']} of this "
            "processor: set both."
        )
    images.size = size


def end_ids(config: Any, processor: Any) -> frozenset[int]:
    """Ids of the tokens at which a generation configuration ends an answer; the tokeniser's end without any."""
    ids = getattr(config, "eos_token_id", None)
    if ids is None:
        ids = processor.tokenizer.eos_token_id
    return frozenset() if ids is None else frozenset({ids} if isinstance(ids, int) else ids)


def _generation(source: str, config: Any, settings: LoadSettings) -> Any:
    try:
        return GenerationConfig.from_pretrained(source, **hub_options(settings))
    except (OSError, ValueError):
        return GenerationConfig.from_model_config(config)


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= ONE_LINE else text[: ONE_LINE - 3] + "..."
