"""Set up before any test module is imported."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # no test downloads anything; without this an absent name is retried for long

import harness  # noqa: F401  installs the torchvision shim, before transformers asks for torchvision
