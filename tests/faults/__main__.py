"""``python -m tests.faults``: disturb every command, print what was tried and what went wrong (then exit 1)."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.counts import Counts, total
from tests.faults.others import OTHERS, fuzzed, soaked
from tests.faults.report import as_markdown, as_text, code
from tests.faults.runner import run
from tests.faults.scenarios import SCENARIOS
from tests.faults.situations import SITUATIONS
from tests.faults.tear import compiler
from tests.house import ROOT

PAGE = ROOT / "docs" / "reliability.md"


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    asked = _parser().parse_args(words)
    if asked.write_docs:
        stored = json.loads(Path(asked.write_docs).read_text(encoding="utf-8"))
        PAGE.write_text(as_markdown(stored, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    if compiler() is None:
        print("No C compiler (cc): the library that tears writes cannot be built.", file=sys.stderr)
        return 2
    known = [*SCENARIOS, *SITUATIONS, *OTHERS]
    only = asked.only or known
    if unknown := [name for name in only if name not in known]:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    disturbed = [each for name, each in SCENARIOS.items() if name in only]
    situations = {name: each for name, each in SITUATIONS.items() if name in only}
    parts = []
    if disturbed or situations:
        parts += run(
            disturbed, situations, kills=asked.kills, seed=asked.seed, lanes=asked.lanes,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )  # fmt: skip
    with ThreadPoolExecutor() as beside:  # the soak is a process of its own, the fuzzer wants the main thread's alarm
        soak = beside.submit(soaked, asked.questions) if "soak" in only else None
        parts += [fuzzed(asked.inputs, asked.seed)] if "fuzz" in only else []
        parts += [soak.result()] if soak else []
    summed = total(parts)
    print(as_text(parts))
    if asked.json:
        Path(asked.json).write_text(json.dumps(_stored(asked, parts, known), indent=1), encoding="utf-8")
    return int(bool(summed.wrong))


def _stored(asked: argparse.Namespace, parts: Sequence[Counts], known: Sequence[str]) -> dict[str, Any]:
    """What ``--json`` writes. A run of a few (``--only``) takes the place of these alone in a file that is there."""
    only = [word for name in asked.only or () for word in ("--only", name)]
    sizes = {"kills": asked.kills, "seed": asked.seed}
    sizes |= {"inputs": asked.inputs} if "fuzz" in (asked.only or known) else {}
    sizes |= {"questions": asked.questions} if "soak" in (asked.only or known) else {}
    command = ["python", "-m", "tests.faults", *(f"--{name}={size}" for name, size in sizes.items()), *only]
    here = {"cores": os.cpu_count(), "python": platform.python_version()}
    here |= {"command": shlex.join(command), "date": f"{datetime.now(UTC):%Y-%m-%d}", "code": code()}
    rows = {part.name: {**part.as_json(), **here} for part in parts}
    if only and Path(asked.json).exists():
        earlier = json.loads(Path(asked.json).read_text(encoding="utf-8"))["parts"]
        rows = {row["name"]: row for row in earlier if row["name"] in known} | rows
    return {"parts": [rows[name] for name in known if name in rows]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=1200, help="about how many kills (a tenth fewer come about)")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of the fuzzer")
    parser.add_argument("--questions", type=int, default=200_000, help="to the judge, of the soak")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", metavar="NAME", help="only this scenario; may be repeated")
    parser.add_argument("--lanes", type=int, default=min(2, os.cpu_count() or 1), help="trials side by side")
    parser.add_argument(
        "--json", metavar="FILE", help="write the counts there too; with --only beside those of the other scenarios"
    )
    parser.add_argument("--write-docs", metavar="FILE", help="write the table of docs/reliability.md from a --json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
