from __future__ import annotations

import os
import time
from pathlib import Path

from harness.util.caches import remove_unfinished


def test_unfinished_files_that_nobody_writes_to_any_more_are_removed(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    names = [".a.json.x1.part", "b.npz.part", "c.tmp", "d.json", "new.part"]
    for name in names:
        file = tmp_path / "cache" / name
        file.write_text("x")
        if name != "new.part":
            os.utime(file, (time.time() - 100, time.time() - 100))
    remove_unfinished(tmp_path, older_than=50)
    assert sorted(file.name for file in (tmp_path / "cache").iterdir()) == ["d.json", "new.part"]
    remove_unfinished(tmp_path / "absent")
