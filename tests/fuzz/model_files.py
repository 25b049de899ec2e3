"""Files beside a model: configurations of adapters, how it was asked, chat templates, SentencePiece's vocabulary."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from harness.models.adapter_files import scale_of
from harness.models.model_files import ADAPTER_CONFIG, START, read_adapter_config, read_template
from harness.models.origin import trained_revision
from harness.models.sentencepiece_file import pieces_of
from harness.models.settings import FILE, PromptSettings, trained_settings
from harness.models.sources import check_model_dir, composition, start_weights, trained_on
from harness.models.templates import dated
from tests.fuzz import mutation
from tests.fuzz.files import reading
from tests.fuzz.target import Target

ADAPTERS = ({"base_model_name_or_path": "owner/model", "peft_type": "LORA", "r": 8, "lora_alpha": 16, "revision": "x"},)
STARTS = (
    {"base": "owner/model", "adapters": [], "weights": ["a1"]},
    {"base": "o/m", "adapters": [], "weights": []},
)
CONFIGS = ({"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "text_config": {"a": 1}},)
ASKED = ({"system": "Be brief.", "thinking": "off", "max_pixels": 9000, "pad_to_square": "on", "template": "{{ x }}"},)
TEMPLATES = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}",
    "{{ strftime_now('%d %b %Y') }}{{ bos_token }}",
)


def adapter(file: Path) -> None:
    """An adapter is of a model that it names, at a scale that is a number."""
    assert math.isfinite(scale_of(read_adapter_config(file.parent), file.parent))
    trained_revision("owner/model", [str(file.parent)])
    base, below = trained_on(file.parent)
    assert base and isinstance(below, tuple)


def start(file: Path) -> None:
    (file.parent / ADAPTER_CONFIG).write_text(json.dumps(ADAPTERS[0]))
    assert all(isinstance(digest, str) for digest in start_weights(file.parent))
    composition(str(file.parent))


def asked(file: Path) -> None:
    settings = trained_settings(str(file.parent))
    assert settings == PromptSettings(**vars(settings))


def template(file: Path) -> None:
    dated(read_template(file))


def pieces(file: Path) -> None:
    assert all(isinstance(piece, str) for piece in pieces_of(file))


def vocabulary() -> bytes:
    """A tokenizer.model of three pieces: protobuf by hand."""
    made = b""
    for piece in ("<unk>", "▁a", "dog"):
        text = piece.encode()
        inner = b"\x0a" + bytes([len(text)]) + text + b"\x15" + b"\x00\x00\x80\xbf" + b"\x18\x02"
        made += b"\x0a" + bytes([len(inner)]) + inner
    return made


def document(value: Any) -> bytes:
    return json.dumps(value).encode()


def targets() -> list[Target]:
    """One a file."""
    read = (
        (ADAPTER_CONFIG, ADAPTERS, adapter),
        (START, STARTS, start),
        ("config.json", CONFIGS, lambda file: check_model_dir(file.parent)),
        (FILE, ASKED, asked),
        ("chat_template.json", [{"chat_template": text} for text in TEMPLATES], template),
    )
    return [
        *(
            Target(name, corpus, mutation.document, reading(f"of-{name[:5]}/{name}", feed), 20, valid=document)
            for name, corpus, feed in read
        ),
        Target("chat templates", TEMPLATES, mutation.encoded, reading("t/t.jinja", template), 20, valid=str.encode),
        Target("tokenizer.model", [vocabulary()], mutation.binary, reading("tokenizer.model", pieces), 30),
    ]
