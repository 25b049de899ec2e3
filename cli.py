"""The command line: collects the commands of commands/, one module each, and imports only the one that is asked for."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # asked before anything is imported that an older Python does not have
    sys.exit(
        f"The DAMA harness needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable}). Build the "
        "environment with one, for example `make install PYTHON=python3.11`, and run .venv/bin/python cli.py."
    )

import difflib
import importlib
import signal
import traceback
import warnings
from types import FrameType, TracebackType
from typing import Any

import click

from commands.options import VERBOSITY
from harness.errors import ENDS, HarnessError, Interrupted
from harness.util.log import Verbosity, set_verbosity
from harness.util.results import with_results_alone
from harness.util.secrets import guard_output
from harness.util.visible import escaped

COMMANDS = (
    "demo",
    "ablate",
    "claims",
    "align",
    "bench",
    "prompts",
    "score",
    "leaderboard",
    "compare",
    "plan",
    "agree",
    "rejudge",
    "objects",
    "contamination",
    "show",
    "export",
    "export-model",
    "import-model",
    "status",
    "db",
    "list",
    "fetch",
    "doctor",
    "objective",
)


class Commands(click.Group):
    """The modules of commands/ as sub-commands. An error that a user can act on is one message and its exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"commands.{cmd_name.replace('-', '_')}").command
        command.params += [option for option in VERBOSITY if option not in command.params]
        command.callback = command.callback and with_results_alone(command.callback)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = str(args[0])
        if name not in COMMANDS:
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {name!r}.{hint} Commands: {', '.join(COMMANDS)}.", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        set_verbosity(Verbosity.NORMAL)  # a program may call several commands
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            from commands.screen import hint_on_option

            raise click.UsageError(escaped(error.format_message() + hint_on_option(error)), error.ctx) from error
        except click.UsageError as error:  # it quotes what was given, which may come from a file
            raise click.UsageError(escaped(error.format_message()), error.ctx) from error
        except HarnessError as error:
            from commands.screen import print_error

            print_error(error)
            ctx.exit(error.exit_code)
        except (Exception, SystemExit) as error:
            from commands.screen import of_plugin, print_error
            from harness.util.places import of_the_disk

            if (said := of_the_disk(error) or of_plugin(error)) is None:
                raise
            print_error(said)
            ctx.exit(said.exit_code)
        except KeyboardInterrupt as stop:
            from commands.screen import print_interrupted

            ctx.exit(print_interrupted(stop))


@click.group(
    cls=Commands,
    params=[*VERBOSITY],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
def cli() -> None:
    """Align multimodal LLMs against hallucination, and measure whether it helped.

    \b
    First:  python cli.py demo                        the whole chain on a small embedded world
    Then:   python cli.py align --method dama --model DIR --data pairs.jsonl
            python cli.py bench --suite hallucination --model run:dama-s0 --data-dir DIR --judge openai:NAME
            python cli.py leaderboard
    """


def main() -> None:
    guard_output()
    for number in ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's way to let a command survive its terminal
            signal.signal(number, terminated)
    sys.excepthook = fault
    warnings.showwarning = warn  # type: ignore[assignment]  # it passes on what it is given
    cli()


def warn(*warning: Any) -> None:
    """A warning as ``commands.screen`` shows it, which needs rich; `--help` does without."""
    from commands.screen import show_warning

    show_warning(*warning)


def fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody foresaw: the traceback without secrets, on stderr and in the log."""
    from harness.util.log import LOG
    from harness.util.secrets import hide

    LOG.critical("a fault of the harness", exc_info=error)
    sys.stderr.write(escaped(hide("".join(traceback.format_exception(kind, error, trace)))))
    sys.stderr.write("This is a fault of the harness. What is stored is kept; please report the lines above.\n")


def terminated(number: int, frame: FrameType | None) -> None:
    """A queue, container or terminal that is closed ends a command as Ctrl-C does: with word of what is kept."""
    raise Interrupted(exit_code=128 + number)


if __name__ == "__main__":
    main()
