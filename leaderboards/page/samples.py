"""Samples for the report's drill-down: packed so that a page opens at once and unpacks only what is looked at.

A page opened from disk may not fetch files, but it may load scripts; so a chunk is gzip in base64, either inside the
page or in a ``.js`` file beside it that hands itself over. Base64 holds no markup: nothing an answer says can end a
script. Text is put into the page as text by the script, never as HTML.
"""

from __future__ import annotations

import base64
import gzip
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import HarnessError
from harness.evaluation.metrics import named_sums
from harness.evaluation.resolve import load, make_benchmark
from harness.protocols.benchmark import Metric, Sums
from harness.store import EvaluationRecord, Judgement
from harness.util.files import write_text
from harness.util.json_safe import json_text
from harness.util.options import content_key
from harness.util.secrets import hide_known
from leaderboards.declared import headline, metric_title
from leaderboards.snapshot import Snapshot

GOOD, BAD, FAILED, NONE = range(4)
THUMBNAIL = 320
"""Longest side of a picture in the report, in pixels."""


def pack(value: Any) -> str:
    """``value`` as base64 of gzip of JSON without known secrets, NaN as null; the same value gives the same text."""
    text = json_text(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(hide_known(text).encode("utf-8", "replace"), 6, mtime=0)).decode()


def sample_chunk(snapshot: Snapshot, data_key: str) -> list[list[Any]]:
    """The samples of a data set in its order: [id, question, picture's key, truth]."""
    return [
        [row["sample_id"], row["prompt"], row["grp"] or row["sample_id"], row["data"]]
        for row in snapshot.samples(data_key)
    ]


def verdict_chunk(snapshot: Snapshot, evaluation: EvaluationRecord) -> dict[str, list[Any]]:
    """The first judge run's verdicts by sample id: [state, answer, hallucinated words, figures, error, details,
    replies]. A reply: [judge as it called itself, key of its prompt, text, why there is none]; None: not recorded.
    """
    table = snapshot.verdicts(evaluation)
    rows = np.flatnonzero(table.runs == 0)
    sums = named_sums(table.columns, table.counts[rows].astype(float))
    figures = _figures(sums, len(rows), snapshot.metrics(evaluation), evaluation.benchmark)
    answers, read = snapshot.answers(evaluation), snapshot.store.judgements(evaluation.id)
    chunk = {}
    for i, (state, shown) in zip(rows.tolist(), figures, strict=True):
        answer, details = answers[i]
        words, error = details.get("hallucinated") or [], table.errors.get(i)
        chunk[table.samples[i]] = [
            state if error is None else FAILED,
            answer,
            words if isinstance(words, list) else [],
            shown,
            error,
            dict(details),
            _replies(read.get((table.samples[i], 0)), evaluation),
        ]
    return chunk


def _replies(read: list[Judgement] | None, evaluation: EvaluationRecord) -> list[list[str | None]] | None:
    if read is None:
        return [] if evaluation.judge == "none" else None
    return [[each.judge, each.prompt[:8], each.reply, each.error] for each in read]


def _figures(
    sums: Sums, rows: int, metrics: Sequence[Metric], benchmark: str
) -> list[tuple[int, list[tuple[str, float]]]]:
    """Of every verdict: good or bad by the first metric that speaks of it, and the figures of that sample alone."""
    if not rows:
        return []
    by_name = {m.name: m for m in metrics}
    names = [n for n in (*headline(benchmark, list(by_name)), "accuracy", "correct") if n in by_name]
    chosen = [by_name[n] for n in dict.fromkeys(names)]
    with np.errstate(all="ignore"):
        values = [np.broadcast_to(m.compute(sums), (rows,)) for m in chosen]
    judged = [i for i, m in enumerate(chosen) if m.unit == "%" and m.higher_is_better is not None]
    judged.sort(key=lambda i: (chosen[i].higher_is_better, chosen[i].name != "accuracy"))
    titles = [metric_title(m, benchmark) for m in chosen]
    out = []
    for k in range(rows):
        state = NONE
        for i in judged:
            if math.isfinite(values[i][k]):
                perfect = 100.0 if chosen[i].higher_is_better else 0.0
                state = GOOD if values[i][k] == perfect else BAD
                break
        shown = [(title, round(float(v[k]), 2)) for title, v in zip(titles, values, strict=True) if math.isfinite(v[k])]
        out.append((state, shown))
    return out


def pictures(evaluation: EvaluationRecord) -> dict[str, bytes]:
    """Small WebP pictures by group (or sample id) of an evaluation's data; empty where the data is gone."""
    try:
        samples = load(make_benchmark(evaluation.benchmark, _settings(evaluation)), Path(evaluation.data_dir)).samples
    except (HarnessError, OSError, TypeError):
        return {}
    small: dict[str, bytes] = {}
    for sample in samples:
        key = sample.image_group
        if key not in small and sample.image is not None:
            picture = thumbnail(sample.image.read)
            if picture:
                small[key] = picture
    return small


def _settings(evaluation: EvaluationRecord) -> dict[str, Any]:
    return {k: v for k, v in evaluation.settings.items() if not isinstance(v, Mapping)}


def thumbnail(read: Callable[[], bytes]) -> bytes:
    """The image that ``read`` gives as WebP of at most ``THUMBNAIL`` pixels; b"" where it cannot be read."""
    from harness.util.images import open_image

    try:
        picture = open_image(read())
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=72, method=2)  # half the time of the default for 2 % more bytes
        return out.getvalue()
    except (OSError, ValueError):
        return b""


def data_uri(picture: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(picture).decode()


def chunk_key(data_key: str) -> str:
    """A data set's key as part of a chunk's name: a file's and a script's, so letters and digits alone."""
    return data_key if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", data_key) else content_key(data_key)


class Chunks:
    """Where packed chunks go: into the page up to ``limit`` characters, or as ``.js`` files into ``folder``."""

    def __init__(self, folder: Path | None, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.inline: dict[str, str] = {}
        self.left_out: list[str] = []

    def add(self, name: str, value: Any) -> bool:
        """Store ``value`` under ``name``; False where the page is full."""
        packed = pack(value)
        if self.folder is not None:
            write_text(self.folder / f"{name}.js", f'dama.take("{name}","{packed}")\n')
            return True
        if sum(map(len, self.inline.values())) + len(packed) > self.limit:
            self.left_out.append(name)
            return False
        self.inline[name] = packed
        return True
