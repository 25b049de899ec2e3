"""Scenes with known truth: which objects stand where, in which colour and number, and what is usual where.

Object names are COCO categories. Every place has objects that are typical of it; they co-occur, so that a model trained
on careless captions learns to name what is usual although it is absent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COLORS = ("red", "blue", "green", "yellow")
NUMBERS = ("one", "two")
PRIORS: dict[str, dict[str, float]] = {
    "street": {"car": 0.70, "person": 0.55, "bus": 0.45, "bicycle": 0.40, "truck": 0.35, "dog": 0.30},
    "kitchen": {"cup": 0.70, "bowl": 0.55, "oven": 0.50, "bottle": 0.40, "apple": 0.35, "banana": 0.30},
    "room": {"couch": 0.70, "chair": 0.55, "book": 0.45, "clock": 0.40, "cat": 0.35, "vase": 0.30},
    "field": {"horse": 0.70, "cow": 0.55, "sheep": 0.45, "bird": 0.40, "person": 0.35, "dog": 0.30},
    "beach": {"boat": 0.70, "umbrella": 0.55, "kite": 0.45, "person": 0.40, "bird": 0.35, "dog": 0.30},
}
"""Probability of each typical object in each place."""

ELSEWHERE = 0.03
"""Probability of an object where it is not typical."""

PLACES = tuple(PRIORS)
OBJECTS = tuple(dict.fromkeys(name for prior in PRIORS.values() for name in prior))
MOST_KINDS = 5
CELLS = 9  # a grid of 3 x 3, numbered row by row
TWICE = 0.2  # probability that an object stands there twice


@dataclass(frozen=True)
class Thing:
    """All objects of one kind in a scene: their common colour and the grid cells they stand in."""

    name: str
    color: str
    cells: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.cells)

    @property
    def column(self) -> float:
        """Mean column, 0 (left) to 2 (right)."""
        return sum(cell % 3 for cell in self.cells) / len(self.cells)


@dataclass(frozen=True)
class Scene:
    """A place and the things in it; ``seed`` fixes what rendering leaves to chance."""

    place: str
    things: tuple[Thing, ...]
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(thing.name for thing in self.things)

    @property
    def absent_typical(self) -> tuple[str, ...]:
        """Objects that are typical of the place and not there."""
        return tuple(name for name in PRIORS[self.place] if name not in self.names)


def is_typical(place: str, name: str) -> bool:
    """Whether ``name`` is one of the objects that co-occur in ``place``."""
    return name in PRIORS[place]


def draw_scene(rng: np.random.Generator) -> Scene:
    """One scene with 1 to 5 kinds of objects, from the priors of a random place."""
    place = PLACES[rng.integers(len(PLACES))]
    prior = np.array([PRIORS[place].get(name, ELSEWHERE) for name in OBJECTS])
    kinds: list[str] = []
    while not 1 <= len(kinds) <= MOST_KINDS:
        kinds = [name for name, there in zip(OBJECTS, rng.random(len(OBJECTS)) < prior, strict=True) if there]
    return Scene(place, place_things(kinds, rng), int(rng.integers(2**31)))


def place_things(kinds: list[str], rng: np.random.Generator) -> tuple[Thing, ...]:
    """Give every kind a colour, a number (1 or 2, while there is room) and cells of its own."""
    free = [int(cell) for cell in rng.permutation(CELLS)]
    things = []
    for left, name in zip(range(len(kinds), 0, -1), kinds, strict=True):
        count = 2 if rng.random() < TWICE and len(free) > left else 1
        cells = tuple(free.pop() for _ in range(count))
        things.append(Thing(name, COLORS[rng.integers(len(COLORS))], cells))
    return tuple(things)


def draw_scenes(count: int, *seed: int) -> list[Scene]:
    """``count`` scenes; equal seeds give equal scenes, and a shorter list is a prefix of a longer one."""
    rng = np.random.default_rng(seed)
    return [draw_scene(rng) for _ in range(count)]
