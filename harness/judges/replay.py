"""The judge of recorded replies: ``replay:FILE.jsonl`` with lines {"id", "reply", "run" (optional, 0)}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.judges.registry import JUDGES
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.util.jsonl import iter_jsonl

MOST_RUNS = 1000
"""Judge runs are counted up to the highest number: a larger one is a slip, not so many runs."""
EXPECTED = '{"id": ..., "reply": text, "run": number (optional)}'


class ReplayJudge(Judge):
    """Answers from a file: the replies of one id and run, in file order, are its attempts. Ids compare as strings.

    Args:
        argument: the JSONL file.
        root: not used; the path is relative to the current directory, as the user typed it.

    Raises UsageError without a file, DataError for a malformed line, naming file and line.
    """

    keyed_by_sample = True
    """Replies belong to sample ids, not to prompts."""
    recorded = True
    """Asking again costs nothing."""
    reads_data = False

    def __init__(self, argument: str, root: Path | None = None) -> None:
        if not argument:
            raise UsageError("--judge replay: expected a file, as in replay:replies.jsonl.")
        self.name = f"replay:{Path(argument).name}"
        self.endpoint = str(Path(argument).resolve())
        self._file = argument
        self._replies = read_replies(Path(argument))
        self.runs = 1 + max((run for _, run in self._replies), default=0)
        self.ids = frozenset(sample_id for sample_id, _ in self._replies)

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        """Yield the recorded reply of each request, or an error reply naming the file and the id."""
        for position, request in enumerate(requests):
            recorded = self._replies.get((request.sample_id, request.run), [])
            if request.attempt < len(recorded):
                yield position, Reply(recorded[request.attempt], self.name)
            else:
                which = f"id {request.sample_id}, run {request.run}, attempt {request.attempt}"
                yield position, Reply(None, self.name, error=f"no reply in {self._file} for {which}")


def read_replies(path: Path) -> dict[tuple[str, int], list[str]]:
    """Recorded replies by (sample id, run), each list in order of attempts; blank lines are skipped."""
    if not path.exists():
        raise UsageError(f"--judge replay:{path}: there is no such file.")
    replies: dict[tuple[str, int], list[str]] = {}
    for number, row in iter_jsonl(path, EXPECTED, once=True):
        sample_id, run, reply = _row(row, f"{path} line {number}")
        replies.setdefault((sample_id, run), []).append(reply)
    return replies


def _row(row: Mapping[str, Any], where: str) -> tuple[str, int, str]:
    if "id" not in row or "reply" not in row:
        raise DataError(f"{where}: expected {EXPECTED}.")
    sample_id, reply, run = row["id"], row["reply"], row.get("run", 0)
    if isinstance(sample_id, bool) or not isinstance(sample_id, (str, int)):
        raise DataError(f"{where}: id {sample_id!r} is neither a string nor an integer.")
    if not isinstance(reply, str):
        raise DataError(f"{where}: reply {reply!r} is not a string.")
    if isinstance(run, bool) or not isinstance(run, int) or not 0 <= run < MOST_RUNS:
        raise DataError(f"{where}: run {run!r:.40} is not a whole number from 0 to {MOST_RUNS - 1}.")
    # JSON can spell half a surrogate pair, which no database takes.
    return str(sample_id).encode(errors="replace").decode(), run, reply.encode(errors="replace").decode()


JUDGES.register("replay", ReplayJudge)
