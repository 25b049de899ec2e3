"""Answers of one's own to the questions of the embedded world stand beside `bench`'s rows, or it is said why not."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

import dama
import workflows.embedded
from leaderboards.condition import condition_of
from tests.benchmarks.conftest import write_jsonl
from tests.cases.running import run, said
from tinyworld.build import World


def test_what_prompts_writes_is_what_bench_asks_and_its_score_command_puts_the_answers_beside(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bench` asks greedily for 64 tokens there, and POPE without its request for one word. By the protocol, as answers
    of a file count where nothing else is said, it is 128 tokens. The small base says neither yes nor no: exit 3.
    """
    monkeypatch.setattr(workflows.embedded, "build_embedded", lambda *_: world)
    asked, answers, db = tmp_path / "asked.jsonl", tmp_path / "mine.jsonl", tmp_path / "r.sqlite"
    run("bench", "--benchmark", "pope", "--no-probe", "--db", db, "--json", code=3)
    printed = said(run("prompts", "pope", "--out", asked))
    rows = [json.loads(line) for line in asked.read_text().splitlines()]
    write_jsonl(answers, [{"id": row["id"], "response": "Yes"} for row in rows])
    words = shlex.split(printed.partition("cli.py ")[2].partition(" --responses")[0])
    whole = said(run(*words, "--responses", answers, "--db", db, "--json"))
    assert "mine stands in one column with base. A file does not say how" in whole
    assert "these count as greedy, 64 tokens" in whole

    plain = [word for word in words if "decoding" not in word]
    plain.remove("--set")
    other = said(run(*plain, "--responses", answers, "--name", "other", "--db", db, "--json"))
    assert "other stands in a column of its own, not with base, mine (64 tokens; here 128 tokens)." in other
    assert "these count as greedy, 128 tokens; --set decoding.NAME=VALUE says otherwise" in other
    with dama.open(db) as results:
        base, mine, own = (e.record for e in results.evaluations())
    assert condition_of(base) == condition_of(mine) != condition_of(own)
