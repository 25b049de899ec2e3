"""Libraries that need torchvision work beside a CPU build of torch, whichever was imported first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.util.torchvision_shim import write_startup
from tests.house import ROOT
from tests.tiny_llava import save_tiny_llava

# What a notebook may have run before it imports the harness. Where PyPI's torchvision stands beside a CPU torch, the
# second lines fail by themselves; that must not spoil what comes after.
BEFORE = [
    ["import transformers"],
    ["from transformers import AutoProcessor, LlavaProcessor", "import peft", "import open_clip"],
]
AFTER = """
import sys
for line in sys.argv[2:]:
    try:
        exec(line)
    except (ImportError, RuntimeError):
        assert line != "import transformers"
import dama
from harness.models.spec import load_model
model = load_model(sys.argv[1], device="cpu")
assert model.route.endswith("image-prefix"), model.route
import open_clip, peft, torchvision.transforms
from transformers import AutoProcessor
AutoProcessor.from_pretrained(sys.argv[1].removeprefix("hf:"))
print("all work")
"""


@pytest.mark.parametrize("before", BEFORE, ids=["transformers", "what fails alone"])
def test_what_was_imported_before_the_harness_does_not_matter(before: list[str], tmp_path: Path) -> None:
    model = save_tiny_llava(tmp_path / "model")
    command = [sys.executable, "-c", AFTER, f"hf:{model}", *before]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.endswith("all work\n"), done.stderr[-2000:]


def test_commands_of_other_packages_can_import_torchvision_once_the_environment_is_made(tmp_path: Path) -> None:
    """As `make install` makes it; `accelerate launch` imports timm and with it torchvision, and nothing of ours."""
    if write_startup(tmp_path) is None:
        pytest.skip("torchvision fits torch here")
    (tmp_path / "sitecustomize.py").write_text(f"import site; site.addsitedir({str(tmp_path)!r})")
    code = "import sys, torchvision; assert 'harness' not in sys.modules; import harness; import torchvision.transforms"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
