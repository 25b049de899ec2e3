"""Hosts and licences of official files; each repository is pinned to the commit whose scorer was followed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import files
from harness.util.jsonl import iter_jsonl

GITHUB = "https://raw.githubusercontent.com"
COCO_IMAGES = "http://images.cocodataset.org"
HUB = "https://huggingface.co/datasets"
RLAIFV = f"{GITHUB}/RLHF-V/RLAIF-V/83d917b2e8118ca8e7877a796d72af9bb3e6b356/eval"
"""Object HalBench and MMHal-Bench."""
NON_COMMERCIAL = "CC BY-NC 4.0"
APACHE = "Apache-2.0"


def image_urls(questions: Sequence[Path], home: str) -> dict[str, str]:
    """The URLs in the folder ``home`` of the images that JSON lines of questions name, by their plain names."""
    rows = [(f"{path} line {number}", row) for path in questions for number, row in iter_jsonl(path)]
    names = {files.plain_name(files.field_of(row, "image", str, where), where) for where, row in rows}
    return {name: f"{home}/{name}" for name in sorted(names)}
