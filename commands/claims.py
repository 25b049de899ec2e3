"""`claims`: the paper's claims as experiments in the embedded world."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands import options
from commands.screen import line, out, print_json
from harness.errors import HarnessError

if TYPE_CHECKING:
    from workflows.claims import Claim


@click.command("claims")
@click.argument("names", nargs=-1, metavar="[CLAIM]...")
@click.option("--run", is_flag=True, help="Make the runs that are missing first (hours); the same command resumes.")
@click.option("--write-docs", "page_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the page.")
@options.db
@options.device
@options.as_json
def command(names: tuple[str, ...], run: bool, page_file: Path | None, db: str, device: str, as_json: bool) -> None:
    """What a results file says of the paper's claims, or of some (`recipes/claims/`): figures, differences, verdicts.

    Each claim is an ablation over base models and training seeds with its controls. Runs that claims share are made
    once. Nothing is computed without --run but the tables.
    """
    from rich.markdown import Markdown

    from harness.store import Store
    from harness.util.files import write_text
    from workflows.claims import claim_names, read_claim, results
    from workflows.claims_page import claim_records, page

    claims = {name: read_claim(name) for name in names or claim_names()}
    if run:
        _run(claims, db, device)
    found = results(claims, Store.reading(db))
    if as_json:
        print_json(claim_records(found))
        return
    text = page(found, " ".join(["python cli.py claims", *names, "--db claims.sqlite --write-docs docs/claims.md"]))
    if page_file is None:
        out.print(Markdown(text))
    else:
        write_text(page_file, text)
        line(f"Page   {page_file.resolve()}")


def _run(claims: Mapping[str, Claim], db: str, device: str) -> None:
    """Make the runs of ``claims`` that are missing, claim by claim; HarnessError names those that failed."""
    from workflows.ablate import ablate
    from workflows.ablation import read_ablation
    from workflows.bars import bars

    failures: list[str] = []
    for name, claim in claims.items():
        with bars() as shown:
            outcome = ablate(
                read_ablation(claim.ablation), db, device=device,
                log=lambda text: line(text, console=shown.console),
                progress=lambda done, total, name=name: shown(f"runs of {name}", done, total),  # type: ignore[misc]
                steps=shown,
            )  # fmt: skip
        failures += outcome.failures
    if failures:
        raise HarnessError("Some runs failed; the same command tries these again:\n  " + "\n  ".join(failures))
