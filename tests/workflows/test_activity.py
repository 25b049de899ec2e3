"""What a command is doing is seen from other processes, also when it ended without a word."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import cli
from harness.errors import HarnessError, Interrupted, Transient, Unreachable, UsageError
from harness.protocols.benchmark import Verdict
from harness.protocols.progress import silent
from harness.store import Store
from harness.util.log import LOG, Verbosity, set_verbosity
from harness.util.options import parse_assignments
from harness.util.pool import WorkerLost
from harness.util.secrets import keep_secret
from leaderboards.provenance import command_of
from tests.house import ROOT
from tests.leaderboards.fakes import add
from tests.tiny import tiny_amber
from workflows import activity
from workflows.activity import working
from workflows.align import resolve_alignment
from workflows.settings import gather
from workflows.status import remove, status

ITEMS = ["base on amber", "base on pope"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    return Store(tmp_path / "r.sqlite")


def log_of(tmp_path: Path) -> str:
    (file,) = (tmp_path / "home/logs").iterdir()
    return file.read_text()


def test_what_runs_is_shown_with_its_steps_the_time_they_take_and_what_comes_after(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "EVERY", 0.0)
    with working(store, "bench", ITEMS) as work:
        work.finished(ITEMS[0])
        progress = work.watch(silent)
        progress("answers", 10, 100)
        time.sleep(0.02)
        progress("answers", 20, 100)
        (row,) = status(Store(store.path))["running"]
        assert row["to_do"] == ITEMS[1:] and row["where"].startswith(f"process {os.getpid()} on ")
        step = row["steps"]["answers"]
        assert (step["done"], step["total"]) == (20, 100) and step["seconds"] == pytest.approx(0.16, abs=0.1)
        progress("answers", 100, 100)
        (row,) = status(store)["running"]
        assert row["steps"] == {}
        work.finished(ITEMS[1])
    assert status(store)["running"] == status(store)["stopped"] == []


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (HarnessError("the judge is gone"), "failed", "the judge is gone"),
        (KeyboardInterrupt(), "interrupted", ""),
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
    ],
)
def test_work_that_ended_early_is_shown_with_the_reason_and_what_is_left(
    store: Store, tmp_path: Path, error: BaseException, state: str, why: str
) -> None:
    with pytest.raises(type(error)), working(store, "bench", ITEMS) as work:
        work.finished(ITEMS[0])
        raise error
    (row,) = status(store)["stopped"]
    assert (row["state"], row["why"], row["to_do"]) == (state, why, ITEMS[1:])
    assert ("Traceback" in log_of(tmp_path)) == isinstance(error, ZeroDivisionError)
    with working(store, "bench", ITEMS[1:]) as work:
        work.finished(ITEMS[1])
    assert status(store)["stopped"] == [], "a later command did it"


def test_an_item_that_fails_beside_others_that_are_done_is_shown(store: Store) -> None:
    with working(store, "ablate", ["a", "b"]) as work:
        work.failed("a: no such file", UsageError("no such file"))
        work.finished("b")
    (row,) = status(store)["stopped"]
    assert (row["state"], row["why"], row["to_do"]) == ("failed", "a: no such file", ["a"])


def shown(store: Store) -> str:
    """What `status` prints."""
    return CliRunner().invoke(cli.cli, ["status", "--db", str(store.path)]).stdout


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (UsageError("pairs.jsonl: no such file"), True),
        (HarnessError("out of memory with 8 pairs"), True),
        (ZeroDivisionError("by zero"), True),
        (Transient("the disk is full"), False),
        (Unreachable("--judge gives no answer"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ConnectionResetError("by the peer"), False),
        (Interrupted("stopped"), False),
    ],
)
def test_a_command_is_offered_again_where_it_may_do_better_and_else_what_to_mend_comes_first(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: BaseException, mend: bool
) -> None:
    monkeypatch.setattr(sys, "argv", ["cli.py", "align", "--data", "pairs.jsonl"])
    for aligned in (False, True):  # as a command that stopped, and as a run that is unfinished
        with pytest.raises(type(error)), working(store, "align", ["x"]):
            if aligned:
                store.start_alignment("x", method="dpo", seed=0, panel="", key="k", config={"checkpoint_every": 2})
            raise error
        facts = status(store)
        (row,) = facts["unfinished" if aligned else "stopped"]
        assert row["mend"] == mend and "--data pairs.jsonl" in row["resume"]
        assert facts["next"] == ([] if mend else [row["resume"]])
        assert (f"    mend this first, then: {row['resume']}\n" in shown(store)) == mend
        assert (f"next  {row['resume']}\n" in shown(store)) != mend


@pytest.mark.parametrize("other", [UsageError("no such file"), WorkerLost("its worker process was killed")])
def test_of_a_run_of_many_that_failed_its_own_reason_is_shown_and_the_command_of_all(
    store: Store, monkeypatch: pytest.MonkeyPatch, other: HarnessError
) -> None:
    monkeypatch.setattr(sys, "argv", ["cli.py", "ablate", "--recipe", "r.yaml"])
    with working(store, "ablate", ["a", "b"]) as work:
        store.start_alignment("a", method="dpo", seed=0, panel="", key="k", config={"checkpoint_every": 2})
        store.finish_alignment("a", status="failed", model_dir="", seconds=1.0)
        work.failed("a: the loss is not finite", HarnessError("the loss is not finite"))
        work.failed(f"b: {other}", other)
    facts = status(store)
    (row,) = facts["unfinished"]
    assert row["why"] == "a: the loss is not finite" and "ablate --recipe r.yaml" in row["resume"]
    assert row["mend"] == isinstance(other, UsageError), "one of several may do better"
    assert facts["next"] == ([] if row["mend"] else [row["resume"]])


def test_a_score_of_a_file_that_lacks_answers_is_not_offered_again_as_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_amber(tmp_path / "amber")
    (tmp_path / "mine.jsonl").write_text('{"id": 1, "response": "A dog."}\n')
    words = ["score", "--benchmark", "amber", "--responses", "mine.jsonl", "--data-dir", "amber"]
    monkeypatch.setattr(sys, "argv", ["cli.py", *words])
    assert CliRunner().invoke(cli.cli, [*words, "--db", str(store.path)]).exit_code == 3
    facts = status(store)
    assert facts["incomplete"][0]["mend"] and facts["next"] == []
    assert "mend this first, then: python cli.py score --benchmark amber" in shown(store)


def test_a_process_that_was_killed_is_shown_as_such(store: Store, tmp_path: Path) -> None:
    code = (
        "import os, sys; from harness.store import Store; from workflows.activity import working\n"
        "with working(Store(sys.argv[1]), 'bench', ['base on amber']): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.path)], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (row,) = status(store)["stopped"]
    assert (row["state"], row["to_do"]) == ("killed", ["base on amber"])


def test_a_running_alignment_is_shown_once_and_a_killed_one_as_killed_until_its_run_is_removed(
    store: Store, tmp_path: Path
) -> None:
    code = (
        "import os, sys; from harness.store import Store; from workflows.activity import working\n"
        "store = Store(sys.argv[1])\n"
        "with working(store, 'align', ['x']):\n"
        "    store.start_alignment('x', method='dpo', seed=0, panel='', key='k', config={'checkpoint_every': 2})\n"
        "    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.path)], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (row,) = status(store)["unfinished"]
    assert (row["status"], row["name"]) == ("killed", "x")
    remove(store, ["x"])
    assert status(store)["unfinished"] == status(store)["stopped"] == []


def test_what_is_next_for_an_incomplete_evaluation_is_the_command_that_made_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["cli.py", "bench", "--benchmark", "amber", "--model", "hf:m"])
    with working(store, "bench", ["base on amber"]) as work:
        work.finished("base on amber")
    failed = {"0": Verdict({}, error="judge: no reply"), "1": Verdict({"hallucinated": 1.0, "mentions": 2.0})}
    add(store, "base", failed)
    facts = status(store)
    assert facts["incomplete"][0]["again"] in facts["next"] and "--benchmark amber" in facts["next"][0]


def test_a_failed_alignment_says_why(store: Store) -> None:
    with pytest.raises(HarnessError), working(store, "align", ["x"]):
        store.start_alignment("x", method="dpo", seed=0, panel="", key="k", config={"checkpoint_every": 2})
        store.finish_alignment("x", status="failed", model_dir="", seconds=1.0)
        raise HarnessError("the loss is not finite")
    found = status(store)
    assert found["unfinished"][0]["why"] == "the loss is not finite" and found["stopped"] == []
    shown = CliRunner().invoke(cli.cli, ["status", "--db", str(store.path)]).stdout
    assert "the loss is not finite" in shown and "log: " in shown


def test_the_log_holds_what_is_said_and_no_secret(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_secret("sk-of-the-log-test")
    monkeypatch.setattr("workflows.bars.SOON", 0.0)
    with working(store, "bench", ITEMS) as work:
        work.watch(silent)("answers", 5, 10, "sk-of-the-log-test")
        LOG.warning("key %s", "sk-of-the-log-test")
    text = log_of(tmp_path)
    assert "answers: 5 of 10  ***" in text and "WARNING dama  key ***" in text and "sk-of" not in text


def test_a_log_that_cannot_be_written_is_an_error(store: Store, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(HarnessError, match=r"The log .* cannot be written .*DAMA_HOME"), working(store, "bench", []):
        pass


def test_quiet_shows_errors_alone_and_verbose_their_traceback(store: Store) -> None:
    try:
        said = [
            CliRunner().invoke(cli.cli, ["show", "none", "--db", str(store.path), flag]).stderr for flag in ("-q", "-v")
        ]
    finally:
        set_verbosity(Verbosity.NORMAL)
    assert said[0].startswith("Error ") and said[0].count("\n") == 1
    assert "Traceback" in said[1]
    assert not LOG.isEnabledFor(logging.DEBUG), "the next command of the program is no longer verbose"


def test_a_terminal_that_is_closed_interrupts_a_command_unless_nohup_was_asked_for(tmp_path: Path) -> None:
    code = (
        "import signal, sys, os, time, cli\n"
        "cli.cli = lambda: (print(signal.getsignal(signal.SIGHUP) is cli.terminated), sys.exit(0))\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[1] == 'nohup' else signal.SIG_DFL)\n"
        "cli.main()"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code, how], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()
        for how in ("plain", "nohup")
    ]
    assert said == ["True", "False"]


def test_the_command_of_a_stored_run_is_read_back_as_that_run(store: Store) -> None:
    given = {"method": "dama", "model": "org/m", "data": "d.jsonl", "seed": 3, "lr": 1e-6, "lora_rank": 8, "beta": 0.3}
    spec = resolve_alignment({**given, "model.thinking": "off", "model.system": "", "clip": "local-dir:c"}, silent)
    store.start_alignment("x", method=spec.label, seed=3, panel="a b", key=spec.key, config=spec.record)
    words = shlex.split(command_of(store.alignment("x")))
    assert words[:3] == ["python", "cli.py", "align"]
    pairs = list(zip(words[3::2], words[4::2], strict=True))
    settings = parse_assignments([value for word, value in pairs if word == "--set"])
    options = {word.removeprefix("--"): value for word, value in pairs if word != "--set"}
    again = resolve_alignment(gather(None, settings, {**options, "seed": int(options["seed"])}), silent)
    assert (again.key, again.name, again.panel) == (spec.key, "x", "a b")
