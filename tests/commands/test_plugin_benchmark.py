"""A benchmark of another package, found by its entry point: the one of examples/plugins."""

from __future__ import annotations

import hashlib
import http.server
import json
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import cli
from harness.protocols.benchmark import BENCHMARKS
from tests.harness.fault_server import FaultServer
from tests.house import ROOT

Run = Callable[..., Result]
ROWS = '{"id": "a", "object": "sky", "colour": "blue"}\n{"id": "b", "object": "grass", "colour": "green"}\n'


def example() -> str:
    """The file that docs/plugins/benchmarks.md shows."""
    return (ROOT / "examples/plugins/colours.py").read_text(encoding="utf-8")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    install(tmp_path, monkeypatch, "colours", example(), "Colours")
    yield tmp_path


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str, kind: str) -> None:
    """A package of one module on the import path, with its metadata as pip would write them."""
    site = folder / "site"
    metadata = site / f"{name}-0.1.dist-info"
    metadata.mkdir(parents=True)
    (site / f"{name}.py").write_text(source)
    (metadata / "entry_points.txt").write_text(f"[dama_harness.benchmarks]\n{name} = {name}:{kind}\n")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    BENCHMARKS.names()
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(BENCHMARKS, "_items", dict(BENCHMARKS._items))
    monkeypatch.setattr(BENCHMARKS, "_faults", dict(BENCHMARKS._faults))
    monkeypatch.setattr(BENCHMARKS, "_loaded", False)
    monkeypatch.setenv("DAMA_HOME", str(folder / "home"))


@pytest.fixture
def run(installed: Path) -> Run:
    def invoke(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, [str(word) for word in words])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


def test_list_bench_score_and_leaderboard_pick_it_up(installed: Path, run: Run) -> None:
    data, answers, db = installed / "colours", installed / "mine.jsonl", ("--db", installed / "r.sqlite")
    data.mkdir()
    (data / "colours.jsonl").write_text(ROWS)
    answers.write_text('{"id": "a", "response": "The sky is blue."}\n{"id": "b", "response": "It is red."}\n')

    rows = {row["name"]: row for row in json.loads(run("list", "benchmarks", "--json", *db).stdout)}
    assert rows["colours"]["judge"] == "needed"

    play = lambda prompt, nth: "Yes" if "The sky is blue" in prompt else ("Perhaps." if nth == 0 else "**no**")
    with FaultServer(play) as server:
        judge = ("--judge", f"openai:judge@{server.url}")
        where = ("--benchmark", "colours", "--data-dir", data, *judge, *db)
        plan = json.loads(run("bench", *where, "--model", f"replay:{answers}", "--dry-run", "--json").stdout)
        assert plan["total"]["judge_calls"] == 2
        scored = json.loads(run("score", *where, "--responses", answers, "--json").stdout)
        assert scored["metrics"]["right"]["value"] == 50.0
        assert (scored["n_scored"], len(server.calls)) == (2, 3), "one re-ask"
        (benched,) = json.loads(run("bench", *where, "--model", f"replay:{answers}", "--json").stdout)
        assert benched["metrics"] == scored["metrics"] and len(server.calls) == 3
    assert "colours" in run("leaderboard", "--format", "csv", *db).stdout
    assert run("leaderboard", *db).stdout


def test_fetch_brings_the_files_that_it_names(installed: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (installed / "www").mkdir()
    (installed / "www" / "colours.jsonl").write_text(ROWS)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(installed / "www"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        from harness.util.fetching import Manual, Source

        url = f"http://127.0.0.1:{server.server_port}/colours.jsonl"
        source = Source("colours.jsonl", url, "sha256:" + hashlib.sha256(ROWS.encode()).hexdigest(), "CC0")
        manual = Manual("images", "the pictures", "https://example.org", "They want a signature.")
        kind = BENCHMARKS.get("colours")
        monkeypatch.setattr(kind, "sources", (source,), raising=False)
        found = json.loads(run("fetch", "colours", "--json").stdout)
        assert found["files"][0]["state"] == "fetched"
        assert Path(found["folder"], "colours.jsonl").read_text() == ROWS
        monkeypatch.setattr(kind, "sources", (source, manual), raising=False)
        told = run("fetch", "colours", "--data-dir", Path(found["folder"]).parent, code=3).stdout
        assert "there" in told and "They want a signature." in told and "images" in told
        wrong = Source("other.jsonl", url, "sha256:00", "CC0")
        monkeypatch.setattr(kind, "sources", (wrong,), raising=False)
        assert "expected sha256:00" in run("fetch", "colours", code=1).stdout
    finally:
        server.shutdown()
        server.server_close()


def test_a_package_that_does_not_import_is_left_out_with_a_warning(installed: Path, run: Run) -> None:
    (installed / "site" / "colours.py").write_text("import nothing_of_this_name")
    with pytest.warns(UserWarning, match="benchmark 'colours' of colours:Colours is left out"):
        names = {row["name"] for row in json.loads(run("list", "benchmarks", "--json").stdout)}
    assert "amber" in names and "colours" not in names
