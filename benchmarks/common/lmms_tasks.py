"""The names of lmms-eval's tasks, read from its YAML files: importing lmms-eval itself takes ten seconds and more."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.util.yaml_text import parse_yaml

_FIELD = re.compile(r"""^(["']?)(?:task|group|tag|include)\1[ \t]*:.*(?:\n(?:[ \t#-].*)?)*""", re.MULTILINE)
"""A field at the top of a task's file with all its lines; the others (prompts, functions) are not parsed."""


_TAG = re.compile(r"(?<=[ \t])![\w:]+")
"""A tag of lmms-eval: ``!function utils.doc_to_text``."""


def task_names() -> list[str]:
    """All tasks, groups and tags of the installed lmms-eval, as its TaskManager lists them (half a second)."""
    spec = importlib.util.find_spec("lmms_eval")
    folders = spec.submodule_search_locations if spec else None
    return sorted({name for folder in folders or () for name in names_under(Path(folder) / "tasks")})


def names_under(folder: Path) -> Iterator[str]:
    """The names that the files under ``folder`` declare; one may come several times.

    Raises UsageError that names a file that cannot be read.
    """
    for file in folder.rglob("*.yaml"):
        if {"__pycache__", ".ipynb_checkpoints"} & set(file.parts):
            continue
        try:
            yield from _declared(_fields(file))
        except (OSError, ValueError) as error:
            raise UsageError(f"{file}: expected a task of lmms-eval, in YAML: {error}") from error


def _fields(file: Path) -> dict[str, Any]:
    """The fields of ``file`` that name it, over those of the files it includes."""
    text = "\n".join(match.group() for match in _FIELD.finditer(file.read_text(encoding="utf-8-sig")))
    own = parse_yaml(_TAG.sub("", text), str(file)) or {}
    included = own.pop("include", None) or []
    merged: dict[str, Any] = {}
    for path in reversed([included] if isinstance(included, str) else included):
        merged |= _fields(file.parent / path)
    return merged | own


def _declared(fields: Mapping[str, Any]) -> Iterator[str]:
    task, group = fields.get("task"), fields.get("group")
    if isinstance(task, list):
        yield str(group)
    elif isinstance(task, str):
        yield task
        for names in (fields.get("tag"), group):
            yield from [names] if isinstance(names, str) else map(str, names or ())
