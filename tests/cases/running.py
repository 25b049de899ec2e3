"""A command as a user types it, in this process, on data of a few rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from PIL import Image

from cli import cli
from tests.benchmarks.conftest import write_json, write_jsonl
from tests.harness.fault_server import FaultServer

QUICK = ("first_wait=0.001", "longest_wait=0.01")
ROW = {"question_type": "attribute", "question_topic": "x", "image_content": ["Dog"], "gt_answer": "A dog."}


def run(*words: object, code: int = 0) -> Result:
    """The result of ``dama WORDS``, which ends with ``code`` and never by a traceback."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def said(result: Result) -> str:
    """Its messages, however they were broken into lines."""
    return " ".join(result.stderr.split())


def figures(result: Result) -> dict[str, Any]:
    """The one evaluation that it printed as JSON."""
    found = json.loads(result.stdout)
    one: dict[str, Any] = found[0] if isinstance(found, list) else found
    return one


def settings(*pairs: str) -> list[str]:
    """``--set`` for each."""
    return [word for pair in pairs for word in ("--set", pair)]


def judge_at(server: FaultServer, name: str = "judge", *more: str) -> list[str]:
    """The options that have ``server`` judge."""
    return ["--judge", f"openai:{name}@{server.url}", *settings(*(f"judge.{each}" for each in (*QUICK, *more)))]


def mmhal(folder: Path, count: int = 6, images: Iterable[int] | None = None) -> Path:
    """MMHal-Bench's file of ``count`` questions, with the images of these numbers (all), and ``answers.jsonl``."""
    (folder / "images").mkdir(parents=True)
    for number in range(count) if images is None else images:
        Image.new("RGB", (8, 8)).save(folder / f"images/{number}.png")
    rows = [{**ROW, "image_src": "", "image_id": str(i), "question": f"Question {i}?"} for i in range(count)]
    write_json(folder / "mmhal-bench_answer_template.json", [{**row, "model_answer": ""} for row in rows])
    answers(folder, {str(i): f"It is answer {i}." for i in range(count)})
    return folder


def answers(folder: Path, texts: dict[str, str]) -> None:
    """Write ``answers.jsonl``."""
    write_jsonl(folder / "answers.jsonl", [{"id": id_, "response": text} for id_, text in texts.items()])


def score(benchmark: str, folder: Path, judge: Sequence[str], code: int = 0, file: str = "answers.jsonl") -> Result:
    """``score`` of a file of answers in ``folder``, as JSON; results in ``folder/r.sqlite``."""
    files = ["--responses", folder / file, "--data-dir", folder, "--db", folder / "r.sqlite"]
    return run("score", "--benchmark", benchmark, *files, "--json", *judge, code=code)
