"""docs/commands.md, made from the commands themselves: ``python -m tests.docs.commands_page`` writes it."""

from __future__ import annotations

import inspect

import click

from cli import cli
from commands.options import VERBOSITY
from tests.house import ROOT

PAGE = ROOT / "docs/commands.md"
HEAD = """# Commands

Made from the commands by `make docs`; a test compares. In a checkout they are called `python cli.py COMMAND`,
in the environment (`source .venv/bin/activate`), where the package is installed `dama COMMAND`. Every one has `--help`.

Every command takes `-q`, `--quiet` (stderr shows errors alone) and `-v`, `--verbose` (it shows the log too). `align`,
`bench`, `score`, `rejudge`, `ablate`, `claims` and `demo` keep a log file in `$DAMA_HOME/logs`; `status` names it.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 incomplete (some samples failed or have no answer; the figures of the
others are given). With `--json` stdout holds the JSON and nothing else. `--set key=value` changes one setting; where
two parts of a command have a setting of one name, it is written with its part (`train.lr=1e-6`). All
of them: [settings.md](settings.md).
"""


def page() -> str:
    """The whole text of docs/commands.md."""
    top = click.Context(cli, info_name="dama")
    commands = [(name, cli.get_command(top, name)) for name in cli.list_commands(top)]
    return "\n".join([HEAD, *(section(name, command, top) for name, command in commands if command)])


def section(name: str, command: click.Command, parent: click.Context) -> str:
    """One command: its usage, its help, its arguments and options; those of its own sub-commands below."""
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"## {name}" if parent.parent is None else f"### {context.command_path}", "", f"    {usage}", ""]
    lines += [help_text(command.help or ""), ""]
    options = [o for o in command.params if isinstance(o, click.Option) and not o.hidden and o not in VERBOSITY]
    if options:
        lines += ["| option | meaning |", "|---|---|", *(row(option, context) for option in options), ""]
    if isinstance(command, click.Group):
        below = [(sub, command.get_command(context, sub)) for sub in command.list_commands(context)]
        lines += [section(sub, inner, context) for sub, inner in below if inner]
    return "\n".join(lines)


def help_text(text: str) -> str:
    """The help as Markdown: paragraphs that click is told not to wrap become blocks of code."""
    paragraphs = inspect.cleandoc(text).replace("\f", "").split("\n\n")
    return "\n\n".join(
        "\n".join(f"    {line}" for line in part.splitlines()[1:]) if part.startswith("\b") else part
        for part in paragraphs
    )


def row(option: click.Option, context: click.Context) -> str:
    """One line of the table: names and value, and what the option means, with its default."""
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" `{option.make_metavar(context)}`"
    repeated = " (may be repeated)" if option.multiple and "repeated" not in meaning(option, context) else ""
    cells = [names + value, meaning(option, context) + repeated]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def meaning(option: click.Option, context: click.Context) -> str:
    """The option's help with its default and range, in one line; empty where it has none."""
    record = option.get_help_record(context)
    return " ".join(record[1].split()) if record else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
