"""The pages hold together: their links lead somewhere, the commands they show exist, their words are the field's."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from cli import cli
from tests.house import ROOT, modules, path_of, tree_of

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
PRIVATE = re.compile(
    r"\b(tell|tells|told|brings?|goes on|go on|carr(y|ies|ied) (it )?out|settled|settles|lineup|crew|seated)\b", re.I
)


def commands_in(text: str) -> list[str]:
    """What is called as `cli.py ...` or `dama ...`, in blocks of code (joined at backslashes) and in spans."""
    joined = re.sub(r"\\\n\s*", " ", text)
    blocks = re.findall(r"^(?:    )?(?:[\w./]*python |[\w./]*torchrun .*?)?cli\.py (\S.*)$", joined, re.MULTILINE)
    return [*blocks, *re.findall(r"`(?:python )?(?:cli\.py|dama) ([^`]+)`", joined)]


def parse(line: str) -> None:
    """Fail if the command or one of its options does not exist; values and files are not looked at."""
    words = [word for word in shlex.split(line, comments=True) if word not in ("...", "&")]
    if words[0].isupper() or words[0].startswith("-"):  # "cli.py COMMAND", "cli.py --help"
        return
    top = click.Context(cli, info_name="dama")
    command = cli.get_command(top, words[0])
    assert command is not None, f"no such command: {line}"
    command.make_parser(click.Context(command, info_name=words[0], parent=top)).parse_args(words[1:])


@pytest.mark.parametrize("page", TEXT)
def test_the_commands_that_a_page_shows_exist(page: str) -> None:
    for line in commands_in(TEXT[page]):
        parse(line)


def test_commands_are_found_in_blocks_and_in_spans() -> None:
    shown = [line for text in TEXT.values() for line in commands_in(text)]
    assert len(shown) > 20
    with pytest.raises(click.NoSuchOption):
        parse("bench --no-such-option 1")
    with pytest.raises(AssertionError):
        parse("benchmark --suite all")


@pytest.mark.parametrize("page", TEXT)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT[page]):
        if not target.startswith(("http://", "https://")):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", TEXT)
def test_a_page_uses_no_private_words(page: str) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`", "", TEXT[page], flags=re.DOTALL)
    private = [match.group() for match in PRIVATE.finditer(prose)]
    assert not private, f"{page}: {private}: say run, resume, download, show, report"


@pytest.mark.parametrize("module", modules())
def test_docstrings_and_messages_use_no_private_words(module: str) -> None:
    texts = [node.value for node in ast.walk(tree_of(modules()[module])) if isinstance(node, ast.Constant)]
    private = [match.group() for text in texts if isinstance(text, str) for match in PRIVATE.finditer(text)]
    assert not private, f"{path_of(module)}: {private}: say run, resume, download, show, report"


def test_the_tree_of_the_readme_names_what_is_there() -> None:
    tree = re.findall(r"^    (\w+(?:\.py|/))[ ,]", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(tree) > 8
    assert [name for name in tree if not Path(ROOT / name).exists()] == []
