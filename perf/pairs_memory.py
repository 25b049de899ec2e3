"""Memory and time of reading preference pairs in RLAIF-V's shape, images embedded in parquet, at two sizes.

Every reading is a process of its own. ``first``: rows are read, images checked and kept by content. ``again``: what the
other processes of a machine and later runs do.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SIDE = 256
"""Pixels; noise at this side is a JPEG of about 50 kB."""
READER = """
import sys, time
from aligners.pairs.data import load_pairs
started = time.monotonic()
pairs = load_pairs(sys.argv[1])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
now, peak = (int(status[name].split()[0]) for name in ("VmRSS", "VmHWM"))
print(len(pairs.pairs), time.monotonic() - started, now / 1024, peak / 1024)
"""


def rows(count: int) -> Iterator[dict[str, object]]:
    """Rows with RLAIF-V's columns; every image has bytes of its own."""
    draw = np.random.default_rng(0)
    out = io.BytesIO()
    Image.fromarray(draw.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(out, "JPEG", quality=80)
    words = ["the", "picture", "shows", "a", "dog", "and", "two", "cups", "on", "table"]
    for number in range(count):
        chosen, rejected = (" ".join(draw.choice(words, 100)) for _ in range(2))
        yield {
            "ds_name": "RLAIF-V",
            "image": {"bytes": out.getvalue() + number.to_bytes(8, "big"), "path": f"{number}.jpg"},
            "question": "Describe the picture in detail.",
            "chosen": chosen,
            "rejected": rejected,
            "origin_dataset": "coco",
            "idx": number,
            "image_path": f"{number}.jpg",
        }


def write(file: Path, count: int) -> None:
    """``count`` rows as one row group, as pandas writes them."""
    table = pa.Table.from_pylist(list(rows(count)))
    pq.write_table(table, file, row_group_size=count)


def read(file: Path, home: Path) -> tuple[int, float, float, float]:
    """Pairs, seconds, and resident MB after and at the peak of reading ``file`` in a new process."""
    environment = {**os.environ, "DAMA_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", READER, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    count, *figures = map(float, done.stdout.split())
    return int(count), *figures  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[5000, 20000])
    arguments = parser.parse_args()
    for count in arguments.pairs:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            file = folder / "pairs.parquet"
            write(file, count)
            for reading in ("first", "again"):
                pairs, seconds, now, peak = read(file, folder / "home")
                figures: dict[str, object] = {
                    "pairs": pairs,
                    "file_mb": round(file.stat().st_size / 1e6),
                    "reading": reading,
                }
                figures |= {"seconds": round(seconds, 1), "resident_mb": round(now), "peak_mb": round(peak)}
                print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
