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

    ``official`` prompts are filled as the official script does it. ``again`` is added when the judge is asked once
    more, and names the form that its reply lacked.
    """

    text: str
    name: str
    official: bool = False
    source: str = "the project's own wording"
    again: str = ""

    @property
    def record(self) -> dict[str, str]:
        """What an evaluation stores of its prompt."""
        return {"name": self.name, "sha256": hashlib.sha256(self.text.encode()).hexdigest(), "source": self.source}


@dataclass(frozen=True)
class OfficialPrompt:
    """Where an official prompt is found: the scripts' names, the variable it is assigned to, and its sha256.

    ``function``: it is put together there, piece by piece; what is no literal becomes a field ("{question}" for
    ``sample["question"]``).
    """

    scripts: Sequence[str]
    variable: str
    sha256: str
    function: str = ""

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
        text = self._text(path)
        if hashlib.sha256(text.encode()).hexdigest() == self.sha256:
            return Prompt(text, f"official-{self.sha256[:8]}", True, str(path.name))
        if choice == "official":
            raise DataError(f"{path}: {self.variable} is not the official prompt (sha256 {self.sha256[:12]}...).")
        return own

    def part(self, prompt: Prompt) -> tuple[str, str, str]:
        """The prompt that is asked as a part of ``unofficial``."""
        return "the judge's prompt", prompt.name, f"official-{self.sha256[:8]}"

    def note(self, root: Path, choice: PromptChoice) -> list[str]:
        """A note where a script is there whose prompt is not the official one; with ``own`` it is not looked at."""
        path = files.find(root, *self._paths())
        if path is None or choice == "own":
            return []
        digest = hashlib.sha256(self._text(path).encode()).hexdigest()
        if digest == self.sha256:
            return []
        return [f"{path.name}: not the official prompt (sha256 {digest[:12]}, official {self.sha256[:12]}); not used"]

    def _text(self, path: Path) -> str:
        if self.function:
            return assembled(path, self.function, self.variable)
        return string_literal(path, self.variable)

    def _paths(self) -> list[str]:
        return [f"{folder}{name}" for folder in ("", "eval/") for name in self.scripts]


def string_literal(path: Path, variable: str) -> str:
    """The string assigned to ``variable`` at the top level of a Python file, which is parsed and never run."""
    for node in _parsed(path).body:
        names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        value = getattr(node, "value", None)
        if variable in names and isinstance(value, ast.Constant) and isinstance(value.value, str):
            return files.readable(value.value, f"{path}: {variable}")
    raise DataError(f"{path}: no string is assigned to {variable} at its top level.")


def assembled(path: Path, function: str, variable: str) -> str:
    """The string that ``function`` of a Python file puts together in ``variable`` (``=``, then ``+=``), as a template:
    pieces that are no literals are fields, named by what they are looked up by. The file is parsed and never run.
    """
    defined = (node for node in _parsed(path).body if isinstance(node, ast.FunctionDef) and node.name == function)
    pieces = [
        (node.lineno, node.value)
        for body in defined
        for node in ast.walk(body)
        if variable in [target.id for target in _targets(node) if isinstance(target, ast.Name)]
        and isinstance(node, ast.Assign | ast.AugAssign)
    ]
    text = "".join(_piece(value) for _, value in sorted(pieces, key=lambda piece: piece[0]))
    if not text:
        raise DataError(f"{path}: {function} puts no string together in {variable}.")
    return files.readable(text, f"{path}: {variable}")


def _targets(node: ast.AST) -> Sequence[ast.AST]:
    return node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []


def _piece(value: ast.expr) -> str:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value.replace("{", "{{").replace("}", "}}")
    key = value.slice if isinstance(value, ast.Subscript) else value
    name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ast.unparse(key)
    return f"{{{name}}}"


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(files.read_text(path), filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a Python file ({error}).") from error
