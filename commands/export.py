"""`export`: the store's tables as files."""

from __future__ import annotations

from pathlib import Path

import click

from commands import options
from commands.screen import out, print_json


@click.command("export")
@options.db
@options.as_json
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "parquet"]),
    default="jsonl",
    show_default=True,
    help="One file a table.",
)
@click.option("--table", "names", multiple=True, help="Only this table; may be repeated.")
@click.option("--out", "folder", type=click.Path(path_type=Path), default="export", show_default=True, help="Folder.")
def command(db: str, as_json: bool, kind: str, names: tuple[str, ...], folder: Path) -> None:
    """Every table of the store as JSONL or parquet, for your own analysis."""
    from rich.text import Text

    from harness.store import Store
    from workflows.export import export

    written = export(Store.reading(db), folder, kind, names)
    if as_json:
        print_json({"folder": str(folder), "rows": written})
        return
    for name, count in written.items():
        out.print(Text.assemble(f"{folder / name}.{kind}  ", (f"{count:,} rows", "dim")), soft_wrap=True)
