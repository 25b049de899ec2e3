"""docs/settings.md, made from the dataclasses of settings: ``python -m tests.docs.settings_page`` writes it."""

from __future__ import annotations

import re

from harness.util.documented import Setting
from harness.util.other_names import OTHER_NAMES
from tests.house import ROOT
from workflows.known_settings import Section, sections

PAGE = ROOT / "docs/settings.md"
HEAD = """# Settings

Made from the code by `make docs`; a test compares. A setting is given as `--set NAME=VALUE`, as a line `NAME: VALUE` of
a recipe, or from Python in `settings={"NAME": VALUE}`; `--set` may be repeated, and what is given later wins. Values
are YAML: `true`, `null`, `5e-7`, `[0, 1]`. A name that two parts of a command have is written with its part:
`train.lr=1e-6`. `list settings` shows this in the terminal, `align --dry-run` all settings of a run.

A value of the wrong kind or out of range, and a name that does not exist, are refused before data are read. The last
column has the names that TRL, LLaMA-Factory, ms-swift and LLaVA's scripts use; whoever gives one is shown ours.
"""
OTHERS = """## Names from elsewhere

What other tools call a setting, with how its value translates.

| there | here | value |
|---|---|---|
"""


def page() -> str:
    """The whole text of docs/settings.md."""
    parts = [section_text(section) for section in sections()]
    return "\n".join([HEAD, *parts, OTHERS + "".join(map(other_row, OTHER_NAMES))])


def section_text(section: Section) -> str:
    """A table of one section."""
    owners = any(owner for _, owner in section.settings)
    head = ["setting", "meaning", "value", "default", *(["of"] if owners else []), "elsewhere"]
    rows = [row(section, setting, owner, owners=owners) for setting, owner in section.settings]
    lines = [f"## {section.title}", "", section.how, "", table_row(head), "|" + "---|" * len(head), *rows, ""]
    return "\n".join(lines)


def row(section: Section, setting: Setting, owner: str, *, owners: bool) -> str:
    """One setting."""
    elsewhere = ", ".join(f"`{name}`" for name in section.names_elsewhere(setting.name))
    default = "must be given" if setting.default is None else f"`{setting.default}`"
    cells = [f"`{setting.name}`", prose(setting.meaning), setting.allowed, default]
    return table_row([*cells, *([owner or "all"] if owners else []), elsewhere])


def other_row(name: str) -> str:
    """One name from elsewhere."""
    ours = OTHER_NAMES[name]
    here = ", ".join(f"`{each}`" for each in ours.names) or "none"
    return table_row([f"`{name}`", here, ours.note]) + "\n"


def prose(text: str) -> str:
    """A docstring's words as Markdown."""
    return re.sub(r"\bNone\b", "null", re.sub(r"``([^`]+)``", r"`\1`", text)).replace("<", "&lt;")


def table_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
