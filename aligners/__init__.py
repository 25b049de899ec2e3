"""Objectives, hardness, reference log-probabilities, the preference forward and the trainer."""

import harness  # noqa: F401  (torchvision must be patched before transformers imports it)
