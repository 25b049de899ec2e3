"""Set up before any test module is imported."""

import harness  # noqa: F401  installs the torchvision shim, which must come before transformers asks for torchvision
