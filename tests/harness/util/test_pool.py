"""Worker processes: their reports arrive, and they do not outlive the process that started them."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import ClassVar

import pytest

from harness.errors import HarnessError
from harness.util.distributed import visible_gpus
from harness.util.pool import WorkerLost, report, workers


def _square(number: int) -> int:
    report(f"square {number}", 1, 1, "even" if number % 2 == 0 else "odd")
    return number * number


def test_results_and_reports_come_back() -> None:
    heard: list[tuple[str, int, int, str]] = []
    with workers(2) as pool:
        futures = [pool.submit(_square, n) for n in (2, 3)]
        found = {f.result() for f in pool.finished(futures, lambda *news: heard.append(news))}
        deadline = time.monotonic() + 10
        while len(heard) < 2 and time.monotonic() < deadline:  # a report may arrive after its result
            list(pool.finished([pool.submit(abs, 1)], lambda *news: heard.append(news)))
    assert found == {4, 9}
    assert sorted(heard) == [("square 2", 1, 1, "even"), ("square 3", 1, 1, "odd")]


def _left(garbage: bool) -> tuple[int, int]:
    """How many objects no collection goes through, and how many ``_Linked`` are alive; perhaps after a cycle."""
    if garbage:
        one, other = _Linked(), _Linked()
        one.other, other.other = other, one
    return gc.get_freeze_count(), len(_Linked.alive)


class _Linked:
    alive: ClassVar[weakref.WeakSet[_Linked]] = weakref.WeakSet()
    other: _Linked

    def __init__(self) -> None:
        self.alive.add(self)


def test_what_a_worker_has_imported_is_not_gone_through_for_garbage_again_and_garbage_is_not_kept() -> None:
    with workers(1) as pool:
        found = [pool.submit(_left, garbage).result() for garbage in (True, False)]
    assert found[0] == (0, 2) and found[1][0] > 1000 and found[1][1] == 0


def _killed(marks: str, times: int) -> int:
    """Kill this worker the first ``times`` that it is called; then the number of calls."""
    calls = len(list(Path(marks).iterdir())) + 1
    (Path(marks) / str(calls)).touch()
    if calls <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return calls


def _slept(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def test_a_job_whose_worker_is_killed_is_begun_again_alone_and_fails_alone_if_that_is_killed_too(
    tmp_path: Path,
) -> None:
    once, always = tmp_path / "once", tmp_path / "always"
    once.mkdir()
    always.mkdir()
    with workers(2) as pool:
        other = pool.submit(_slept, 0.5)
        jobs = [pool.submit(_killed, str(once), 1), pool.submit(_killed, str(always), 9), pool.submit(_slept, 0)]
        done = set(pool.finished([*jobs, other], lambda *news: None))
        assert done == {*jobs, other}
        assert jobs[0].result() == 2
        with pytest.raises(WorkerLost, match="killed 2 times"):
            jobs[1].result()
        assert len(list(always.iterdir())) == 2
        assert other.result() > 0 and jobs[2].result() > 0


class _Named(Exception):
    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")


def _refuse() -> None:
    raise _Named(3, "no image")


def test_an_error_that_cannot_be_made_again_in_the_parent_comes_back_in_its_words() -> None:
    with workers(1) as pool, pytest.raises(HarnessError, match="row 3: no image"):
        pool.submit(_refuse).result()


def test_outside_a_worker_a_report_goes_nowhere() -> None:
    report("step", 1, 2)


PARENT = """
import os, sys, time
from harness.util.pool import workers

def work(path):
    open(path, "w").write(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    with workers(1) as pool:
        pool.submit(work, sys.argv[1]).result()
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script, told = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(PARENT)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    parent = subprocess.Popen([sys.executable, str(script), str(told)], env=env)
    try:
        wait_for(lambda: told.exists() and told.read_text() != "")
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    worker = int(told.read_text())
    wait_for(lambda: not running(worker))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(true: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.05)


def test_workers_end_at_once_where_their_parent_is_interrupted(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), workers(1) as pool:
        pool.submit(_sleep, started)
        wait_for(lambda: started.exists() and started.read_text() != "")
        raise KeyboardInterrupt
    wait_for(lambda: not running(int(started.read_text())))
    assert time.monotonic() - begun < 60


def _sleep(told: Path) -> None:
    told.write_text(str(os.getpid()))
    time.sleep(300)


def _seen(_: int) -> str:
    time.sleep(0.3)  # long enough that the other worker takes the next job
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all")


def test_each_worker_sees_one_gpu_of_those_that_this_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all would take the first one, and its memory with it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-5")
    assert visible_gpus(2) == ["2", "GPU-5"]
    with workers(2, gpus=visible_gpus(2)) as pool:
        assert {future.result() for future in [pool.submit(_seen, n) for n in range(6)]} == {"2", "GPU-5"}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus(2) == ["0", "1"]


ENDING = """
import signal, sys
from multiprocessing import get_context
import cli
from harness.errors import ENDS, HarnessError
from harness.util import pool

def work(number):
    return number

if __name__ == "__main__":
    pool.get_context = lambda method: get_context(sys.argv[1])
    for number in ENDS:
        signal.signal(number, cli.terminated)
    try:
        with pool.workers(2) as there:
            for _ in range(4):
                there.submit(work, 1).result()
            raise HarnessError("no room left")
    except HarnessError as error:
        print(error)
"""


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers_that_are_ended_with_a_command_say_nothing(tmp_path: Path, method: str) -> None:
    """A forked one has the command's own way to end, an exception, and waits for work in the midst of a read."""
    script = tmp_path / "ending.py"
    script.write_text(ENDING)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, str(script), method], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "no room left\n", "")
