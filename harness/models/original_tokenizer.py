"""The tokenizer of a checkpoint in LLaVA's own layout, with the tokens of the hub's layout."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from transformers import AddedToken, AutoTokenizer, LlamaTokenizer
from transformers.tokenization_utils_base import generate_merges

from harness.errors import UsageError
from harness.models.sentencepiece_file import pieces_of
from harness.util.files import read_object

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def has_tokenizer(folder: Path) -> bool:
    """Whether there is a tokenizer in ``folder``."""
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model"))


def hub_tokenizer(source: Path) -> Any:
    """The tokenizer in ``source`` with the tokens <image> and <pad> behind its own.

    LLaVA's scripts tokenize what stands before and after an image one by one, each with the space before its first word
    that SentencePiece adds: of transformers' two ways the "legacy" one.
    Raises UsageError where there is none.
    """
    if (source / "tokenizer.json").is_file():
        tokenizer = _fast(source)
    elif (source / "tokenizer.model").is_file():
        tokenizer = _of_pieces(source)
    else:
        raise UsageError(f"{source} holds no tokenizer (tokenizer.model, tokenizer.json); copy its base's there.")
    tokenizer.add_tokens([AddedToken("<image>", special=True, normalized=False)], special_tokens=True)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    if isinstance(tokenizer, LlamaTokenizer):
        tokenizer.init_kwargs["legacy"] = True  # transformers 5 does not save it by itself, and takes it for false
    return tokenizer


def _fast(source: Path) -> Any:
    settings = _json(source / "tokenizer_config.json")
    llama = {"legacy": True} if str(settings.get("tokenizer_class", "")).startswith("Llama") else {}
    with tempfile.TemporaryDirectory() as folder:  # beside the original config.json its class would not be found
        for name in FILES:
            if (source / name).is_file():
                shutil.copy2(source / name, folder)
        (Path(folder) / "config.json").write_text('{"model_type": "llava"}')
        return AutoTokenizer.from_pretrained(folder, **llama)


def _of_pieces(source: Path) -> Any:
    vocabulary = {piece: number for number, piece in enumerate(pieces_of(source / "tokenizer.model"))}
    settings = _json(source / "tokenizer_config.json")
    ends = {"add_bos_token": settings.get("add_bos_token", True), "add_eos_token": settings.get("add_eos_token", False)}
    tokenizer = LlamaTokenizer(vocab=vocabulary, merges=generate_merges(vocabulary), legacy=True, **ends)
    more = _json(source / "added_tokens.json")
    if not all(type(number) is int for number in more.values()):
        raise UsageError(f"{source / 'added_tokens.json'}: expected an object of tokens and their numbers.")
    for token in sorted(more, key=lambda name: int(more[name])):
        tokenizer.add_tokens([AddedToken(token, special=True, normalized=False)], special_tokens=True)
    return tokenizer


def _json(file: Path) -> dict[str, Any]:
    return read_object(file) if file.is_file() else {}
