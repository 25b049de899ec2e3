"""Plug-ins of all six kinds from another package: good ones are listed, faulty ones named, left out and refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from harness.registry import Registry, plugin_behind

ROOT = Path(__file__).parents[2]
KINDS = ("aligners", "benchmarks", "judges", "models", "splitters", "formats")

GOOD = """
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from aligners.objective import Objective
from aligners.pair_hardness.splitter import Splitter
from harness.models.spec import ModelKind
from harness.protocols.benchmark import Benchmark
from harness.protocols.judge import Judge, Reply
from leaderboards.formats.registry import Format


@dataclass(frozen=True, kw_only=True)
class GoodAligner(Objective):
    name: ClassVar[str] = "good"
    paper: ClassVar[str] = "none"
    formula: ClassVar[str] = "-log sigmoid(beta h)"


class GoodJudge(Judge):
    \"\"\"Says yes.\"\"\"

    def __init__(self, argument: str, root: Path) -> None:
        self.name = "good"

    def ask(self, requests):
        return ((position, Reply("yes", "good")) for position, _ in enumerate(requests))


GOOD_MODEL = ModelKind("good:NAME", "a model", lambda spec, loading: None)


class GoodSplitter(Splitter):
    \"\"\"Words.\"\"\"

    name = "words-1"

    def split(self, texts, progress=None):
        return [text.split() for text in texts]


class GoodFormat(Format):
    \"\"\"Nothing.\"\"\"

    name = "good"

    def render(self, view):
        return ""


@dataclass(frozen=True, kw_only=True)
class GoodBenchmark(Benchmark):
    name: ClassVar[str] = "good"
    version: ClassVar[str] = "1"

    def load(self, root):
        raise KeyError

    def verdict(self, sample, answer, replies):
        raise KeyError

    def metrics(self, samples):
        return []


# What lacks something, or has it in another type:
@dataclass(frozen=True, kw_only=True)
class Lettered(GoodBenchmark):
    name: ClassVar[str] = "lettered"
    headline: ClassVar[str] = "chair_i"
    suites: ClassVar[str] = "general"
    tradeoff: ClassVar[list] = ["chair_i"]


class Misnamed(GoodBenchmark):
    name = "other"


class BadAligner(Objective):
    name = "bad"
    paper = "none"


class BadBenchmark(GoodBenchmark):
    @property
    def version(self):
        raise RuntimeError("no version today")


class BadJudge(Judge):
    name = "bad"


BAD_MODEL = "a string"


class BadSplitter(Splitter):
    name = "bad"


class BadFormat:
    name = "bad"
"""
NAMES = {
    "aligners": ("GoodAligner", "BadAligner", "it has no 'formula'"),
    "benchmarks": ("GoodBenchmark", "BadBenchmark", "its 'version' cannot be read (RuntimeError: no version today)"),
    "judges": ("GoodJudge", "BadJudge", "it has no 'ask'"),
    "models": ("GOOD_MODEL", "BAD_MODEL", "expected a harness.models.spec.ModelKind, got 'a string'"),
    "splitters": ("GoodSplitter", "BadSplitter", "it has no 'split'"),
    "formats": ("GoodFormat", "BadFormat", "the class BadFormat does not extend"),
}
LIST = """
import sys
from cli import main
for kind in sys.argv[1:]:
    sys.argv = ["cli.py", "list", kind, "--json"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (kind, end.code)
"""
ASK = """
import sys
from aligners.objective import ALIGNERS
from aligners.pair_hardness.splitter import SPLITTERS
from harness.errors import UsageError
from harness.judges.registry import JUDGES
from harness.models.spec import MODELS
from harness.protocols.benchmark import BENCHMARKS
from leaderboards.formats.registry import FORMATS
for registry in (ALIGNERS, BENCHMARKS, JUDGES, MODELS, SPLITTERS, FORMATS):
    registry.get("good")
    for name in ("bad", "exits", "breaks"):
        try:
            registry.get(name)
        except UsageError as error:
            print(registry.group.partition(".")[2], name, error)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an installed package that has a good plug-in of every kind and three that are not."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "plugged.py").write_text(GOOD)
    (folder / "exits.py").write_text("import sys\nprint('printed on import')\nsys.exit('not today')\n")
    (folder / "breaks.py").write_text("1 / 0\n")
    lines = []
    for kind, (good, bad, _) in NAMES.items():
        lines += [f"[dama_harness.{kind}]", f"good = plugged:{good}", f"bad = plugged:{bad}"]
        lines += ["exits = exits:Anything", "breaks = breaks:Anything"]
        if kind == "benchmarks":
            lines += ["lettered = plugged:Lettered", "misnamed = plugged:Misnamed", "a/b,c = plugged:GoodBenchmark"]
    info = folder / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable, *words]
    return subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True, check=True, timeout=120)


@dataclass(frozen=True)
class Listed:
    """What ``list KIND --json`` says of several kinds: the names of each, and stderr of them all."""

    names: Mapping[str, set[str]]
    stderr: str


@pytest.fixture(scope="module")
def listed(site: Path) -> Listed:
    """All kinds in one process, which imports each plug-in once and the libraries too."""
    kinds = [*KINDS, "suites"]
    done = run(site, "-c", LIST, *kinds)
    names, rest = {}, done.stdout
    for kind in kinds:
        rows, end = json.JSONDecoder().raw_decode(rest)
        names[kind], rest = {row["name"].partition(":")[0] for row in rows}, rest[end:].lstrip()
    assert not rest
    return Listed(names, done.stderr)


