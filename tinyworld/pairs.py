"""Preference pairs made of the base model's own sampled captions, labelled by the truth of the scene.

Both responses of a pair mention equally many objects, so that no method gains by saying less. In an easy pair the
rejected response is an answer to another image; in a hard pair the responses differ in one object.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyworld.language import PROMPTS, caption, mentions
from tinyworld.render import png
from tinyworld.scenes import PRIORS, Scene, draw_scenes

SAMPLES = 6  # captions sampled of each scene


@dataclass(frozen=True)
class WorldPair:
    """A pair before label noise; qualities are the share of mentions that are true."""

    scene: int
    kind: str
    question: str
    chosen: str
    rejected: str
    true_chosen: float
    true_rejected: float


def quality(text: str, scene: Scene) -> float:
    """Share of the objects mentioned in ``text`` that ``scene`` shows; 0 where none is mentioned."""
    named = mentions(text)
    return sum(name in scene.names for name in named) / len(named) if named else 0.0


def make_pairs(
    scenes: Sequence[Scene], samples: Sequence[Sequence[str]], prompts: Sequence[str], *, easy_share: float, seed: int
) -> list[WorldPair]:
    """One pair of each scene that allows one; ``easy_share`` of the scenes get an easy pair."""
    rng = np.random.default_rng((seed, 3))
    by_length: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for i, texts in enumerate(samples):
        for text in texts:
            by_length[len(mentions(text))].append((i, text))
    easy = set(rng.permutation(len(scenes))[: round(easy_share * len(scenes))].tolist())
    found = []
    for i, scene in enumerate(scenes):
        best = max((t for t in samples[i] if mentions(t)), key=lambda t: quality(t, scene), default=None)
        if best is None:
            continue
        two = _foreign(i, scene, best, by_length, rng) if i in easy else _one_changed(scene, samples[i], rng)
        if two is not None:
            chosen, rejected = two
            qualities = quality(chosen, scene), quality(rejected, scene)
            found.append(WorldPair(i, "easy" if i in easy else "hard", prompts[i], chosen, rejected, *qualities))
    return found


def _foreign(
    index: int,
    scene: Scene,
    best: str,
    by_length: Mapping[int, Sequence[tuple[int, str]]],
    rng: np.random.Generator,
) -> tuple[str, str] | None:
    """The best answer, against an answer to another image that is worse and mentions as many objects."""
    others = by_length[len(mentions(best))]
    for k in rng.permutation(len(others)):
        j, text = others[k]
        if j != index and quality(text, scene) < quality(best, scene):
            return best, text
    return None


def _one_changed(scene: Scene, texts: Sequence[str], rng: np.random.Generator) -> tuple[str, str] | None:
    """A sampled answer, against itself with one object changed.

    A hallucinated object is replaced by a true one that was not mentioned (the sample is rejected); where there is
    none, a true one is replaced by one that is typical and absent (the sample is chosen).
    """
    options: list[tuple[str, str]] = []
    for text in texts:
        named = mentions(text)
        wrong = [name for name in named if name not in scene.names]
        missing = [name for name in scene.names if name not in named]
        if wrong and missing:
            better = _swap(named, str(rng.choice(wrong)), str(rng.choice(missing)))
            options.append((caption(scene.place, better, scene), caption(scene.place, named, scene)))
    if options:
        return options[rng.integers(len(options))]
    usual = scene.absent_typical
    for text in texts:
        named = mentions(text)
        right = [name for name in named if name in scene.names]
        fresh = [name for name in usual if name not in named]
        if right and fresh:
            prior = np.array([PRIORS[scene.place][name] for name in fresh])
            worse = _swap(named, str(rng.choice(right)), str(rng.choice(fresh, p=prior / prior.sum())))
            return caption(scene.place, named, scene), caption(scene.place, worse, scene)
    return None


def _swap(names: Sequence[str], old: str, new: str) -> list[str]:
    return [new if name == old else name for name in names]


def sampled_pairs(
    model: Any, processor: Any, count: int, *, easy_share: float, world_seed: int, split: int, name: str
) -> tuple[list[Scene], list[dict[str, Any]]]:
    """The scenes of a split and its pairs as rows: RLAIF-V's columns, and the truth in further ones.

    ``name`` is the directory of the images, relative to the file of the rows.
    """
    from tinyworld.llava import sample_captions

    scenes = draw_scenes(count, world_seed, split)
    chosen = np.random.default_rng((world_seed, split, 5)).integers(len(PROMPTS), size=count)
    prompts = [PROMPTS[i] for i in chosen]
    samples = sample_captions(model, processor, scenes, prompts, count=SAMPLES, seed=world_seed + split)
    pairs = make_pairs(scenes, samples, prompts, easy_share=easy_share, seed=world_seed + split)
    return scenes, [{"idx": i, "image": f"{name}/{p.scene}.png", **row_of(p)} for i, p in enumerate(pairs)]


def row_of(pair: WorldPair) -> dict[str, Any]:
    """The pair's columns apart from idx and image."""
    row = dataclasses.asdict(pair)
    del row["scene"]
    return {**row, "flipped": False}


def flip(rows: Sequence[Mapping[str, Any]], label_noise: float, seed: int) -> list[dict[str, Any]]:
    """``rows`` with chosen and rejected exchanged in exactly the share ``label_noise``, rounded.

    A larger share flips the same pairs and more. ``true_*`` go with their responses.
    """
    order = np.random.default_rng((seed, 4)).permutation(len(rows))
    flipped = set(order[: round(label_noise * len(rows))].tolist())
    return [_exchanged(row) if i in flipped else dict(row) for i, row in enumerate(rows)]


def _exchanged(row: Mapping[str, Any]) -> dict[str, Any]:
    swapped = {"chosen": row["rejected"], "rejected": row["chosen"]}
    truth = {"true_chosen": row["true_rejected"], "true_rejected": row["true_chosen"]}
    return {**row, **swapped, **truth, "flipped": True}


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_images(folder: Path, scenes: Sequence[Scene], rows: Sequence[Mapping[str, Any]]) -> None:
    """The pictures that ``rows`` name, ``folder/<index of the scene>.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in sorted({int(Path(row["image"]).stem) for row in rows}):
        (folder / f"{index}.png").write_bytes(png(scenes[index]))
