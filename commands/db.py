"""`db`: care of the results file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from commands import options
from commands.screen import INCOMPLETE, print_facts, print_json
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.store import Store

TAKES = {"backup": "FILE", "rescue": "FILE", "merge": "FILE...", "rm": "RUN...", "hide": "RUN...", "unhide": "RUN..."}
"""What follows an action; nothing follows the others."""
READING = ("info", "check", "backup")
ACTIONS = (*READING, "vacuum", *(action for action in TAKES if action not in READING))


@click.command("db")
@click.argument("action", type=click.Choice(ACTIONS), default="info")
@click.argument("words", metavar="[FILE... | RUN...]", nargs=-1)
@click.option("--into", type=click.Path(dir_okay=False), help="merge: the file that takes all in; made if absent.")
@click.option("--keep-first", is_flag=True, help="merge: where files differ, the first one's row stays.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@options.db
@options.as_json
def command(
    action: str, words: tuple[str, ...], into: str | None, keep_first: bool, yes: bool, db: str, as_json: bool
) -> None:  # fmt: skip
    """Look after the results file.

    \b
    info         rows by table
    check        is it sound?
    vacuum       give back the room of deleted rows
    backup FILE  a copy, also while others write
    rescue FILE  of a damaged file, all that can be read, as a new results file; exit 3 where some cannot
    merge A B    take B into A, or all into --into FILE: what is in several stands once, what
                 differs under one key is refused, and --db is not touched
    rm RUN       remove runs with their evaluations; answers and replies stay
    hide RUN     keep runs, but leave them out of leaderboards and of `bench` without --model
    unhide RUN   show them again
    """
    from harness.store import Store
    from workflows.bars import bars
    from workflows.status import care, hide, rescued

    if bool(words) != (action in TAKES) or (action in ("backup", "rescue") and len(words) != 1):
        raise UsageError(
            f"db {action} {TAKES[action]}: name it." if action in TAKES else f"db {action} takes nothing more."
        )
    if action == "rescue":
        facts = rescued(Path(db), Path(words[0]))
        listed = {what: _listed(facts[what]) for what in ("unreadable", "damaged")}
        print_json(facts) if as_json else print_facts({**facts, **listed})
        sys.exit(INCOMPLETE if facts["unreadable"] or facts["damaged"] or "first page" in facts else 0)
    if action != "merge" and (into or keep_first):
        raise UsageError(f"db {action}: --into and --keep-first are of `db merge`.")
    if action == "merge":
        if click.get_current_context().get_parameter_source("db") is ParameterSource.COMMANDLINE:
            raise UsageError("db merge A B... --into FILE: name the file that takes all in with --into, not --db.")
        _merge(words, into, keep_first=keep_first, as_json=as_json)
        return
    store = Store.reading(db) if action in READING else Store.existing(db)
    if action == "rm":
        _remove(store, words, yes, as_json)
        return
    if action in ("hide", "unhide"):
        facts = hide(store, words, hidden=action == "hide")
    else:
        with bars() as progress:
            facts = care(store, action, Path(words[0]) if words else None, progress)
    print_json(facts) if as_json else print_facts(facts)


def _merge(files: tuple[str, ...], into: str | None, *, keep_first: bool, as_json: bool) -> None:
    from workflows.bars import bars
    from workflows.merging import merge

    with bars() as progress:
        facts = merge([*map(Path, files)], Path(into) if into else None, keep_first=keep_first, progress=progress)
    if as_json:
        print_json(facts)
        return
    counts = {
        what.replace("_", " "): ", ".join(f"{count:,} {table}" for table, count in found.items()) or "nothing"
        for what, found in facts.items()
        if isinstance(found, dict)
    }
    lists = {"from": ", ".join(facts["from"]), "conflicts": len(facts["conflicts"])}
    print_facts({"into": facts["into"], **lists, **counts, "state": facts["state"]})


def _listed(by_table: dict[str, str]) -> str:
    return "; ".join(f"{table}: {what}" for table, what in by_table.items()) or "nothing"


def _remove(store: Store, runs: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Say what is removed, ask unless ``yes``, remove it."""
    from workflows.status import removal, remove

    facts = removal(store, runs)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise UsageError("db rm: nobody is there to be asked; add --yes to remove " + ", ".join(runs) + ".")
        print_facts({**facts, "runs": ", ".join(runs)})
        click.confirm("Remove this?", abort=True)
    remove(store, runs)
    print_json(facts) if as_json else print_facts({**facts, "runs": f"removed: {', '.join(runs)}"})
