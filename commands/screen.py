"""What every command shows things with: two consoles, JSON, facts by name."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import click
import rich.console

from harness.errors import HarnessError, Interrupted
from harness.util.command_line import command_line
from harness.util.console import Console
from harness.util.distributed import rank_and_world_size
from harness.util.log import LOG, Verbosity, verbosity
from harness.util.results import RESULTS
from harness.util.secrets import hide, hide_known
from harness.util.visible import escaped, stripped

out = Console(file=RESULTS)
err = Console(stderr=True)

INCOMPLETE = 3
"""Exit code of a command that finished while some samples failed or have no answer."""


def line(text: str, *, console: rich.console.Console = out, style: str | None = None) -> None:
    """One line as it is: brackets are no markup, numbers get no colour, nothing is wrapped; control characters are
    written out.
    """
    console.print(escaped(hide_known(text)), highlight=False, markup=False, soft_wrap=True, style=style)


def note(text: str, *, style: str | None = None) -> None:
    """One line on stderr: what a script that reads stdout need not see. With `--quiet` it stands in the log alone."""
    LOG.info(text)
    if verbosity() is not Verbosity.QUIET:
        line(text, console=err, style=style)


def _marked(word: str, style: str, text: str) -> None:
    """A line on stderr that begins with ``word``, shown whatever the verbosity."""
    err.print(word, style=style, end=" ")
    line(hide(text), console=err)


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    """A warning of this project as one line for people; those of other packages as Python shows them.

    What one package will have to change for another's next version (deprecations) is nothing that a user can act on:
    it is shown only to who asks for warnings (``python -W default``).
    """
    if Path(filename).is_relative_to(Path(__file__).parents[1]) and "site-packages" not in filename:
        LOG.warning(str(message))
        if verbosity() is not Verbosity.QUIET:
            _marked("Warning", "yellow", str(message))
    elif sys.warnoptions or not issubclass(category, FutureWarning | DeprecationWarning):
        (file or sys.stderr).write(escaped(warnings.formatwarning(message, category, filename, lineno, line)))


def print_error(error: HarnessError) -> None:
    LOG.debug("the error's traceback", exc_info=error)
    _marked("Error", "bold red", str(error))


def of_plugin(error: BaseException) -> HarnessError | None:
    """The error of what another package's code raised or called; None where no plug-in had a part in it."""
    from harness.registry import plugin_behind

    if (where := plugin_behind(error)) is None:
        return None
    did = "ended the program (SystemExit" if isinstance(error, SystemExit) else f"failed ({type(error).__name__}"
    return HarnessError(
        f"{where} {did}: {error}). That is a fault of this plug-in, not of the harness: mend or uninstall its package. "
        "What is stored is kept; --verbose shows the traceback."
    )


def print_interrupted(stop: KeyboardInterrupt) -> int:
    """Say what is kept of work that was stopped and which command resumes it; returns the exit code."""
    stopped = stop if isinstance(stop, Interrupted) else Interrupted()
    _marked("Interrupted", "bold yellow", str(stopped))
    if rank_and_world_size()[0] == 0:
        line(f"Resume with: {command_line()}", console=err)
    return stopped.exit_code


def hint_on_option(error: click.NoSuchOption) -> str:
    """For an option that does not exist: what it is here, if other tools have it, and how settings are given."""
    from harness.util.other_names import OTHER_NAMES

    name = error.option_name.lstrip("-").replace("-", "_")
    ours = OTHER_NAMES[name].names if name in OTHER_NAMES else ()
    if ours and ours[0].startswith("--"):
        return f" Here it is {ours[0]}."
    return f" Settings are given as --set {ours[0] if ours else name}=VALUE (see `list settings`)."


def print_json(value: Any) -> None:
    """``value`` on stdout; NaN and infinity, which JSON does not have, as null."""
    from harness.util.json_safe import json_text

    click.echo(hide_known(json_text(value, indent=2)).replace("\x7f", "\\u007f"), RESULTS)


def print_text(text: str) -> None:
    """A text of several lines on stdout, without what would command a terminal."""
    click.echo(stripped(hide_known(text)), RESULTS, nl=False)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values in two columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        table.add_row(Text(name, "bold"), Text(f"{value:.4g}" if isinstance(value, float) else str(value)))
    out.print(table)


def print_written(files: Sequence[Path], otherwise: str = "") -> None:
    """Name the files that a command wrote; ``otherwise`` where there are none."""
    for file in files:
        note(f"wrote {file}")
    if not files:
        err.print(otherwise, highlight=False)
