"""A benchmark of a few files at a home on loopback, for `fetch`; the warm process alone knows it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import zipfile
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from harness.protocols.benchmark import BENCHMARKS, Benchmark, BenchmarkData, Metric, Sample, Verdict
from harness.util.fetching import AnySource, Source

NAME = "fetched"
HOME = "home.txt"
"""The file in the working directory that holds the address of the home."""
ARCHIVE, PICTURES = "pictures.zip", ("pictures/0.jpg", "pictures/1.jpg")


def _packed() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name in PICTURES:
            zipped.writestr(zipfile.ZipInfo(name), name * 100)
    return packed.getvalue()


FILES = {"questions.jsonl": b'{"id": "a"}\n' * 1000, "images.bin": bytes(range(256)) * 12_000, ARCHIVE: _packed()}
"""Small, of three chunks, and an archive."""
COMING = ("questions.jsonl", "images.bin", *PICTURES)
"""What is there in the end."""


class _Sources:
    """The files at the home that the working directory names."""

    def __get__(self, instance: object, owner: type) -> Sequence[AnySource]:
        home = Path(HOME).read_text() if Path(HOME).exists() else "http://127.0.0.1:9"
        digests = {name: "sha256:" + hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
        apart = {ARCHIVE: ((("pictures/*", "pictures"),), ("pictures",))}
        return [Source(name, f"{home}/{name}", digest, "CC0", *apart.get(name, ())) for name, digest in digests.items()]


class Fetched(Benchmark):
    """A few files; nothing is asked of them."""

    name: ClassVar[str] = NAME
    version: ClassVar[str] = "1"
    sources: ClassVar[Any] = _Sources()

    def load(self, root: Path) -> BenchmarkData:
        raise NotImplementedError

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        raise NotImplementedError

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        raise NotImplementedError


def register() -> None:
    """Make it known to this process and those forked from it."""
    BENCHMARKS.register(NAME, Fetched)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Not a line a file."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with contextlib.suppress(ConnectionError):  # who asked was killed
            super().copyfile(source, outputfile)


class FileHome:
    """A server of FILES under ``folder``, as a context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in FILES.items():
            (folder / name).write_bytes(content)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FileHome:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
