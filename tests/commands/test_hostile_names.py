"""What others chose (names, answers, rows of a results file) neither leaves its folder nor commands a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import cli
from harness.store import Store
from harness.util.visible import UNSEEN
from tests.leaderboards.fakes import add, answers, example
from workflows.interruption import folder_of

BAD = "\x1b]0;owned\x07\x1b[2J\x9b31m[red]:smile:\u202e\u2066\u200b\rerased\b\b"
"""Sets the title, clears the screen, colours, reverses, overwrites."""


def run(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def hostile(path: Path) -> Store:
    """The example store, and what another's hands could have written into it."""
    store = example(path)
    for name in (f"done{BAD}", f"../../stopped{BAD}"):
        store.start_alignment(name, method=f"dama{BAD}", seed=0, panel=f"panel{BAD}", key="../../k", config={"x": BAD})
    store.finish_alignment(f"done{BAD}", status="done", model_dir=f"/etc{BAD}", seconds=1.0)
    add(store, f"done{BAD}", answers([1, 0, 1, 0, 1, 0]), alignment=None, info={"notes": [f"note{BAD}"]})
    add(store, "base", answers([1] * 6), benchmark="mmhal", judge=f"judge{BAD}", version=f"v{BAD}", data_key="e")
    with store.db.conn:
        store.db.conn.execute("UPDATE verdict SET answer = ?", [f"an answer{BAD}"])
    return store


@pytest.mark.parametrize(
    "words",
    [
        ("leaderboard",),
        ("leaderboard", "--differences"),
        ("leaderboard", "--format", "markdown"),
        ("leaderboard", "--format", "latex"),
        ("leaderboard", "--format", "csv"),
        ("compare", f"done{BAD}", "base"),
        ("show", f"done{BAD}"),
        ("list", "runs"),
        ("status",),
        ("db", "hide", f"done{BAD}"),
    ],
)
def test_no_stored_text_commands_the_terminal(tmp_path: Path, words: tuple[str, ...]) -> None:
    found = run(*words, "--db", hostile(tmp_path).path)
    assert "owned" in found.output, "it is shown, without its powers"
    assert not UNSEEN.search(found.output)


@pytest.mark.parametrize(
    "words",
    [
        ("show", f"absent{BAD}"),
        ("compare", f"absent{BAD}", "base"),
        ("leaderboard", "--format", f"absent{BAD}"),
        ("leaderboard", "--suite", f"absent{BAD}"),
        ("list", f"absent{BAD}"),
        ("show", "base", f"--absent{BAD}"),
        ("show", "base", "--samples", BAD),
        ("align", "--set", f"x{BAD}=1"),
        ("align", "--recipe", f"x{BAD}.yaml"),
    ],
)
def test_an_error_that_quotes_what_was_given_writes_its_control_characters_out(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    found = run(*words, "--db", hostile(tmp_path).path, code=2)
    assert r"\x1b" in found.output and not UNSEEN.search(found.output)


@pytest.mark.parametrize("name", ["../../x", "a\nb", "NUL"])
def test_no_command_takes_a_name_that_leaves_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    answered = tmp_path / "answers.jsonl"
    answered.write_text('{"id": "1", "response": "A dog."}\n')
    file, db = str(answered), ("--db", str(tmp_path / "r.sqlite"))
    given = [
        ("align", "--name", name, "--model", str(tmp_path), "--data", file),
        ("align", "--set", f"name={json.dumps(name)}", "--model", str(tmp_path), "--data", file),
        ("bench", "--name", name, "--model", f"replay:{file}", "--benchmark", "amber", "--data-dir", str(tmp_path)),
    ]
    for words in given:
        said = run(*words, *db, code=2).stderr
        assert "--name '" in said and not UNSEEN.search(said), said
    assert not (tmp_path / "home").exists() and not (tmp_path.parent / "x").exists()


def test_a_stored_run_has_its_folder_inside_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    for name, key in (("../../x", "k" * 9), ("ok", "../../../etc"), ("/etc/passwd", "12345678"), ("a\0b", "k")):
        assert folder_of(name, key).parent == (tmp_path / "aligned").resolve()
    assert folder_of("dama-s0", "0123456789") == (tmp_path / "aligned" / "dama-s0-01234567").resolve()


def test_a_command_to_repeat_is_quoted_so_that_a_shell_runs_nothing_else(tmp_path: Path) -> None:
    store = example(tmp_path)
    store.start_alignment("x; touch owned", method="dpo", seed=0, panel="", key="k", config={})
    store.finish_alignment("x; touch owned", status="done", model_dir="m", seconds=1.0)
    for words in (
        ("status",),
        ("show", "x; touch owned"),
        ("leaderboard", "--format", "html", "--out", str(tmp_path / "p.html")),
    ):
        said = run(*words, "--db", store.path).output.replace("\n", "")
        assert not re.search(r"run:x;", said.replace("'run:x; touch owned'", "")), said
