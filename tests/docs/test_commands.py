"""docs/commands.md names every command and every option, and all of them say what they do."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from cli import cli
from tests.docs.commands_page import PAGE, page


def walk(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Every command with the words it is called by."""
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from walk(below, click.Context(below, info_name=name, parent=context))


COMMANDS = dict(walk(cli, click.Context(cli, info_name="dama")))


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_every_option_is_on_the_page_with_its_meaning(path: str) -> None:
    command, text = COMMANDS[path], PAGE.read_text(encoding="utf-8")
    assert command.help, f"{path} says nothing of what it does"
    if path != "dama":
        assert f"    {path} " in text
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, f"{path} {option.opts[0]} has no help"
            assert all(f"`{name}`" in text for name in [*option.opts, *option.secondary_opts]), (path, option.opts)
