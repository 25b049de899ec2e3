"""Official judge prompts: read out of the official scripts where the user has them, never part of this project."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.common import files
from harness.errors import DataError

PromptChoice = Literal["auto", "official", "own"]
"""auto: the official prompt if its script is in the data directory, else the project's own wording."""


@dataclass(frozen=True)
class Prompt:
    """A judge's prompt. ``name`` goes into the benchmark's version: figures of two prompts are never compared.

    ``official`` prompts are filled as the official script does it.
    """

    text: str
    name: str
    official: bool = False
    source: str = "the project's own wording"

    @property
    def record(self) -> dict[str, str]:
        """What an evaluation stores of its prompt."""
        return {"name": self.name, "sha256": hashlib.sha256(self.text.encode()).hexdigest(), "source": self.source}


@dataclass(frozen=True)
class OfficialPrompt:
    """Where an official prompt is found: the scripts' names, the variable it is assigned to, and its sha256."""

    scripts: Sequence[str]
    variable: str
    sha256: str

    def find(self, root: Path, own: Prompt, choice: PromptChoice) -> Prompt:
        """The prompt that ``choice`` means for the data directory ``root``; ``own`` is the fallback.

        A script whose prompt has another sha256 is not the official one and is not used.
        Raises DataError where the official prompt is asked for and not there.
        """
        path = files.find(root, *self._paths())
        if choice == "own" or (choice == "auto" and path is None):
            return own
        if path is None:
            raise DataError(f"{root}: prompt=official needs {' or '.join(self.scripts)} in this directory.")
        text = string_literal(path, self.variable)
        if hashlib.sha256(text.encode()).hexdigest() == self.sha256:
            return Prompt(text, f"official-{self.sha256[:8]}", True, str(path.name))
        if choice == "official":
            raise DataError(f"{path}: {self.variable} is not the official prompt (sha256 {self.sha256[:12]}...).")
        return own

    def note(self, root: Path) -> list[str]:
        """A note where a script is there whose prompt is not the official one."""
        path = files.find(root, *self._paths())
        if path is None:
            return []
        digest = hashlib.sha256(string_literal(path, self.variable).encode()).hexdigest()
        if digest == self.sha256:
            return []
        return [f"{path.name}: not the official prompt (sha256 {digest[:12]}, official {self.sha256[:12]}); not used"]

    def _paths(self) -> list[str]:
        return [f"{folder}{name}" for folder in ("", "eval/") for name in self.scripts]


def string_literal(path: Path, variable: str) -> str:
    """The string assigned to ``variable`` at the top level of a Python file, which is parsed and never run."""
    try:
        tree = ast.parse(files.read_text(path), filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a Python file ({error}).") from error
    for node in tree.body:
        names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        value = getattr(node, "value", None)
        if variable in names and isinstance(value, ast.Constant) and isinstance(value.value, str):
            return files.readable(value.value, f"{path}: {variable}")
    raise DataError(f"{path}: no string is assigned to {variable} at its top level.")
