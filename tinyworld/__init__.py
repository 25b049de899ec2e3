"""The embedded world: rendered scenes with known truth, its models, its data in the official formats."""

import harness  # noqa: F401  (torchvision must be patched before transformers imports it)
