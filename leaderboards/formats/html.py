"""Leaderboards as an HTML report: a file, or a folder with the answers beside the page."""

from __future__ import annotations

from pathlib import Path

from leaderboards.formats.data import to_csv
from leaderboards.formats.latex import latex
from leaderboards.formats.markdown import markdown
from leaderboards.formats.registry import FORMATS, Format
from leaderboards.page.html import INLINE_LIMIT, render_html, write_html
from leaderboards.page.samples import Chunks
from leaderboards.view import View

COPIES = {"CSV": ("csv", to_csv), "Markdown": ("md", markdown), "LaTeX": ("tex", latex)}


class Html(Format):
    """One page that asks nothing of a network."""

    name = "html"
    suffixes = (".html", ".htm")
    folders = True
    default_out = "leaderboard.html"

    def render(self, view: View) -> str:
        return render_html(view, Chunks(None, INLINE_LIMIT), COPIES)

    def write(self, view: View, out: Path) -> list[Path]:
        return write_html(view, out, COPIES)


FORMATS.register("html", Html)
