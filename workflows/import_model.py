"""`import-model`: a checkpoint in the layout of LLaVA's own repository becomes one in the hub's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.models.model_files import ADAPTER_CONFIG, read_adapter_config
from harness.models.sources import ORIGINAL_LAYOUT, may_be_hub_id
from harness.models.weights import WEIGHTS
from harness.protocols.progress import Progress, silent
from harness.util.files import making, read_object

FILES = ("*.json", *WEIGHTS, "*.bin", "*.model", "*.txt")
ROUND_TO = 64
"""Embeddings are padded to a multiple of this, as the hub's script does."""


@dataclass(frozen=True)
class ImportedModel:
    """What was written: ``dtype`` is the checkpoint's own, ``rows`` of the embeddings include <image> and <pad>."""

    folder: Path
    base: str
    adapter: str | None
    vision_tower: str
    dtype: str
    rows: int


def import_model(
    source: str,
    folder: Path,
    *,
    base: str | None = None,
    vision_tower: str | None = None,
    progress: Progress = silent,
) -> ImportedModel:
    """Write the model in ``source`` (directory or hub id) to ``folder`` in the hub's layout, checked to be whole.

    Args:
        base: what a checkpoint of LoRA alone was trained on, where it is not what its adapter_config.json says.
        vision_tower: directory or hub id of the CLIP that the model sees with, where it is not what its config.json
            says. Weights of the tower in the checkpoint itself go before it.

    Raises UsageError for what is no LLaVA-1.5 in its own layout, or where a part cannot be had.
    """
    from harness.models.converted import holds_tower, hub_tensors, vocabulary, write_shards
    from harness.models.original_llava import check, hub_config
    from harness.models.original_tokenizer import has_tokenizer, hub_tokenizer
    from harness.models.weights import names_of, weight_files

    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"--out {folder}: there is something in it already; name another directory.")
    given = local(source, "the model")
    config = _config(given, source)
    check(config, source)
    adapter = given if (given / ADAPTER_CONFIG).is_file() else None
    below = local(base or _said_base(adapter), "its base (--base)") if adapter else given
    weights = weight_files(below)
    if not weights:
        raise UsageError(f"{below} holds no weights ({', '.join(WEIGHTS[:2])}).")
    tower_name = vision_tower or str(config.get(ORIGINAL_LAYOUT) or "")
    shapes, tower = _tower(tower_name, needs_weights=not holds_tower(below))
    tokenizer = hub_tokenizer(given if has_tokenizer(given) else below)
    rows = _rows(max(int(config["vocab_size"]), len(tokenizer), vocabulary(below)))
    hub = hub_config(config, shapes, tokenizer.convert_tokens_to_ids("<image>"), rows)
    count = sum(len(names_of(file)) for file in weights)
    own_tower = None if holds_tower(below) else tower
    with making(folder) as part:
        write_shards(hub_tensors(below, adapter, own_tower, rows), count, part, progress)
        dtype = _finish(part, hub, tokenizer, config, tower, _generation(given, below))
    return ImportedModel(folder, str(below), str(adapter) if adapter else None, tower_name, dtype, rows)


def local(source: str, what: str) -> Path:
    """The directory of ``source``, downloaded where it is a hub id. Raises UsageError where it cannot be had."""
    if source and Path(source).is_dir():
        return Path(source)
    if not may_be_hub_id(source):
        raise UsageError(
            f"{source or 'nothing'}: {what} is in no such directory, and that is no hub id (ORGANISATION/NAME)."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, allow_patterns=list(FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UsageError(
            f"{source}: {what} cannot be downloaded ({type(error).__name__}). Give a directory."
        ) from error


def _config(folder: Path, source: str) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        raise UsageError(f"{source} holds no config.json.")
    return read_object(file, "the configuration of a model")


def _said_base(adapter: Path | None) -> str:
    assert adapter is not None
    return str(read_adapter_config(adapter).get("base_model_name_or_path") or "")


def _tower(name: str, *, needs_weights: bool) -> tuple[Any, Path | None]:
    """The shapes of the vision tower and its directory, which is only needed where the checkpoint lacks its weights."""
    from transformers import CLIPVisionConfig

    from harness.models.original_llava import known_tower

    known = known_tower(name)
    try:
        folder = local(name, "the vision tower (--vision-tower)")
    except UsageError:
        if needs_weights or known is None:
            raise
        return known, None
    return CLIPVisionConfig.from_pretrained(folder), folder


def _rows(vocabulary: int) -> int:
    return -(-vocabulary // ROUND_TO) * ROUND_TO


def _generation(*folders: Path) -> dict[str, Any]:
    """What shapes answers in the generation_config.json of the first of ``folders`` that has one."""
    files = (folder / "generation_config.json" for folder in folders)
    file = next((file for file in files if file.is_file()), None)
    said = read_object(file) if file else {}
    return {name: said[name] for name in ("eos_token_id", "repetition_penalty") if said.get(name) is not None}


def _finish(
    folder: Path, hub: Any, tokenizer: Any, config: Mapping[str, Any], tower: Path | None, said: Mapping[str, Any]
) -> str:
    """Configuration, processor and generation settings; the files as they are then must load without a gap."""
    from transformers import CLIPImageProcessor, GenerationConfig, LlavaProcessor

    from harness.models.loading import require_whole_files
    from harness.models.original_llava import template
    from harness.models.weights import tensors_of, weight_files

    _, first = next(tensors_of(weight_files(folder)[0]))
    hub.dtype = first.dtype
    hub.save_pretrained(folder)
    side = hub.vision_config.image_size
    images = (
        CLIPImageProcessor.from_pretrained(tower)
        if tower is not None and (tower / "preprocessor_config.json").is_file()
        else CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    )
    processor: Any = LlavaProcessor(  # type: ignore[no-untyped-call]
        images,
        tokenizer,
        patch_size=hub.vision_config.patch_size,
        vision_feature_select_strategy=hub.vision_feature_select_strategy,
        num_additional_image_tokens=1,
        chat_template=template(config),
    )
    processor.save_pretrained(folder)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id} | dict(said)
    settings: Any = GenerationConfig(**ends, pad_token_id=tokenizer.pad_token_id)  # type: ignore[no-untyped-call]
    settings.save_pretrained(folder)
    require_whole_files(str(folder))
    return str(first.dtype).removeprefix("torch.")
