"""Where trials run: a folder that is put back before each, a warm process, a judge that counts its replies."""

from __future__ import annotations

import queue
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.faults.counts import Counts
from tests.faults.fetching import FileHome
from tests.faults.observed import Observed, Rows, different, missing, observe, rows_of, scores_of_failures
from tests.faults.tear import UNTOUCHED, Control, Fault
from tests.faults.warm import FORKS, Running, Warm
from tests.harness.fault_server import Fault as Trouble
from tests.harness.fault_server import FaultServer, http

SECRET = "sk-faults-0a1b2c3d4e5f"
"""The key that the judge is asked with: it must stand in no file and no output."""
CONCURRENCY = 2
"""Questions to the judge asked at once."""
IN_FLIGHT = 3 * CONCURRENCY + 1
"""Replies that a kill may cost: those asked for, and those that came and wait to be stored (harness.chat.client)."""
DB = "r.sqlite"
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Scenario:
    """A command, what it finds before, and what counts after.

    Args:
        words: the command's words, given the lane.
        prepare: puts into the lane's folder what the command finds there.
        exact: globs of files that must be the same to the bit as after an undisturbed run.
        codes: exit codes of a command that did its work.
        repeated: exit codes of the same command once it was done.
        removes: the command removes rows.
        weight: seconds that one trial takes, roughly; the dearer, the fewer.
        forks: its worker processes are forked from it.
    """

    name: str
    words: Callable[[Lane], Sequence[str]]
    prepare: Callable[[Lane], None]
    exact: tuple[str, ...] = ()
    codes: frozenset[int] = frozenset({0})
    repeated: frozenset[int] = frozenset()
    removes: bool = False
    weight: float = 1.0
    forks: bool = False


class Lane:
    """One of the places where trials run side by side. ``folder`` is where the command works."""

    def __init__(self, root: Path, shared: Path) -> None:
        self.root, self.shared = root, shared
        self.folder, self.before = root / "folder", root / "before"
        root.mkdir(parents=True, exist_ok=True)
        self.control = Control(root / "control")
        self.paid: Counter[str] = Counter()
        self.server = FaultServer(self._play)
        self.files = FileHome(root / "www")
        self.warm = Warm(root)

    def _play(self, prompt: str, nth: int) -> str | Trouble:
        """Most replies are ratings, every fifth is unreadable at first, and some fail before they come."""
        number = sum(prompt.encode())
        if number % 7 == 3 and nth == 0:
            return http(500)
        self.paid[prompt] += 1
        return "I cannot say." if number % 5 == 1 else f"It says little.\nRating: {number % 7}"

    def start(self, words: Sequence[str], fault: Fault = UNTOUCHED, env: Mapping[str, str] | None = None) -> Running:
        """Start a command in the folder."""
        self.control.arm(self.folder, fault)
        home = {"DAMA_HOME": str(self.folder / "home"), "OPENAI_API_KEY": SECRET, "HOME": str(self.root)}
        return self.warm.start(words, self.control, cwd=self.folder, env={**home, **(env or {})})

    def run(
        self, words: Sequence[str], fault: Fault = UNTOUCHED, env: Mapping[str, str] | None = None
    ) -> tuple[int, Running]:
        """Run a command to its end."""
        running = self.start(words, fault, env)
        return running.wait(), running

    def asked(self, calls: int, within: float = 30.0) -> None:
        """Wait until the judge was asked ``calls`` times since ``reset``."""
        deadline = time.monotonic() + within
        while len(self.server.calls) < calls and time.monotonic() < deadline:
            time.sleep(0.005)

    def empty(self) -> None:
        """An empty folder, and a judge that was never asked."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self._forget()

    def _forget(self) -> None:
        self.server.seen.clear()
        self.server.calls.clear()
        self.paid.clear()

    def prepared(self, scenario: Scenario) -> None:
        """Make what ``scenario`` finds before, once; ``reset`` puts it back."""
        self.empty()
        shutil.rmtree(self.before, ignore_errors=True)
        scenario.prepare(self)
        shutil.copytree(self.folder, self.before, symlinks=True)

    def reset(self) -> None:
        """The folder as it was before, and a judge that was never asked."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.before, self.folder, symlinks=True)
        self._forget()

    def __enter__(self) -> Lane:
        self.server.__enter__()
        self.files.__enter__()
        self.empty()
        self.run(["list", "formats"])  # the first command waits until all is imported
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.warm.__exit__(kind, error, trace)
        self.files.__exit__(kind, error, trace)
        self.server.__exit__(kind, error, trace)


@dataclass
class Undisturbed:
    """What a scenario comes to without a fault: the yardstick."""

    seen: Observed
    paid: Counter[str]
    operations: int
    before: Rows
    seconds: float


