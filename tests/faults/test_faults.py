"""A short selection of `make test-faults`, and its parts checked on themselves."""

from __future__ import annotations

import errno
import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import situations
from tests.faults.__main__ import _parser, _stored
from tests.faults.counts import Counts, total
from tests.faults.lane import Lane, Trials
from tests.faults.observed import different, missing, rows_of, scores_of_failures
from tests.faults.report import BEGIN, END, as_markdown, as_text
from tests.faults.runner import Work, blame_untried
from tests.faults.scenarios import SCENARIOS
from tests.faults.tear import Control, Fault, Mode, compiler, library

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler (cc) to build the library of faults with")


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    folder = tmp_path_factory.mktemp("faults")
    with Lane(folder / "lane", folder) as lane:
        yield lane


@needs_compiler
def test_a_scoring_killed_or_torn_at_a_file_operation_ends_as_if_undisturbed_when_it_is_run_again(lane: Lane) -> None:
    counts = Counts("score")
    trials = Trials(lane, SCENARIOS["score"], counts)
    last = trials.expected.operations
    for fault in (Fault(Mode.KILL, last // 3), Fault(Mode.TEAR, last // 2), Fault(Mode.TEAR, last - 4)):
        trials.at(fault)
    assert counts.wrong == []
    assert (counts.tried["kills"], counts.tried["crash points"]) == (3, 3)


@needs_compiler
def test_a_trial_finds_rows_that_are_lost_and_files_that_are_left_behind(lane: Lane) -> None:
    counts = Counts("score")
    trials = Trials(lane, SCENARIOS["score"], counts)
    lane.reset()
    with sqlite3.connect(lane.folder / "r.sqlite") as db:
        db.execute("DELETE FROM sample WHERE sample_id = '0'")
    (lane.folder / "half.part").write_text("")
    for key in "ab":
        file = lane.folder / "cache/pairs" / (24 * key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    code, run = lane.run(["db", "info", "--db", "r.sqlite"])
    trials._after("a thief", code, run, trials.expected.before)
    trials._whole("a thief")
    assert {"rows lost", "left behind", "not as undisturbed"} <= {kind for kind, _ in counts.wrong}
    assert {"cache/pairs/KEY", "cache/pairs/KEY (2)"} <= trials._seen().files, "a second key is not hidden by the first"


@needs_compiler
def test_a_signal_that_comes_when_all_is_asked_is_no_trial_and_is_sent_again(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid, asked = situations._undisturbed(lane), lane.asked
    tried: list[float] = []

    def late(calls: int) -> None:
        """Where the judge is not slowed, the machine is so loaded that all is asked before this one is back."""
        tried.append(lane.server.latency)
        asked(calls)
        while not lane.server.latency and lane.paid.total() < paid:
            time.sleep(0.01)

    monkeypatch.setattr(lane, "asked", late)
    monkeypatch.setattr(situations, "SLOWED", (0.0, 0.0, 1.0))
    running = situations.sent(lane, signal.SIGTERM, 1, paid)
    assert running is not None and running.wait() == 128 + signal.SIGTERM and tried == [0.0, 0.0, 1.0]
    monkeypatch.setattr(situations, "SLOWED", (0.0,))
    assert situations.sent(lane, signal.SIGTERM, 1, paid) is None
    lane.server.latency = 0.0


WRITER = """
import os, sys
with open(sys.argv[1] + "/a.txt", "wb", buffering=0) as file:
    file.write(b"0123456789")
    os.fsync(file.fileno())
os.replace(sys.argv[1] + "/a.txt", sys.argv[1] + "/b.txt")
"""


def _write(folder: Path, fault: Fault) -> tuple[int, str, int, list[str]]:
    """Play ``fault`` on WRITER: its exit code, stderr, operations counted, and the files with their content."""
    control = Control(folder.parent / "control")
    folder.mkdir()
    control.arm(folder, fault)
    environment = {**os.environ, "LD_PRELOAD": str(library()), "TEAR_CONTROL": str(control.path)}
    words = [sys.executable, "-I", "-S", "-c", WRITER, str(folder)]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=20, check=False, start_new_session=True
    )
    return (
        done.returncode,
        done.stderr,
        control.counted,
        [f"{f.name}={f.read_text()}" for f in sorted(folder.iterdir())],
    )


@needs_compiler
@pytest.mark.parametrize(
    ("fault", "code", "files"),
    [
        (Fault(), 0, ["b.txt=0123456789"]),  # open, write, fsync, rename
        (Fault(Mode.KILL, 1), -9, []),
        (Fault(Mode.TEAR, 1), -9, ["a.txt="]),
        (Fault(Mode.KILL, 2), -9, ["a.txt="]),
        (Fault(Mode.TEAR, 2), -9, ["a.txt=01234"]),
        (Fault(Mode.KILL, 4), -9, ["a.txt=0123456789"]),
        (Fault(Mode.TEAR, 4), -9, ["b.txt=0123456789"]),
        (Fault(Mode.FAIL, 2, error=errno.ENOSPC), 1, ["a.txt="]),
        (Fault(Mode.FAIL, 4, error=errno.EROFS), 1, ["a.txt=0123456789"]),
    ],
    ids=str,
)
def test_a_fault_strikes_at_its_operation(fault: Fault, code: int, files: list[str], tmp_path: Path) -> None:
    found, stderr, counted, left = _write(tmp_path / "watched", fault)
    assert (found, left) == (code, files), stderr
    assert counted == (fault.at if fault.at and code else 4)
    if fault.mode is Mode.FAIL:
        assert os.strerror(fault.error) in stderr


def test_rows_are_read_without_touching_the_file_and_without_what_time_changes(tmp_path: Path) -> None:
    db = tmp_path / "r.sqlite"
    with sqlite3.connect(db) as connection:
        connection.execute("CREATE TABLE reply (text TEXT, created TEXT, usage TEXT)")
        connection.execute("""INSERT INTO reply VALUES ('yes', '2026', '{"tokens": 2, "seconds": 0.5}')""")
    connection.close()
    assert rows_of(db) == {"reply": [{"text": "yes", "usage": {"tokens": 2}}]}
    assert [file.name for file in tmp_path.iterdir()] == ["r.sqlite"]


def test_a_row_is_missing_if_no_later_row_agrees_with_it_in_all_its_columns() -> None:
    earlier = {"reply": [{"text": "a"}, {"text": "b"}]}
    later = {"reply": [{"text": "a", "details": None}, {"text": "c", "details": None}]}
    assert missing(earlier, later) == ['reply: {"text": "b"}']
    assert len(different(earlier, later)) == 2  # b is gone, and c is new


def test_a_failed_verdict_with_values_is_a_score_of_a_failure_unless_the_official_rule_counts_it() -> None:
    failed = {"error": "no reply", "values": {"score": 0.0}}
    official = {"error": "no rating", "values": {"official_hallucinated": 1.0}}
    assert len(scores_of_failures({"verdict": [failed, official, {"error": None, "values": {"score": 3.0}}]})) == 1


def test_a_run_of_a_few_takes_the_place_of_these_alone_and_the_page_names_each_command(tmp_path: Path) -> None:
    known, file = ["score", "align", "fuzz"], tmp_path / "found.json"
    words = _parser().parse_args(["--json", str(file), "--kills", "9"])
    whole = _stored(words, [Counts("score", Counter(kills=5)), Counts("align", Counter(kills=4))], known)
    file.write_text(json.dumps(whole))
    words = _parser().parse_args(["--json", str(file), "--kills", "50", "--only", "align"])
    again = _stored(words, [Counts("align", Counter(kills=48), [("stuck", "align: once")])], known)
    assert [(part["name"], part["kills"]) for part in again["parts"]] == [("score", 5), ("align", 48)]
    page = as_markdown(again, f"before\n{BEGIN}\nold\n{END}\nafter")
    assert "| **together** | 53 | 0 | 0 | 0 | 1 |" in page and page.startswith("before\n") and page.endswith("after")
    assert "`python -m tests.faults --kills=50 --seed=0 --only align` (align), " in page and "old" not in page
    assert "another state" not in page
    again["parts"][0]["code"] = "earlier"
    assert "another state of the code" in as_markdown(again, f"{BEGIN}{END}")


def test_what_no_lane_has_tried_is_no_success() -> None:
    counts = {"align": Counts("align"), "score": Counts("score")}
    work: Work = queue.SimpleQueue()
    work.put(("align", lambda lane: None))
    blame_untried(work, counts)
    assert [kind for kind, _ in counts["align"].wrong] == ["stuck"] and counts["score"].wrong == []


def test_the_last_line_sums_what_was_tried_and_found() -> None:
    one = Counts("one", Counter(kills=2), [("rows lost", "one, kill at 3: reply")])
    two = Counts("two", Counter({"kills": 1, "inputs": 1_000_000}))
    shown = as_text([Counts.of_json(json.loads(json.dumps(part.as_json()))) for part in (one, two)]).splitlines()
    assert shown[-1].startswith("3 kills, 0 crash points, 0 faults, 1,000,000 inputs; rows lost 1, scores from")
    assert "rows lost: one, kill at 3: reply" in shown
    assert total([one, two]).wrong == one.wrong
