"""`prompts`: what a benchmark asks, for people who answer with code of their own and have the answers scored."""

from __future__ import annotations

import base64
import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.evaluation.resolve import data_dir as folder_of
from harness.evaluation.resolve import load, make_benchmark
from harness.protocols.benchmark import Sample
from harness.protocols.external import ExternalBenchmark
from harness.util.files import write_json
from harness.util.inside import inside
from harness.util.jsonl import write_jsonl
from harness.util.options import overlay
from harness.util.places import placing
from workflows.embedded import SETTINGS, data_root
from workflows.settings import deal_benchmarks


@dataclass(frozen=True)
class Prompts:
    """The questions of a benchmark in its order.

    Args:
        records: ``id``, ``prompt`` and ``image``: a path, or null; an image that lies inside the data is base64 in
            ``image_base64``. ``score`` takes answers by these ids: {"id", "response"} a line.
        protocol: the benchmark with its version, the ``settings`` (those given, and the embedded world's on its data;
            `score` must be given the same), and ``decoding``: how the protocol generates answers.
        folder: the data directory that `score` is given.
        missing: paths of images that are not there.
    """

    records: tuple[Mapping[str, Any], ...]
    protocol: Mapping[str, Any]
    folder: Path
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.records)

    def write(self, file: str | Path) -> tuple[Path, Path]:
        """Write the records as JSON lines to ``file`` and the protocol beside it: asked.protocol.json to asked.jsonl.

        Raises HarnessError where there is no place for one of them, UsageError for a file of the data directory that
        was not written here.
        """
        questions = Path(file)
        with placing(questions):
            protocol = questions.with_name(f"{questions.stem}.protocol.json")
            foreign = questions.exists() and not protocol.exists()
        if foreign and inside(questions, [os.path.realpath(self.folder)]):
            raise UsageError(f"--out {file}: that is a file of the data directory, and not written over; name another.")
        write_jsonl(questions, self.records)
        write_json(protocol, self.protocol)
        return questions, protocol


def prompts(
    benchmark: str,
    data_dir: str | Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> Prompts:
    """The questions of ``benchmark``, to be answered elsewhere; no model is loaded and no image opened.

    Args:
        data_dir: the benchmark's own folder, or one that holds it; None: the embedded world, built if absent (minutes).
        settings: the benchmark's, as of `--set`; give ``score`` the same.
        limit: only so many samples, drawn from all its parts.

    Raises UsageError for a benchmark that another engine asks (lmms:TASK), DataError for data that cannot be read.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit}: expected a whole number of at least 1; leave it out for all samples.")
    of_world = deal_benchmarks([benchmark], {}, SETTINGS if data_dir is None else None)  # as `bench` asks there
    given = overlay(of_world[benchmark], deal_benchmarks([benchmark], settings or {})[benchmark])
    made = make_benchmark(benchmark, given)
    if isinstance(made, ExternalBenchmark):
        raise UsageError(
            f"prompts {benchmark}: its questions are asked by another package's engine and not known here."
        )
    made.check()
    folder = folder_of(benchmark, data_root(data_dir))
    data = load(made, folder, limit)
    decoding = {name: value for name, value in dataclasses.asdict(made.decoding).items() if name != "checkpoint"}
    protocol = {"benchmark": benchmark, "version": data.version, "settings": given, "samples": len(data.samples)}
    protocol |= {"decoding": decoding}
    paths = dict.fromkeys(s.image.path for s in data.samples if s.image is not None and s.image.path is not None)
    missing = tuple(str(path) for path in paths if not path.is_file())
    return Prompts(tuple(map(_record, data.samples)), protocol, folder, missing)


def _record(sample: Sample) -> dict[str, Any]:
    image = sample.image
    path = None if image is None or image.path is None else str(image.path.absolute())
    record: dict[str, Any] = {"id": sample.id, "prompt": sample.prompt, "image": path}
    if image is not None and image.data is not None:
        record["image_base64"] = base64.b64encode(image.data).decode()
    return record
