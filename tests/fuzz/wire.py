"""What comes over the wire and from recorded files: completions, headers, replies, answers, pictures."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from harness.chat.completion import Malformed, read
from harness.chat.throttle import retry_after
from harness.judges.replay import read_replies
from harness.models.responses import read_responses
from harness.util.images import image_size, open_image, seen_digest
from harness.util.json_safe import json_safe
from tests.fuzz import mutation
from tests.fuzz.files import reading
from tests.fuzz.target import Target
from workflows.objective import probe_file

COMPLETIONS = (
    {
        "model": "m-2025-01-01",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    },
    {
        "choices": [{"finish_reason": "length", "message": {"content": None, "reasoning_content": "hm"}}],
        "prompt_token_ids": [1, 2],
    },
    {"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": ["b"]}]}}]},
    {"choices": [{"message": {"refusal": "no", "content": ""}}], "model": "m"},
)
CHUNKS = (
    {"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {"model": "m", "choices": [{"index": 0, "delta": {"reasoning_content": "hm", "content": "Rating: "}}]},
    {"choices": [{"delta": {"content": [{"type": "text", "text": "4"}]}, "finish_reason": "stop"}], "error": None},
    {"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
)
HEADERS = ("3", "0.5", "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 -0000", "1e3")
REPLIES = ({"id": "a", "reply": "Rating: 5"}, {"id": 1, "reply": "Rating: 4", "run": 1}, {"id": "b", "reply": "0.5"})
ANSWERS = ({"id": "a", "response": "Yes"}, {"id": 2, "response": "No", "extra": [1]}, {"id": "c", "response": "x"})
STEPS = (
    {
        "policy_chosen": [-5.0, -6.0],
        "policy_rejected": [-7.0, -6.5],
        "ref_chosen": [-5.5, -6.0],
        "ref_rejected": [-6.5, -6.2],
        "delta": [0.1, -0.2],
        "delta_mean": 0.0,
    },
)
VALUES = ({"a": [1, 2.5, "x", None, {"b": True}], "c": math.nan},)


def completion(content: bytes) -> None:
    """A completion has a text, or says why not; counts are counts."""
    made = read(content)
    assert made.text is None or isinstance(made.text, str)
    assert made.text is not None or made.refusal
    assert all(type(count) is int and count >= 0 for count in made.usage.values())
    for said in (made.text or "", made.model, made.reasoning, made.refusal):
        said.encode()


def header(given: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        seconds = retry_after({name: given})
        assert seconds is None or (seconds >= 0 and not math.isnan(seconds))


def replies(path: Path) -> None:
    """Texts by id and run, which is a whole number that a loop can count to."""
    for (sample, run), said in read_replies(path).items():
        assert isinstance(sample, str) and 0 <= run < 2**31 and all(isinstance(text, str) for text in said)


def answers(path: Path) -> None:
    for sample, text in read_responses(path).answers.items():
        (sample + text).encode()


def step(path: Path) -> None:
    """Every aligner's numbers for log-probabilities from a file are JSON."""
    for method in ("dpo", "dama"):
        json.dumps(json_safe(probe_file(method, [], path)), allow_nan=False)


def safe(given: Any) -> None:
    json.dumps(json_safe(given), allow_nan=False)


def picture(content: bytes) -> None:
    """An image in RGB, or a ValueError; the same for its size and its key."""
    seen_digest(content)
    size = image_size(content)
    assert open_image(content).mode == "RGB" and all(side > 0 for side in size)


def pictures() -> list[bytes]:
    """Small images in the formats that data sets have."""
    made = []
    for mode, kind in (("RGB", "PNG"), ("RGB", "JPEG"), ("P", "GIF"), ("L", "BMP"), ("RGBA", "WEBP"), ("I;16", "TIFF")):
        out = io.BytesIO()
        Image.new(mode, (6, 5)).save(out, kind)
        made.append(out.getvalue())
    return made


def lines(rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def document(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()


def row_files(random: Random, corpus: Any) -> bytes:
    """Rows as JSON lines, or as one JSON array."""
    return (mutation.lines if random.random() < 0.7 else mutation.document)(random, corpus)


def events(chunks: Sequence[Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def streams(random: Random, corpus: Any) -> bytes:
    """A stream of chunks, with one of them or its text changed, or cut."""
    made = b"data: " + mutation.lines(random, corpus).replace(b"\n", b"\n\ndata: ")
    return made[: random.randrange(len(made))] if random.random() < 0.2 else made + b"[DONE]\n\n"


def targets() -> list[Target]:
    """One a reader."""
    return [
        Target("completions", COMPLETIONS, mutation.document, completion, 120, (Malformed,), document),
        Target("streams of completions", [list(CHUNKS)], streams, completion, 30, (Malformed,), events),
        Target("retry-after", HEADERS, mutation.text, header),
        Target("recorded replies", [REPLIES], row_files, reading("replies.jsonl", replies), 60, valid=lines),
        Target("answers", [list(ANSWERS)], row_files, reading("answers.jsonl", answers), 60, valid=lines),
        Target("objective's input", STEPS, mutation.document, reading("step.json", step), 2, valid=document),
        Target("values for JSON", VALUES, mutation.value, safe),
        Target("pictures", pictures(), mutation.binary, picture, 2, (ValueError,), limit=30),
    ]
