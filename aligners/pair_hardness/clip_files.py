"""What the name of a CLIP stands for: its form, its files and their hash. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.errors import UsageError
from harness.models.weights import hash_of_files
from harness.util.images import seen_digest

FOLDER, HUB = "local-dir:", "hf-hub:"
CONFIG, WEIGHTS = "open_clip_config.json", frozenset({".safetensors", ".bin", ".pt", ".pth"})


def content_hash(item: str | bytes) -> str:
    """sha256 of a text or of an encoded image as it is seen."""
    return hashlib.sha256(item.encode()).hexdigest() if isinstance(item, str) else seen_digest(item)


def is_local(name: str) -> bool:
    """Whether the weights of a CLIP of this name are on this machine, so that loading it downloads none.

    Raises UsageError for a name of another form.
    """
    import open_clip
    from huggingface_hub import try_to_load_from_cache
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    def cached(repository: str, *files: str) -> bool:
        return any(isinstance(try_to_load_from_cache(repository, file), str) for file in files)

    usual = (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
    architecture, tag = parse_name(name)
    if tag is None:
        return name.startswith(FOLDER) or cached(name.removeprefix(HUB), *usual)
    known = open_clip.get_pretrained_cfg(architecture, tag) or {"file": tag}
    if hub := known.get("hf_hub"):  # ORG/REPO/FILE, or ORG/REPO/ for the usual file; open_clip prefers safetensors
        repository, _, file = hub.rpartition("/")
        return cached(repository, *((f"{Path(file).stem}.safetensors", file) if file else usual))
    return Path(known.get("file") or Path("~/.cache/clip").expanduser() / Path(known["url"]).name).is_file()


def files_hash(name: str) -> str:
    """sha256 of the files of a CLIP that lies here by its own path; "" for one of open_clip's names, and where it is
    not there.
    """
    folder, file = Path(name.removeprefix(FOLDER)), Path(name.partition("/")[2])
    if name.startswith(FOLDER) and folder.is_dir():
        known = [path for path in sorted(folder.iterdir()) if path.suffix in WEIGHTS or path.name == CONFIG]
        return hash_of_files(known)
    return hash_of_files([file]) if file.suffix and not name.startswith(HUB) and file.is_file() else ""


def absolute(name: str) -> str:
    """A CLIP's name as it holds from any directory: the path of a folder or of a checkpoint file that is here."""
    if name.startswith(FOLDER):
        return FOLDER + str(Path(name.removeprefix(FOLDER)).expanduser().resolve())
    architecture, _, tag = name.partition("/")
    file = Path(tag)  # open_clip's own tags have no ending
    return f"{architecture}/{file.resolve()}" if file.suffix and file.is_file() else name


def parse_name(name: str) -> tuple[str, str | None]:
    """open_clip's (model name, pretrained tag) of a CLIP name; UsageError for a name of another form."""
    if name.startswith((FOLDER, HUB)):
        return name, None
    architecture, slash, tag = name.partition("/")
    if not (architecture and slash and tag):
        raise UsageError(
            f"CLIP {name!r}: expected NAME/PRETRAINED (such as ViT-L-14-336/openai), local-dir:PATH or hf-hub:ORG/REPO."
        )
    return architecture, tag
