"""How a method is drawn: a colour, a dash and a shape of point of its own, the same in every chart, table and file.

Neighbours differ by at least 12 in CIEDE2000 also for the colour-blind, and every colour stands out from its paper by
3 to 1 (tests/leaderboards/charts/test_marks.py computes both).
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from leaderboards.charts.svg import escape
from leaderboards.run_groups import BASE

LIGHT = ("#2b5fd9", "#c4520a", "#0a8a66", "#6b1d5e", "#a98804", "#1292b0", "#d63384", "#3d4f12", "#8b8f98")
DARK = ("#7d9dff", "#ff8f3f", "#2fb088", "#f6c2ea", "#e3c93a", "#74def5", "#f0509a", "#9db04a", "#9aa0ac")
"""The colours on white and on dark paper, in the order in which methods take them; the last is the base model's."""

TERCILES = {"easy": ("#0072b2", "#56b4e9"), "middle": ("#7f7f7f", "#a6a6a6"), "hard": ("#d55e00", "#ff8f3f")}
"""The colours of pairs by their hardness, on white and on dark paper."""

HUES, GREY, SHAPES = len(LIGHT) - 1, len(LIGHT) - 1, 5
"""How many colours methods take, the number of the base model's, and how many dashes and shapes there are."""

CORNERS = (
    (),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((0, -1.2), (1.2, 0.9), (-1.2, 0.9)),
    ((-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)),
    ((-1.2, -0.9), (1.2, -0.9), (0, 1.2)),
)
"""The corners of every point in radii: a circle, which has none, a diamond, a triangle, a square, a triangle down."""


def style() -> str:
    """The colours as custom properties of a style sheet: ``--c0`` .. ``--c8``, ``--easy``, ``--middle``, ``--hard``."""
    named = {f"c{i}": pair for i, pair in enumerate(zip(LIGHT, DARK, strict=True))} | TERCILES
    return ":root {" + " ".join(f"--{name}: light-dark({', '.join(pair)});" for name, pair in named.items()) + "}\n"


def colour(index: int) -> int:
    """The colour number of the method at that index: its hue plus ``HUES + 1`` for every time the hues were used up."""
    return index % HUES + (HUES + 1) * (index // HUES % SHAPES)


def palette_of(labels: Iterable[str]) -> dict[str, int]:
    """The colour number of every row of ``labels``, in their order; the base model's, if it is among them, is grey."""
    known = dict.fromkeys(labels)
    others = [label for label in known if label != BASE]
    return {**({BASE: GREY} if BASE in known else {}), **{label: colour(i) for i, label in enumerate(others)}}


def shape(number: int) -> int:
    """The dash and point of a colour number, 0 .. ``SHAPES`` - 1; neighbours differ, and so do two of one colour."""
    turn, hue = divmod(number, HUES + 1)
    return (hue + 2 * turn) % SHAPES


def marks(number: int) -> str:
    """The classes of a colour number: ``c0`` .. ``c8`` its colour, ``m0`` .. ``m4`` its dash."""
    return f"c{number % (HUES + 1)} m{shape(number)}"


def dot(x: float, y: float, r: float, colour: int, note: str = "") -> str:
    """A point in the shape of its colour number."""
    title = f"<title>{escape(note)}</title>" if note else ""
    corners = CORNERS[shape(colour)]
    if not corners:
        return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{r}">{title}</circle>'
    points = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in corners)
    return f'<polygon class="dot" points="{points}">{title}</polygon>'


def key(colour: int) -> Markup:
    """How a method is drawn, for legends: its line with its point."""
    return Markup(
        f'<svg class="key {marks(colour)}" viewBox="0 0 30 12" width="30" height="12" aria-hidden="true">'
        f'<path class="line own" d="M1 6L29 6"/>{dot(15, 6, 4, colour)}</svg>'
    )


def swatch(colour: int) -> Markup:
    """A method's point alone, for names in tables."""
    return Markup(
        f'<svg class="swatch {marks(colour)}" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">'
        f"{dot(6, 6, 4, colour)}</svg>"
    )
