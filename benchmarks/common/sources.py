"""Hosts and licences of official files; each repository is pinned to the commit whose scorer was followed."""

from __future__ import annotations

GITHUB = "https://raw.githubusercontent.com"
COCO_IMAGES = "http://images.cocodataset.org"
HUB = "https://huggingface.co/datasets"
RLAIFV = f"{GITHUB}/RLHF-V/RLAIF-V/83d917b2e8118ca8e7877a796d72af9bb3e6b356/eval"
"""Object HalBench and MMHal-Bench."""
NON_COMMERCIAL = "CC BY-NC 4.0"
APACHE = "Apache-2.0"
