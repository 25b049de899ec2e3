"""`doctor` names what is missing, who needs it and the command that adds it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cli
from workflows.doctor import NLTK_DATA, OPTIONAL, checks


def rows() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in checks()}


def test_data_of_nltk_are_found_where_nltk_looks_zipped_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    found = rows()
    for resource in NLTK_DATA:
        row = found[f"nltk data {resource.rpartition('/')[2]}"]
        assert row["state"] == "missing"
        assert row["detail"].endswith(".venv/bin/python cli.py fetch nlp")
    assert found["taggers"]["state"] == "ok"
    (tmp_path / "tokenizers/punkt_tab").mkdir(parents=True)
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora/wordnet.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    found = rows()
    states = {name: found[f"nltk data {name}"]["state"] for name in ("punkt_tab", "wordnet")}
    assert states == {"punkt_tab": "ok", "wordnet": "ok"}
    assert found["taggers"]["state"] == "bad", "an empty folder is there, and splits nothing"
    assert "cli.py fetch nlp" in found["taggers"]["detail"]


@pytest.mark.parametrize("module", ["num2words", "en_core_web_trf", "en_core_web_lg"])
def test_an_optional_part_is_named_with_who_needs_it(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == module else spec(name, *more))
    what, command = OPTIONAL[module]
    row = rows()[module]
    assert row["state"] == "missing" and row["detail"] == f"{what}. Add it with: {command}"


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("missing", 0), ("bad", 1)])
def test_the_exit_code_says_what_is_wrong_in_json_too(state: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"name": "torch", "state": state, "detail": "as it is"}]
    monkeypatch.setattr("workflows.doctor.checks", lambda: rows)
    assert CliRunner().invoke(cli, ["doctor"]).exit_code == code
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    assert (result.exit_code, json.loads(result.stdout)) == (code, rows)
