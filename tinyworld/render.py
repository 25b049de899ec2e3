# ruff: noqa: E501  (a glyph is one line)
"""Scenes as pictures of 96 x 96 pixels: a background for the place, a glyph of 24 pixels for every object."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from harness.protocols.progress import Progress, silent
from tinyworld.scenes import Scene

SIZE = 96
CELL = SIZE // 3
GLYPH = 24
JITTER = 3  # places in each direction where a glyph may stand in its cell, a pixel apart
Color = tuple[int, int, int]

PAINT: dict[str, Color] = {
    "red": (210, 40, 40),
    "blue": (40, 70, 210),
    "green": (30, 150, 60),
    "yellow": (235, 205, 40),
    "black": (20, 20, 20),
    "white": (245, 245, 245),
    "grey": (130, 130, 130),
    "brown": (110, 65, 30),
    "pink": (240, 150, 170),
    "cyan": (120, 220, 235),
}
GROUNDS: dict[str, tuple[Color, Color]] = {  # above and below the horizon
    "street": ((165, 185, 205), (95, 95, 100)),
    "kitchen": ((240, 225, 200), (190, 160, 130)),
    "room": ((200, 180, 205), (140, 95, 85)),
    "field": ((150, 200, 240), (120, 175, 90)),
    "beach": ((90, 170, 220), (230, 210, 150)),
}
# Parts of a glyph: shape, box (left top right bottom, of 24), paint. "self" is the object's own colour, the other
# paints are the same for all objects of a kind: with its shape they tell the kind.
GLYPHS: dict[str, str] = {
    "car": "rect 1 10 23 18 self; rect 6 5 18 10 cyan; oval 3 15 9 21 black; oval 15 15 21 21 black",
    "person": "oval 9 0 15 6 pink; rect 8 6 16 15 self; rect 8 15 11 24 black; rect 13 15 16 24 black",
    "bus": "rect 1 3 23 20 self; rect 3 5 8 11 white; rect 10 5 15 11 white; rect 17 5 22 11 white; oval 4 17 9 23 grey",
    "bicycle": "ring 0 11 11 22 black; ring 13 11 24 22 black; line 5 16 12 6 self; line 12 6 18 16 self",
    "truck": "rect 0 3 15 18 self; rect 16 8 23 18 grey; oval 2 15 8 21 black; oval 15 15 21 21 black",
    "dog": "rect 4 10 18 16 self; rect 15 4 22 11 self; rect 4 16 7 23 brown; rect 15 16 18 23 brown; oval 19 6 21 8 black",
    "cup": "rect 5 6 16 20 self; ring 14 8 22 17 white; rect 5 6 16 8 brown",
    "bowl": "pie 1 0 23 20 self; line 1 10 23 10 white",
    "oven": "rect 2 2 22 22 grey; rect 5 10 19 20 black; oval 4 4 8 8 self; oval 10 4 14 8 self; oval 16 4 20 8 self",
    "bottle": "rect 10 0 14 7 white; rect 7 7 17 23 self; rect 7 12 17 16 white",
    "apple": "oval 3 5 21 23 self; line 12 6 15 0 brown; oval 14 0 20 4 green",
    "banana": "pie 0 -6 24 18 self; pie 4 -8 20 12 brown",
    "couch": "rect 1 6 23 14 self; rect 1 14 23 20 brown; rect 0 10 4 20 self; rect 20 10 24 20 self",
    "chair": "rect 5 0 8 14 self; rect 5 12 18 15 self; rect 5 15 7 24 black; rect 16 15 18 24 black",
    "book": "rect 2 4 12 21 self; rect 12 4 22 21 white; line 12 4 12 21 black; line 14 9 20 9 grey",
    "clock": "oval 1 1 23 23 self; oval 4 4 20 20 white; line 12 12 12 6 black; line 12 12 17 12 black",
    "cat": "oval 4 8 20 23 self; tri 4 10 6 1 11 9 self; tri 13 9 18 1 20 10 self; oval 8 12 10 15 white; oval 14 12 16 15 white",
    "vase": "tri 4 23 12 8 20 23 self; oval 9 5 15 11 pink; line 12 8 12 14 green",
    "horse": "rect 3 10 17 16 brown; rect 15 1 20 12 brown; rect 4 16 6 24 black; rect 14 16 16 24 black; rect 6 7 13 11 self",
    "cow": "rect 2 8 20 17 white; oval 5 9 10 14 black; oval 13 10 17 15 black; rect 18 5 24 12 self; rect 4 17 6 23 grey",
    "sheep": "oval 2 5 20 19 white; oval 16 7 24 14 black; rect 6 18 8 24 black; rect 14 18 16 24 black; oval 8 8 13 13 self",
    "bird": "oval 6 9 18 17 self; tri 8 11 1 2 14 10 self; tri 17 11 24 13 17 15 yellow; oval 15 10 17 12 black",
    "boat": "tri 1 15 23 15 12 24 brown; tri 11 1 11 14 2 14 white; tri 13 3 13 14 22 14 self",
    "umbrella": "pie180 1 1 23 23 self; line 12 10 12 23 black; line 12 1 12 12 white",
    "kite": "tri 12 0 3 9 21 9 self; tri 3 9 21 9 12 18 pink; line 12 18 7 24 black",
}


def render(scene: Scene) -> Image.Image:
    """The scene as an RGB picture; equal scenes give equal pixels."""
    rng = np.random.default_rng(scene.seed)
    above, below = GROUNDS[scene.place]
    picture = Image.new("RGB", (SIZE, SIZE), above)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, int(rng.integers(38, 58)), SIZE, SIZE), below)
    for thing in scene.things:
        for cell in thing.cells:
            dx, dy = (CELL - GLYPH) // 2 - JITTER // 2 + rng.integers(0, JITTER, 2)
            _glyph(draw, thing.name, thing.color, cell % 3 * CELL + int(dx), cell // 3 * CELL + int(dy))
    noise = rng.normal(0, 8, (SIZE, SIZE, 3))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def _glyph(draw: ImageDraw.ImageDraw, name: str, color: str, left: int, top: int) -> None:
    for part in GLYPHS[name].split("; "):
        shape, *numbers, paint = part.split()
        fill = PAINT[color if paint == "self" else paint]
        box = [int(n) + (top if i % 2 else left) for i, n in enumerate(numbers)]
        if shape == "rect":
            draw.rectangle(box, fill, outline=(0, 0, 0))
        elif shape == "oval":
            draw.ellipse(box, fill)
        elif shape == "ring":
            draw.ellipse(box, outline=fill, width=2)
        elif shape == "line":
            draw.line(box, fill, width=2)
        elif shape == "tri":
            draw.polygon(box, fill)
        else:  # the lower half of a disc, or the upper one
            start = 180 if shape == "pie180" else 0
            draw.pieslice(box, start, start + 180, fill)


def pixels(scenes: list[Scene], progress: Progress = silent, step: str = "pictures") -> NDArray[np.uint8]:
    """Rendered scenes as bytes, shape [n, 3, 96, 96]; ``progress`` is called as ``step``."""
    pictures = []
    for done, scene in enumerate(scenes, start=1):
        pictures.append(np.asarray(render(scene)).transpose(2, 0, 1))
        progress(step, done, len(scenes))
    return np.stack(pictures)


def png(scene: Scene) -> bytes:
    """The rendered scene as an encoded PNG."""
    stream = io.BytesIO()
    render(scene).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