class Trials:
    """The trials of one scenario in one lane; what they find goes into ``counts``."""

    def __init__(self, lane: Lane, scenario: Scenario, counts: Counts) -> None:
        self.lane, self.scenario, self.counts = lane, scenario, counts
        lane.prepared(scenario)
        lane.reset()
        before = rows_of(lane.folder / DB)
        began = time.monotonic()
        code, run = self._run()
        seconds = time.monotonic() - began
        if code not in scenario.codes:
            raise RuntimeError(f"{scenario.name} does not work undisturbed ({code}): {run.stderr[-2000:]}")
        self.expected = Undisturbed(self._seen(), Counter(lane.paid), lane.control.counted, before, seconds)

    @property
    def words(self) -> Sequence[str]:
        return self.scenario.words(self.lane)

    def _run(self, fault: Fault = UNTOUCHED) -> tuple[int, Running]:
        return self.lane.run(self.words, fault, self.env)

    @property
    def env(self) -> dict[str, str]:
        return {FORKS: "1"} if self.scenario.forks else {}

    def at(self, fault: Fault) -> None:
        """Play ``fault``, look, run again without it, look again."""
        self.lane.reset()
        try:
            code, run = self._run(fault)
            self._count(fault, code)
            self._after(f"{fault}", code, run, self.expected.before)
            self.again(f"{fault}", 1)
        except TimeoutError as error:
            self.counts.blame("stuck", f"{self.scenario.name}, {fault}: {error}")

    def chain(self, draw: random.Random, links: int, seconds: float) -> None:
        """Kill at random moments, up to ``links`` times in a row, each time after up to ``seconds``."""
        self.lane.reset()
        kept, kills = self.expected.before, 0
        try:
            for _ in range(links):
                running = self.lane.start(self.words, env=self.env)
                delay = draw.uniform(0, seconds)
                try:
                    code = running.ended.get(timeout=delay)
                except queue.Empty:
                    running.signal(signal.SIGKILL)
                    code = running.wait()
                killed = code == -signal.SIGKILL
                kills += killed
                self.counts.add("kills", int(killed))
                kept = self._after(f"{kills} kills, the last after {delay:.3f} s", code, running, kept)
                if not killed:
                    break
            self.again(f"{kills} kills in a row", max(1, kills))
        except TimeoutError as error:
            self.counts.blame("stuck", f"{self.scenario.name}, a chain of kills: {error}")

    def again(self, where: str, kills: int) -> None:
        """Run the command without a fault: it must end as if there never had been one."""
        code, run = self._run()
        if code not in self.scenario.codes | self.scenario.repeated:
            self._blame("not as undisturbed", where, [f"exit code {code} of the run after it: {run.stderr[-300:]}"])
        self._after(f"{where}, run again", code, run, {})
        self._whole(where)
        paid = sum((self.lane.paid - self.expected.paid).values())
        if paid > kills * IN_FLIGHT:
            self._blame("replies paid twice", where, [f"{paid} replies, at most {kills * IN_FLIGHT} were in flight"])

    def _count(self, fault: Fault, code: int) -> None:
        if fault.kills and code == -signal.SIGKILL:
            self.counts.add("kills")
            self.counts.add("crash points")
        elif not fault.kills:
            self.counts.add("faults")

    def _seen(self) -> Observed:
        return observe(self.lane.folder, DB, self.scenario.exact)

    def _whole(self, where: str) -> None:
        """Blame what differs from the undisturbed end."""
        expected, seen = self.expected.seen, self._seen()
        wrong = "wrong models" if any("safetensors" in name for name in seen.hashes) else "not as undisturbed"
        self._blame("not as undisturbed", where, different(expected.rows, seen.rows))
        files = sorted(name for name in seen.hashes if seen.hashes[name] != expected.hashes.get(name))
        self._blame(wrong, where, [f"{name} is another" for name in files])
        self._blame("not as undisturbed", where, [f"no {name}" for name in sorted(expected.files - seen.files)])
        self._blame("left behind", where, sorted(seen.files - expected.files))

    def _after(self, where: str, code: int, run: Running, kept: Rows) -> Rows:
        """What must hold after any run, killed or not; returns the rows that are there."""
        try:
            rows = rows_of(self.lane.folder / DB)
        except Exception as error:
            self._blame("rows lost", where, [f"the results file cannot be read: {error}"])
            return kept
        if not self.scenario.removes:
            growing = {table: of for table, of in kept.items() if table in GROWING or kept is self.expected.before}
            self._blame("rows lost", where, missing(growing, rows))
        self._blame("scores from failures", where, scores_of_failures(rows))
        said = run.stdout + run.stderr
        if TRACEBACK in said:
            self._blame("tracebacks", where, [said[said.rindex(TRACEBACK) :][-600:]])
        if code >= 0 and code in self.scenario.codes:
            self._blame("not as undisturbed", f"{where}, exit code {code}", different(self.expected.seen.rows, rows))
        self._blame("secrets found", where, [*_holding(self.lane.folder, SECRET)] + ["output"] * (SECRET in said))
        return rows

    def _blame(self, kind: str, where: str, what: Iterable[str]) -> None:
        texts = list(what)
        if texts:
            more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
            self.counts.blame(kind, f"{self.scenario.name}, {where}: {texts[0]}{more}")


GROWING = ("sample", "generation", "reply", "evaluation", "verdict")
"""Tables that only grow from one killed run to the next."""


def _holding(folder: Path, text: str) -> list[str]:
    """The files under ``folder`` that hold ``text``."""
    wanted = text.encode()
    return [str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file() and wanted in f.read_bytes()]
