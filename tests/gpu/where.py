"""The device that the tests of this folder run on, and how much of them."""

from __future__ import annotations

import os

import torch

from tests.tiny_families import FAMILIES

CUDA = torch.cuda.is_available() and os.environ.get("DAMA_TOY") != "1"
DEVICE = torch.device("cuda", 0) if CUDA else torch.device("cpu")
HERE = FAMILIES if CUDA else ("llava", "qwen2_5_vl")
"""The families that are tried; two on a CPU, where the other tests have tried them all."""
