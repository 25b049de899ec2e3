"""The whole chain against an endpoint that repeats its key in every part of its replies: the key is found nowhere."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image as PilImage

from cli import cli
from harness.store import Store
from tests.harness.fault_server import Fault, FaultServer, completion, http
from tests.house import ROOT

KEY = "sk-nowhere/0123456789+abcdefghij"
TYPED = "sk-nowhere-0123456789abcdefghij"
PART = re.compile(rb"nowhere|0123456789.{0,6}abcdefghij", re.DOTALL)
"""What is left of it however its punctuation is escaped."""


def echo(prompt: str, nth: int) -> str | Fault | dict[str, Any]:
    """A reply that repeats the key in one way or other, by what is asked."""
    ways: list[str | Fault | dict[str, Any]] = [
        f"I was asked with {KEY}. Rating: 4",
        completion("Rating: 4", choices=[{"message": {"content": "Rating: 4", "reasoning": KEY}}]),
        completion("Rating: 4", choices=[{"message": {"content": "Rating: 4"}, "finish_reason": KEY}]),
        Fault("raw", json.dumps(completion(KEY + " Rating: 4")).replace("nowhere", r"no\u0077here").encode()),
        http(400, json.dumps({"error": {"message": f"bad key {KEY}", "code": KEY}}).encode()),
        http(403, b"z" * 190 + KEY.encode()),
        Fault("raw", b"<html>" + KEY.encode()),
        http(302, b"", location=f"https://example.org/{KEY}"),
        completion("Rating: 4", model=KEY),
    ]
    number = next((int(digits) for digits in re.findall(r"number (\d+)", prompt)), 0)
    return ways[number % len(ways)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """MMHal-Bench's layout with nine questions about nine images."""
    (tmp_path / "mmhal/images").mkdir(parents=True)
    rows = []
    for number in range(9):
        PilImage.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"mmhal/images/{number}.png")
        row = {"image_id": str(number), "image_content": ["dog"], "question": f"What is in number {number} ?"}
        rows.append({**row, "question_type": "attribute", "gt_answer": "A dog.", "image_src": ""})
    (tmp_path / "mmhal/mmhal-bench_answer_template.json").write_text(json.dumps(rows))
    lines = [json.dumps({"id": str(number), "response": f"a dog number {number}"}) + "\n" for number in range(9)]
    (tmp_path / "answers.jsonl").write_text("".join(lines))
    return tmp_path


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file under ``folder`` as it is, and what is packed in pages."""
    for file in (file for file in folder.rglob("*") if file.is_file()):
        raw = file.read_bytes()
        yield file.name, raw
        for packed in re.findall(rb"H4sI[A-Za-z0-9+/=]{40,}", raw):
            yield f"{file.name} (packed)", gzip.decompress(b64decode(packed))


def test_a_key_that_an_endpoint_repeats_is_in_no_database_page_table_file_or_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTED", KEY + "\r\n")
    monkeypatch.chdir(tmp_path)
    shown: list[str] = []

    def run(*words: str) -> None:
        result = CliRunner().invoke(cli, [*words, "--db", str(tmp_path / "r.sqlite")])
        assert result.exit_code in (0, 1, 2, 3)
        shown.append(result.output + repr(result.exception))

    with FaultServer(echo) as server:
        judge = ["--judge", f"openai:judge@{server.url}", "--set", "judge.api_key_env=HOSTED", "--set", "judge.tries=1"]
        model = ["--model", f"openai:vlm@{server.url}", "--set", "model.api_key_env=HOSTED", "--set", "model.tries=1"]
        quick = ["--set", "judge.give_up=99", "--set", "judge.concurrency=1", "--data-dir", str(data / "mmhal")]
        greedy = ["--set", "decoding.num_beams=1"]
        run("score", "--benchmark", "mmhal", "--responses", str(data / "answers.jsonl"), *judge, *quick)
        run("bench", "--benchmark", "mmhal", *model, *judge, *quick, "--no-probe", "--json", *greedy)
        assert sum(f"Bearer {KEY}".encode() in head for head in server.headers) > 9
    run("leaderboard")
    run("leaderboard", "--format", "html", "--out", "page.html")
    run("leaderboard", "--format", "html", "--out", "pages")
    for kind in ("json", "csv", "markdown", "latex"):
        run("leaderboard", "--format", kind, "--out", f"table.{kind}")
    run("export", "--out", "export")
    run("status")
    store = Store(tmp_path / "r.sqlite")
    assert store.count("reply") >= 9 and store.count("generation") == 9, "something was asked, and stored"
    assert "***" in json.dumps(list(store.rows("reply")))
    found = [name for name, content in contents(tmp_path) if PART.search(content)]
    assert found == []
    assert [text for text in shown if PART.search(text.encode())] == []
    assert (tmp_path / "page.html").exists() and (tmp_path / "export/reply.jsonl").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--judge", f"openai:m@https://me:{TYPED}@h/v1"],
        ["--judge", f"openai:m@https://h/v1?api_key={TYPED}"],
        ["--set", f"judge.extra_body={{api_key: {TYPED}}}", "--judge", "openai:m@https://h/v1"],
    ],
)
def test_a_key_that_is_typed_is_not_repeated_by_an_error(words: list[str], data: Path) -> None:
    rest = ["--benchmark", "mmhal", "--responses", str(data / "answers.jsonl"), "--data-dir", str(data / "mmhal")]
    result = CliRunner().invoke(cli, ["score", *words, *rest, "--db", str(data / "r.sqlite")])
    assert result.exit_code == 2 and "openai" in result.output
    assert not PART.search(result.output.encode())


def test_a_key_that_is_typed_is_in_no_traceback() -> None:
    program = "import sys, cli; cli.cli = lambda: open(sys.argv[1].partition('=')[2]); cli.main()"
    command = [sys.executable, "-c", program, f"judge.api_key={TYPED}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "No such file or directory: '***'" in done.stderr
    assert not PART.search(done.stderr.encode())