@pytest.mark.parametrize("kind", KINDS)
def test_the_list_holds_good_plug_ins_and_names_the_others_on_stderr(kind: str, listed: Listed) -> None:
    assert "good" in listed.names[kind] and not listed.names[kind] & {"bad", "exits", "breaks"}
    noun, reason = kind.removesuffix("s"), NAMES[kind][2]
    assert f"{noun} 'bad' of plugged:{NAMES[kind][1]} is left out: {reason}" in listed.stderr
    assert f"{noun} 'exits' of exits:Anything is left out: importing it raised SystemExit: not today" in listed.stderr
    assert f"{noun} 'breaks' of breaks:Anything is left out: importing it raised ZeroDivisionError" in listed.stderr
    assert "printed on import" in listed.stderr and "Traceback" not in listed.stderr


def test_members_of_another_type_names_that_differ_and_odd_names_are_faults(listed: Listed) -> None:
    assert listed.names["suites"] == {"hallucination", "general", "all"}
    for fault in (
        "its 'headline' is 'chair_i', expected tuple[str, ...]; its 'suites' is 'general', expected tuple[str, ...]",
        "its 'tradeoff' is ['chair_i'], expected tuple[str, str] | None",
        "'misnamed' of plugged:Misnamed is left out: it calls itself 'other'",
        "'a/b,c' of plugged:GoodBenchmark is left out: a name has letters, digits and . _ + - only",
    ):
        assert fault in listed.stderr


def test_a_faulty_plug_in_is_refused_with_what_is_wrong_when_asked_for(site: Path) -> None:
    said = run(site, "-W", "ignore", "-c", ASK).stdout
    for kind, (_, bad, reason) in NAMES.items():
        assert f"{kind} bad " in said and f"'bad' of plugged:{bad} cannot be used: {reason}" in said
        assert f"{kind} exits " in said and f"{kind} breaks " in said


def test_a_name_of_the_projects_own_cannot_be_taken(site: Path, tmp_path: Path) -> None:
    (tmp_path / "taker-1.0.dist-info").mkdir()
    (tmp_path / "taker-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: taker\nVersion: 1.0\n")
    entry = "[dama_harness.judges]\nreplay = plugged:GoodJudge\n"
    (tmp_path / "taker-1.0.dist-info" / "entry_points.txt").write_text(entry)
    (tmp_path / "plugged.py").write_text((site / "plugged.py").read_text())
    code = "from harness.judges.registry import JUDGES; print(JUDGES.get('replay').__name__)"
    done = run(tmp_path, "-c", code)
    assert done.stdout.strip() == "ReplayJudge" and "another judge has that name" in done.stderr


def registry_with(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str, names: Sequence[str]) -> Registry[type]:
    """A registry of classes to which the package ``whose`` adds those of ``names``."""
    (folder / "whose.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "whose", raising=False)
    entries = [EntryPoint(name, f"whose:{name}", "group") for name in names]
    monkeypatch.setattr("harness.registry._plugins", {})
    monkeypatch.setattr("harness.registry.entry_points", lambda group: entries)
    return Registry("thing", (), "group")


def test_a_plug_in_that_cannot_be_described_is_left_out_and_the_others_are_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = "class good: is_ = 'x'\nclass bad: pass\nclass also: is_ = 'y'"
    things = registry_with(monkeypatch, tmp_path, code, ["good", "bad", "also"])
    with pytest.warns(UserWarning, match="thing 'bad' of whose:bad is left out: describing it raised AttributeError"):
        rows = things.described(lambda name, item: {"name": name, "is": vars(item)["is_"]} if name != "bad" else fail())
    assert rows == [{"name": "also", "is": "y"}, {"name": "good", "is": "x"}]


def fail() -> dict[str, str]:
    raise AttributeError("is_")


def test_a_fault_of_the_projects_own_description_is_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    things = registry_with(monkeypatch, tmp_path, "", [])
    things.register("ours", int)
    with pytest.raises(AttributeError):
        things.described(lambda name, item: fail())


def test_an_import_that_takes_long_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.registry.SLOW", 0.01)
    things = registry_with(monkeypatch, tmp_path, "import time; time.sleep(0.2)\nclass x: pass", ["x"])
    assert things.names() == ["x"]
    assert "Still importing the thing 'x' of whose:x. If it hangs, press Ctrl-C" in capsys.readouterr().err


def test_ctrl_c_while_a_plug_in_is_imported_ends_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    things = registry_with(monkeypatch, tmp_path, "raise KeyboardInterrupt", ["x"])
    with pytest.raises(KeyboardInterrupt):
        things.names()


def test_an_error_is_laid_at_the_plug_in_that_it_came_out_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = "class x:\n    def fail(self):\n        return int('no number')"
    things = registry_with(monkeypatch, tmp_path, code, ["x"])
    with pytest.raises(ValueError, match="no number") as raised:
        things.get("x")().fail()
    assert plugin_behind(raised.value) == "The plug-in whose (thing 'x'), line 3,"
    assert plugin_behind(ValueError("ours")) is None
