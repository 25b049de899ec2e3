"""Makes PyPI's torchvision importable next to a CPU build of torch.

PyPI's Linux wheel of torchvision is compiled for CUDA. Beside a CPU torch its extension cannot be loaded and
`import torchvision` fails with "operator torchvision::nms does not exist", and with it open_clip, timm, peft and half
of transformers. Declaring the two operators is enough for everything in Python (transforms, IO); compiled detection
operators stay unusable, and nothing here uses them.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: Any = None  # kept alive: the operators are gone when their library is collected


class _BeforeTorchvision(MetaPathFinder):
    """Runs once, when torchvision is first imported, so that commands that need neither stay fast."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            declare_missing_operators()
        return None


def install() -> None:
    """Hook into the first import of torchvision. Calling it again does nothing."""
    hooked = any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path)
    if "torchvision" not in sys.modules and not hooked:
        sys.meta_path.insert(0, _BeforeTorchvision())


def declare_missing_operators() -> bool:
    """Declare torchvision's operators if its compiled extension cannot be loaded; True if that was needed."""
    global _library
    import torch

    spec = importlib.util.find_spec("torchvision")
    if _library is not None or spec is None or spec.origin is None or torch.version.cuda is not None:
        return _library is not None
    extensions = [*Path(spec.origin).parent.glob("_C*.so"), *Path(spec.origin).parent.glob("_C*.pyd")]
    try:
        for extension in extensions:
            torch.ops.load_library(str(extension))  # type: ignore[no-untyped-call]
        if extensions:
            return False
    except OSError:
        pass
    _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        _library.define(schema)
    return True
