"""The rooms of the project, what each may import, and its modules; docs/architecture.md is drawn from this."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]

GROUND = {"harness.errors", "harness.util", "harness.registry", "harness.protocols.progress"}
PROTOCOLS = GROUND | {"harness.protocols"}
ALIGNERS = {"aligners", "aligners.pair_hardness", "aligners.pairs", "aligners.training"}
LEADERBOARDS = {"leaderboards", "leaderboards.charts", "leaderboards.page"}

# A room is a package, or a module beside the packages of its parent. Within a room everything may import everything
# that makes no cycle; between rooms only what stands here. From the ground floor upwards. What is found by name
# (benchmarks, judges, aligners of other packages) is imported by the registry, and by nobody else.
MAY_IMPORT: dict[str, set[str]] = {
    "harness.errors": set(),
    "harness.stats": set(),
    "harness.protocols.progress": set(),  # a signature, which downloads and pools report to as well
    "harness.util": {"harness.errors", "harness.protocols.progress"},
    "harness": {"harness.util"},
    "harness.registry": {"harness.errors", "harness.util"},
    "harness.protocols": GROUND,
    "harness.chat": PROTOCOLS,
    "harness.models": PROTOCOLS | {"harness.chat"},
    "harness.judges": PROTOCOLS | {"harness.chat", "harness.models"},
    "harness.store": PROTOCOLS,
    "harness.evaluation": PROTOCOLS | {"harness.store", "harness.stats"},
    "harness.cluster": PROTOCOLS | {"harness.evaluation", "harness.judges", "harness.models", "harness"},
    "harness.testing": PROTOCOLS | {"harness.evaluation"},
    "aligners": PROTOCOLS | {"harness"},
    "aligners.pair_hardness": PROTOCOLS | {"harness.chat", "harness.models"},
    "aligners.pairs": PROTOCOLS | {"harness.models", "aligners.pair_hardness"},
    "aligners.training": PROTOCOLS | {"harness.models", "recipes"} | ALIGNERS - {"aligners.training"},
    "benchmarks.common": PROTOCOLS,
    "benchmarks": PROTOCOLS | {"benchmarks.common"},
    "leaderboards": PROTOCOLS | {"harness.evaluation", "harness.models", "harness.stats", "harness.store"},
    "leaderboards.charts": PROTOCOLS | {"harness.store", "leaderboards"},
    "leaderboards.page": PROTOCOLS
    | {"harness.evaluation", "harness.stats", "harness.store"}
    | LEADERBOARDS - {"leaderboards.page"},
    "leaderboards.formats": PROTOCOLS | {"harness.evaluation", "harness.stats", "harness.store"} | LEADERBOARDS,
    "tinyworld": PROTOCOLS | {"harness", "harness.stats"},
    "recipes": {"harness.errors"},
    "workflows": PROTOCOLS
    | {"harness.chat", "harness.cluster", "harness.evaluation", "harness.judges", "harness.models", "harness.store"}
    | {"tinyworld", "recipes", "leaderboards.formats"}
    | ALIGNERS
    | LEADERBOARDS,
    "dama": {"harness.errors", "harness.protocols.progress", "workflows"},
    "commands": GROUND
    | {
        "harness.cluster",
        "harness.evaluation",
        "harness.store",
        "recipes",
        "leaderboards",
        "leaderboards.formats",
        "workflows",
        "dama",
    },
    "cli": {"harness.errors", "harness.util", "commands"},
}
TOP = {room.partition(".")[0] for room in MAY_IMPORT}


@cache
def modules() -> dict[str, Path]:
    """Every production module by its dotted name; a package's own name is its __init__."""
    files = (file for top in TOP for file in [ROOT / f"{top}.py", *(ROOT / top).rglob("*.py")] if file.exists())
    dotted = {file: file.relative_to(ROOT).with_suffix("").parts for file in files}
    return {".".join(names[:-1] if names[-1] == "__init__" else names): file for file, names in sorted(dotted.items())}


def path_of(module: str) -> str:
    """The module's file as people write it: ``harness/store/store.py``."""
    return modules()[module].relative_to(ROOT).as_posix()


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def room_of(module: str) -> str:
    """The longest beginning of ``module`` that is a room: harness.store.store -> harness.store."""
    while module not in MAY_IMPORT:
        module = module.rpartition(".")[0]
    return module


def imported(module: str, *, inside_functions: bool) -> set[str]:
    """The production modules that ``module`` imports, those under ``if TYPE_CHECKING`` as well."""
    names = {name for node in _imports(tree_of(modules()[module]), inside_functions) for name in _names(node)}
    return (names & modules().keys()) - {module}


def _imports(node: ast.AST, inside_functions: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _imports(child, inside_functions)


def _names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    else:
        yield node.module or ""
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def diagram() -> str:
    """The arrows as a mermaid flowchart, without those that follow from others; a room imports what it points to."""
    arrows = {room: room_arrows(room) for room in MAY_IMPORT}
    node = {room: f'{room.replace(".", "_")}["{room}"]' for room in MAY_IMPORT}
    lines = [
        f"    {node[room]} --> {' & '.join(node[to] for to in sorted(below))}"
        for room, below in arrows.items()
        if below
    ]
    return "\n".join(["flowchart TD", *reversed(lines)])


def room_arrows(room: str) -> set[str]:
    """What ``room`` may import and cannot reach by way of another room."""
    return MAY_IMPORT[room] - {far for near in MAY_IMPORT[room] for far in reach(near)}


def reach(room: str) -> set[str]:
    """All rooms that ``room`` may come by, through others too."""
    return MAY_IMPORT[room].union(*(reach(near) for near in MAY_IMPORT[room]))


def absent(tests: Iterable[str]) -> list[str]:
    """Those of ``tests``, each ``file::function`` under the project's folder, that do not exist."""
    named = [test.partition("::") for test in tests]
    there = {file: _functions(ROOT / file) for file, _, _ in named}
    return [f"{file}::{name}" for file, _, name in named if name not in there[file]]


def _functions(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else ()
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
