"""The engine of the DAMA harness: protocols, the store, judges, models, statistics."""

from harness.util.torchvision_shim import install as _install_torchvision_shim

_install_torchvision_shim()
