"""`bench --suite hallucination` on the embedded world, judged by an endpoint on loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cli
from harness.judges.openai import READY
from harness.store import Store
from tests.harness.fault_server import Fault, FaultServer, http
from tinyworld.build import World
from tinyworld.language import mentions


def between(text: str, before: str, after: str) -> str:
    return text.split(before)[1].split(after, maxsplit=1)[0]


def play(prompt: str, nth: int) -> str | Fault:
    """Lists the objects of a caption as the rule judge does; rates by the answer's length. The first call fails."""
    if nth == 0 and len(prompt) % 5 == 0:
        return http(503)
    if prompt == READY:
        return "Yes."
    if "JSON list of strings" in prompt:
        return json.dumps(mentions(between(prompt, "<text>\n", "\n</text>")))
    return f"It says something.\nRating: {len(between(prompt, '<answer>', '</answer>')) % 7}"


@pytest.mark.slow
def test_the_suite_runs_end_to_end_and_again_without_a_call(world: World, tmp_path: Path) -> None:
    def bench(*more: str) -> list[dict[str, Any]]:
        words = ["bench", "--suite", "hallucination", "--model", f"hf:{world.model_dir}", "--device", "cpu"]
        files = ["--data-dir", str(world.bench_dir), "--db", str(tmp_path / "r.sqlite")]
        result = CliRunner().invoke(cli, [*words, *files, "--set", "decoding={max_new_tokens: 24}", *more, "--json"])
        assert result.exit_code == 0, (result.output, result.exception)
        found: list[dict[str, Any]] = json.loads(result.stdout)
        return found

    with FaultServer(play) as server:
        judge = ("--judge", f"openai:judge@{server.url}", "--set", "judge.first_wait=0.01")
        found = {row["benchmark"]: row for row in bench(*judge)}
        assert set(found) == {"object_halbench", "amber", "mmhal"}
        assert all(row["n"] == row["n_scored"] > 0 for row in found.values())
        assert [found[b]["judge"] for b in ("object_halbench", "amber", "mmhal")] == [
            "openai:judge",
            "none",
            "openai:judge",
        ]
        calls = len(server.calls)
        assert {row["benchmark"]: row for row in bench(*judge)} == found
        assert len(server.calls) == calls

    ruled = {row["benchmark"]: row for row in bench("--judge", "rule")}
    assert ruled["object_halbench"]["metrics"] == found["object_halbench"]["metrics"]
    assert ruled["object_halbench"]["judge"] == "rule"
    assert {(e.benchmark, e.judge) for e in Store(tmp_path / "r.sqlite").evaluations()} == {
        ("object_halbench", "openai:judge"),
        ("mmhal", "openai:judge"),
        ("object_halbench", "rule"),
        ("mmhal", "rule"),
        ("amber", "none"),
    }
