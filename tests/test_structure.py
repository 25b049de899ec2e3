"""The facts of the house: rooms and arrows, sizes, annotations, one home for each concept, a fast command line.

Each test names its offenders. docs/architecture.md says what the rooms are for.
"""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import MAY_IMPORT, ROOT, imported, modules, path_of, room_of, tree_of

FUNCTION_LINES = 60
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
MODULE_LINES = 300

EMBEDDED = {"tinyworld/export.py", "tinyworld/export_general.py", "tinyworld/judge.py"}
# concept: (what its code looks like, where it lives)
HOMES: dict[str, tuple[str, set[str]]] = {
    "load a model": (r"\b(AutoModel\w*|PeftModel)\.from_pretrained\(", {"harness/models/loading.py"}),
    "load a processor": (r"\bAutoProcessor\.from_pretrained\(", {"harness/models/processors.py"}),
    "hash weights": (r"sorted\(\w+\.state_dict\(\)|\*\.safetensors", {"harness/models/weights.py"}),
    "make a prompt": (r"\.apply_chat_template\(", {"harness/models/templates.py"}),
    "open an image": (r"\b(Pil)?Image\.open\(", {"harness/util/images.py"}),
    "read JSON lines": (r"parse_json\(line\b", {"harness/util/jsonl.py"}),
    "read YAML": (r"\byaml\.(safe_)?load\(", {"harness/util/yaml_text.py"}),
    "read yes or no": (r"\(yes\|no\)", {"benchmarks/common/yes_no.py"}),
    "rank and world size": (r"""["'](LOCAL_)?(RANK|WORLD_SIZE)["']""", {"harness/util/distributed.py"}),
    "ask an endpoint": (r"\bopenai\.(Async)?OpenAI\(", {"harness/chat/client.py"}),
    "put a file in its place": (
        r"\.replace\((path|target|file)\)",
        {"harness/util/files.py", "harness/util/part_file.py"},
    ),
    "keep arrays by key": (r"\bnp\.savez\w*\(", {"harness/util/array_store.py"}),
    "know the embedded world": (r"""["']truth\.jsonl["']""", {"workflows/embedded.py", *EMBEDDED}),
    "know a secret": (r"passwd|password\|", {"harness/util/secrets.py"}),
    "find plug-ins": (r"\bentry_points\(", {"harness/registry.py"}),
    "join a cluster": (r"\bray\.init\(", {"harness/cluster/connection.py"}),
    "keep an image's questions together": (r"\.group or \w+\.id\b", {"harness/protocols/benchmark.py"}),
    "know an error of memory": (r"\btorch\.OutOfMemoryError\b|_ALLOC_FAILED", {"harness/models/device_errors.py"}),
    "open a results file": (
        r"\bsqlite3\.connect\(",
        {"harness/store/connection.py", "harness/store/migrations.py"},
    ),
    "merge results files": (r"\bMerge\(", {"workflows/merging.py"}),
    "choose rows of pairs": (r"\bparse_condition\(", {"aligners/pairs/where.py", "aligners/pairs/reading.py"}),
    "name an engine of training": (r"\bDistributedType\.", {"aligners/training/sharding.py"}),
    "report progress": (
        r"class Progress\b|\b(Progress|Report)\b *(: *TypeAlias *)?= *Callable",
        {"harness/protocols/progress.py"},
    ),
}


def none_of(offenders: set[str], advice: str) -> None:
    """Fail with the advice and the offenders by name, if there are any."""
    assert not offenders, f"{advice}:\n  " + "\n  ".join(sorted(offenders))


