"""Seeded one-line faults, each of which the tests of a plain clone must catch: `python -m tests.mutants`.

Every fault of mutants.txt is put into a copy of the checkout, without reference data beside it, and the tests named
with it are run. Prints what became of each, and how many of all were killed; exit 1 where one survives, 2 where a fault
or its tests cannot be used (a text that is not there exactly once, tests that fail without the fault).
"""

from __future__ import annotations

import argparse
import os
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".txt")
LONGEST = 3600.0
"""Seconds that tests have without a fault, on a machine with other work too."""
SLOWER = 5.0
"""A fault may make a loop endless, and that is caught too: tests that take so many times as long as without it, and"""
SLACK = 120.0
"""seconds more: by then another load of the machine is no explanation."""


@dataclass(frozen=True)
class Mutant:
    """A fault: in ``where`` (a file, or a room) the text ``old`` becomes ``new``; ``tests`` are pytest's arguments."""

    name: str
    where: str
    tests: tuple[str, ...]
    old: str
    new: str

    @property
    def files(self) -> tuple[str, ...]:
        """The test files, without the words that choose among their tests."""
        return tuple(word for word in self.tests if word.startswith("tests/"))

    @property
    def chosen(self) -> str | None:
        """The expression behind -k; None for all tests of the files."""
        return self.tests[-1] if "-k" in self.tests else None


class Unusable(Exception):
    """A fault that cannot be put in, or tests that say nothing about it."""


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """The faults of the list: blocks of five lines with a blank line between, lines that begin with # left out."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    blocks = [block.splitlines() for block in "\n".join(lines).split("\n\n") if block.strip()]
    mutants = []
    for block in blocks:
        name, where, tests, old, new = (line for line in block if line.strip())
        if not old.startswith("- ") or not new.startswith("+ "):
            raise Unusable(f"{name}: expected a line with - and a line with +")
        mutants.append(Mutant(name, where, tuple(shlex.split(tests)), old[2:], new[2:]))
    twice = {m.name for m in mutants if sum(other.name == m.name for other in mutants) > 1}
    if twice:
        raise Unusable(f"names that occur twice: {', '.join(sorted(twice))}")
    return mutants


def mutated(mutant: Mutant, root: Path = ROOT) -> tuple[Path, str]:
    """The file that the mutant changes, and its text with the fault in it."""
    where = root / mutant.where
    files = sorted(where.rglob("*.py")) if where.is_dir() else [where]
    holding = [(file, text) for file in files if mutant.old in (text := file.read_text())]
    times = sum(text.count(mutant.old) for _, text in holding)
    if times != 1:
        raise Unusable(f"{mutant.name}: {mutant.where} holds {mutant.old!r} {times} times, expected once")
    ((file, text),) = holding
    return file, text.replace(mutant.old, mutant.new)


def faults_of_list(mutants: Sequence[Mutant]) -> list[str]:
    """What is wrong with the list itself: texts that are not there exactly once."""
    lines = []
    for mutant in mutants:
        try:
            mutated(mutant)
        except Unusable as error:
            lines.append(str(error))
    return lines


class Copy:
    """A copy of the checkout in which one fault after the other is tried."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stamp = time.time()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)

    def write(self, file: Path, text: str) -> None:
        """Each write has a time of its own: Python knows by it that the compiled file is an older one's."""
        self._stamp += 10
        file.write_text(text)
        os.utime(file, (self._stamp, self._stamp))

    def run(self, tests: Sequence[str], limit: float = LONGEST) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DAMA_SHARED": str(self.root / "no-reference-data"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )

    def try_out(self, mutant: Mutant, alone: float) -> str:
        """What the tests make of the fault: "killed", "SURVIVED", or why nothing can be said. ``alone``: the seconds of
        its tests without it."""
        file, faulty = mutated(mutant, self.root)
        original = file.read_text()
        self.write(file, faulty)
        try:
            done = self.run(mutant.tests, SLOWER * alone + SLACK)
        except subprocess.TimeoutExpired:
            return "killed"
        finally:
            self.write(file, original)
        # 1: a test failed. Anything else: pytest could not run them at all.
        return {0: "SURVIVED", 1: "killed"}.get(done.returncode, f"pytest ended with {done.returncode}: {tail(done)}")

    def fault_of(self, tests: Sequence[str]) -> tuple[str | None, float]:
        """Why ``tests`` do not pass without a mutant, None if they do: else a kill would say nothing. And the seconds
        that they took."""
        start = time.monotonic()
        done = self.run(tests)
        fault = None if done.returncode == 0 else f"its tests fail without it: {tail(done)}"
        return fault, time.monotonic() - start


def together(mutants: Sequence[Mutant]) -> tuple[str, ...]:
    """pytest's arguments for all tests of ``mutants`` that have their files in common."""
    chosen = {mutant.chosen for mutant in mutants}
    expressions = sorted(f"({expression})" for expression in chosen if expression is not None)
    return mutants[0].files if None in chosen else (*mutants[0].files, "-k", " or ".join(expressions))


def tail(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stdout[-1500:]}{done.stderr[-500:]}".strip()


def run_all(mutants: Sequence[Mutant], workers: int) -> Iterator[tuple[Mutant, str, float]]:
    """(mutant, outcome, seconds), in the order of the list."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(workers) as pool:
        copies: queue.Queue[Copy] = queue.Queue()
        for i in range(workers):
            copies.put(Copy(Path(folder) / str(i)))

        def with_a_copy(work: Callable[[Copy], T]) -> T:
            copy = copies.get()
            try:
                return work(copy)
            finally:
                copies.put(copy)

        def attempt(mutant: Mutant) -> tuple[Mutant, str, float]:
            start = time.monotonic()
            fault, seconds = alone[mutant.files]
            outcome = fault or with_a_copy(lambda copy: copy.try_out(mutant, seconds))
            return mutant, outcome, time.monotonic() - start

        files = list(dict.fromkeys(mutant.files for mutant in mutants))
        chosen = [together([mutant for mutant in mutants if mutant.files == tests]) for tests in files]
        sound = pool.map(lambda tests: with_a_copy(lambda copy: copy.fault_of(tests)), chosen)
        alone = dict(zip(files, sound, strict=True))
        yield from pool.map(attempt, mutants)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", default="", help="mutants whose name begins with NAME")
    parser.add_argument("--list", action="store_true", help="name them and check that each text is there once")
    parser.add_argument("--workers", type=int, default=2, help="how many run at a time (default 2)")
    options = parser.parse_args()
    mutants = [mutant for mutant in read_mutants() if mutant.name.startswith(options.only)]
    unusable = faults_of_list(mutants)
    for line in unusable:
        print(line, file=sys.stderr)
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name:40} {mutant.where}")
    if unusable:
        return 2
    if options.list or not mutants:
        return 0 if mutants else 2
    outcomes = []
    for mutant, outcome, seconds in run_all(mutants, options.workers):
        outcomes.append(outcome)
        print(f"{mutant.name:40} {seconds:5.1f} s  {outcome}", flush=True)
    killed = outcomes.count("killed")
    print(f"{killed} of {len(mutants)} mutants killed")
    return 0 if killed == len(mutants) else 2 if set(outcomes) - {"killed", "SURVIVED"} else 1


if __name__ == "__main__":
    sys.exit(main())
