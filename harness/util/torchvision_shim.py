"""Makes PyPI's torchvision importable next to a CPU build of torch.

PyPI's Linux wheel of torchvision is compiled for CUDA. Beside a CPU torch its extension cannot be loaded and
`import torchvision` fails with "operator torchvision::nms does not exist", and with it open_clip, timm, peft and half
of transformers. Declaring the two operators is enough for everything in Python (transforms, IO); compiled detection
operators stay unusable, and nothing here uses them.

Commands of other packages, as `accelerate launch`, do not import this project. For these `write_startup` puts a copy of
this module into the environment (`make install` does), so it imports nothing of the project.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
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
COPY = "torchvision_operators"
"""The name of this module's copy beside the packages of an environment."""
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
    hooked = any(type(finder).__name__ == _BeforeTorchvision.__name__ for finder in sys.meta_path)  # a copy's too
    if "torchvision" not in sys.modules and not hooked:
        sys.meta_path.insert(0, _BeforeTorchvision())


def declare_missing_operators() -> bool:
    """Declare torchvision's operators if its compiled extension cannot be loaded; True if that was needed."""
    global _library
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or torch.version.cuda is not None:
        return False
    if hasattr(torch.ops.torchvision, "nms"):
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


def write_startup(site_packages: Path | None = None) -> Path | None:
    """Let every Python of this environment begin with ``install``, where torchvision needs it.

    Returns the file written to ``site_packages`` (default: this environment's), None where nothing is needed.
    """
    if not declare_missing_operators() and COPY not in sys.modules:
        return None
    folder = site_packages or Path(sysconfig.get_path("purelib"))
    (folder / f"{COPY}.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    start = folder / f"{COPY}.pth"  # a line that begins with "import" is run as Python starts
    start.write_text(f"import {COPY}; {COPY}.install()\n", encoding="utf-8")
    return start