def code_files() -> dict[str, Path]:
    """The modules of the rooms, and the scripts and examples beside them, by their paths."""
    beside = (file for folder in ("perf", "examples") for file in (ROOT / folder).rglob("*.py"))
    return {file.relative_to(ROOT).as_posix(): file for file in [*modules().values(), *beside]}


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree_of(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("module", modules())
def test_every_module_imports(module: str) -> None:
    importlib.import_module(module)


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        graphlib.TopologicalSorter({name: imported(name, inside_functions=False) for name in modules()}).prepare()
    except graphlib.CycleError as error:
        pytest.fail("an import cycle: " + " <- ".join(error.args[1]))


def test_arrows_between_rooms_run_one_way() -> None:
    wrong = {
        f"{module} -> {room_of(other)}"
        for module in modules()
        for other in imported(module, inside_functions=True)
        if room_of(other) not in {room_of(module), *MAY_IMPORT[room_of(module)]}
    }
    none_of(wrong, "these imports run against the arrows of tests/house.py")


def test_the_table_of_arrows_has_no_circle_itself() -> None:
    graphlib.TopologicalSorter(MAY_IMPORT).prepare()


def test_functions_fit_a_screen() -> None:
    long = {
        f"{path}::{node.name}"
        for path, file in code_files().items()
        for node in functions(file)
        if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES
    }
    none_of(long, f"functions of more than {FUNCTION_LINES} lines")


def test_modules_hold_one_idea() -> None:
    long = {
        path for path, file in code_files().items() if len(file.read_text(encoding="utf-8").splitlines()) > MODULE_LINES
    }
    none_of(long, f"modules of more than {MODULE_LINES} lines")


def test_everything_is_annotated() -> None:
    missing = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}: {', '.join(bare)}"
        for file in [*code_files().values(), *(ROOT / "tests").rglob("*.py")]
        for node in functions(file)
        if (bare := unannotated(node))
    ]
    assert not missing, "without annotation:\n  " + "\n  ".join(missing)


def unannotated(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The parameters without a type, and "return"; self and cls need none."""
    takes = node.args
    variadic = [arg for arg in (takes.vararg, takes.kwarg) if arg]
    bare = [arg.arg for arg in [*takes.posonlyargs, *takes.args, *takes.kwonlyargs, *variadic] if not arg.annotation]
    return [name for name in bare if name not in ("self", "cls")] + ([] if node.returns else ["return"])


def test_every_module_says_what_it_is() -> None:
    silent = [path for path, file in code_files().items() if not ast.get_docstring(tree_of(file))]
    assert not silent, f"modules without a docstring: {silent}"


def test_one_home_for_each_concept() -> None:
    second = {
        f"{concept}: {path_of(module)}"
        for concept, (pattern, homes) in HOMES.items()
        for module, file in modules().items()
        if path_of(module) not in homes and re.search(pattern, file.read_text(encoding="utf-8"))
    }
    none_of(second, "a concept with a second home (HOMES says where the first one is)")


def test_every_home_is_lived_in() -> None:
    for concept, (pattern, homes) in HOMES.items():
        for home in homes:
            assert re.search(pattern, (ROOT / home).read_text(encoding="utf-8")), f"{concept} has left {home}"


def test_a_new_setting_at_its_default_changes_no_stored_key() -> None:
    """The keys are those of version 0.1.0, so that what was stored then is found: see ``options.added``."""
    from aligners.pair_hardness.hardness import HardnessConfig
    from aligners.training.config import AlignConfig
    from harness.protocols.benchmark import Decoding
    from harness.util.options import content_key

    of_version_010 = {
        AlignConfig(model="m", data="d"): "6296ac2a271415d1b7af3809",
        HardnessConfig(): "8518fbe40d7dfdafccbfe729",
        Decoding(): "d62d8c14a8b7ee63ed4e21dd",
    }
    changed = {type(made).__name__ for made, key in of_version_010.items() if content_key(made) != key}
    none_of(
        changed,
        'a new setting needs a default like `name: str = added("none")` or `unkeyed("none")` (harness.util.options)',
    )


def test_only_the_commands_print() -> None:
    printing = {
        path_of(module)
        for module, file in modules().items()
        if room_of(module) not in ("commands", "cli") and re.search(r"\bprint\(|\bclick\b", code_of(file))
    }
    none_of(printing, "only commands/ prints and knows click")


def code_of(file: Path) -> str:
    """The file's code without docstrings and comments."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            node.body[0] = ast.Pass()
    return ast.unparse(tree)


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b|raise NotImplementedError")
    left = [path_of(module) for module, file in modules().items() if later.search(file.read_text(encoding="utf-8"))]
    assert not left, f"unfinished: {left}"


def test_help_does_not_import_torch() -> None:
    code = "import sys, cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
