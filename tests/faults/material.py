"""``python -m tests.faults.material FOLDER``: the models and data that the commands work on, made once a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house import ROOT

PAIRS = 8


def make(folder: Path) -> Path:
    """Make it in a process of its own, which takes torch with it when it ends."""
    words = [sys.executable, "-m", "tests.faults.material", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, timeout=600, capture_output=True)
    return folder


def main(folder: Path) -> None:
    """A tiny LLaVA, one as its own repository saves it with its tower, AMBER's data, and pairs."""
    import harness  # noqa: F401  # before torchvision
    from tests.original_llava import OriginalLlava, save_original, save_tower
    from tests.tiny import tiny_amber, tiny_llava, tiny_pairs

    tiny_llava(folder / "model")
    original = OriginalLlava(seed=0)
    save_original(original, folder / "original", with_tower=False, older=False)
    save_tower(original, folder / "clip-vit-large-patch14-336")
    tiny_amber(folder / "data" / "amber")
    tiny_pairs(folder / "pairs", PAIRS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
