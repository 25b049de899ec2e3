"""A judge: a program of your own. It reads a prompt on its standard input and writes its reply to standard output."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.protocols.judge import Judge, JudgeRequest, Reply


@dataclass(frozen=True)
class CommandSettings:
    """Settings of the judge, `--set judge.timeout=10`.

    Args:
        timeout: seconds a reply may take.
    """

    timeout: float = 60.0


class CommandJudge(Judge):
    """``--judge "command:PROGRAM ARGUMENTS"``: run once for every question."""

    Settings = CommandSettings

    def __init__(self, argument: str, root: Path, settings: CommandSettings) -> None:
        if not argument:
            raise UsageError("--judge command: expected command:PROGRAM, a program that answers prompts.")
        self.name, self._command, self._timeout = f"command:{argument}", shlex.split(argument), settings.timeout

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        for position, request in enumerate(requests):
            yield position, self._reply(request.question.prompt)

    def _reply(self, prompt: str) -> Reply:
        """The program's reply; what it failed with is an error, never a verdict."""
        try:
            done = subprocess.run(
                self._command, input=prompt, capture_output=True, text=True, timeout=self._timeout, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            return Reply(None, self.name, error=str(error))
        return Reply(done.stdout, self.name)
