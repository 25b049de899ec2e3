"""The picture in docs/architecture.md, drawn from the table of arrows: ``python -m tests.docs.architecture_page``."""

from __future__ import annotations

import re

from tests.house import ROOT, diagram

PAGE = ROOT / "docs/architecture.md"


def page() -> str:
    """The page as it is, with the picture as it should be."""
    drawn = f"```mermaid\n{diagram()}\n```"
    return re.sub(r"```mermaid\n.*?\n```", lambda _: drawn, PAGE.read_text(encoding="utf-8"), count=1, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
