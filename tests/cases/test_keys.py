"""Keys as they are found in the environment, from `score` to what is stored and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.running import figures, judge_at, mmhal, run, said, score
from tests.harness.fault_server import FaultServer

REPLY = "Rating: 4"


def test_a_key_that_ends_in_a_line_break_is_sent_without_it_and_is_in_nothing_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-SECRETSECRET\r")
    data = mmhal(tmp_path / "d")
    with FaultServer(lambda prompt, nth: REPLY) as server:
        result = score("mmhal", data, judge_at(server, "judge", "api_key_env=OPENAI_API_KEY"))
        assert all(b"Bearer sk-SECRETSECRET\r\n" in head for head in server.headers)
    run("export", "--db", data / "r.sqlite", "--out", tmp_path / "x")
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert figures(result)["n_scored"] == 6
    assert b"SECRET" not in kept and "SECRET" not in result.output


def test_a_key_with_typographic_quotes_is_refused_in_one_line_before_any_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "“sk-abc”")
    with FaultServer(lambda prompt, nth: REPLY) as server:
        judge = judge_at(server, "judge", "api_key_env=OPENAI_API_KEY")
        result = score("mmhal", mmhal(tmp_path / "d"), judge, code=2)
    assert "the key in OPENAI_API_KEY" in said(result) and "sk-abc" not in result.output
    assert server.calls == []


def test_a_socks_proxy_is_named_with_the_package_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr("harness.chat.keys.importlib.util.find_spec", lambda name: None)
    judge = ["--judge", "openai:m@http://192.0.2.2:8000/v1", "--set", "judge.api_key_env=none"]
    result = score("mmhal", mmhal(tmp_path / "d"), judge, code=2)
    assert "SOCKS proxy" in said(result) and "pip install socksio" in said(result)
