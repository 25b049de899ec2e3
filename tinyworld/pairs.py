"""Preference pairs made of the base model's own sampled captions, labelled by the truth of the scene.

Both responses of a pair mention equally many objects, so that no method gains by saying less. In an easy pair the
rejected response is an answer to another image; in a hard pair the responses differ in one object.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.protocols.progress import Progress, silent
from tinyworld.language import PROMPTS, caption, mentions
from tinyworld.render import png
from tinyworld.scenes import Scene, draw_scenes

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


def merit(text: str, scene: Scene) -> tuple[float, int]:
    """What makes a sample the chosen one: its quality, then how much it mentions.

    By quality alone the shortest would win, and alignment would teach to stop after a first true mention.
    """
    return quality(text, scene), len(mentions(text))


def make_pairs(
    scenes: Sequence[Scene], samples: Sequence[Sequence[str]], prompts: Sequence[str], *, easy_share: float, seed: int
) -> list[WorldPair]:
    """One pair of each scene that allows one; ``easy_share`` of the scenes get an easy pair."""
    rng = np.random.default_rng((seed, 3))
    alike: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)  # by place and number of mentions
    for i, texts in enumerate(samples):
        for text in texts:
            alike[scenes[i].place, len(mentions(text))].append((i, text))
    balance: Counter[tuple[str, str]] = Counter()
    easy = set(rng.permutation(len(scenes))[: round(easy_share * len(scenes))].tolist())
    pairs = []
    for i, scene in enumerate(scenes):
        best = max((t for t in samples[i] if mentions(t)), key=lambda t: merit(t, scene), default=None)
        if best is None:
            continue
        others = [text for j, text in alike[scene.place, len(mentions(best))] if j != i]
        two = _foreign(scene, best, others, rng) if i in easy else _one_changed(scene, samples[i], balance, rng)
        if two is not None:
            chosen, rejected = two
            qualities = quality(chosen, scene), quality(rejected, scene)
            pairs.append(WorldPair(i, "easy" if i in easy else "hard", prompts[i], chosen, rejected, *qualities))
    return pairs


def _foreign(scene: Scene, best: str, others: Sequence[str], rng: np.random.Generator) -> tuple[str, str] | None:
    """The best answer, against the least true of the answers to other images of such a place.

    An answer from another place would be rejected for its place alone, and teach to name what is usual in this one.
    """
    if not others:
        return None
    worst = min((others[k] for k in rng.permutation(len(others))), key=lambda text: quality(text, scene))
    return (best, worst) if quality(worst, scene) <= quality(best, scene) / 2 < quality(best, scene) else None


def _one_changed(
    scene: Scene, texts: Sequence[str], balance: Counter[tuple[str, str]], rng: np.random.Generator
) -> tuple[str, str] | None:
    """A sampled answer, against itself with one object changed, in chosen a true one and in rejected an absent one.

    The sample is rejected where its hallucination is replaced, chosen where a true mention is. Of all such pairs, the
    one that best keeps every object as often on the chosen as on the rejected side in its kind of place (``balance``,
    chosen less rejected): else the rejected side would hold the most usual objects, and alignment could lower the
    loss by naming what is rare, without a look at the image.
    """
    options = []
    for text in texts:
        named = mentions(text)
        missing = [name for name in scene.names if name not in named]
        fresh = [name for name in scene.absent_typical if name not in named]
        for name in named:
            there = name in scene.names
            options += [(named, name, true, name) for true in missing if not there]
            options += [(named, name, name, absent) for absent in fresh if there]
    if not options:
        return None
    lean = [balance[scene.place, true] - balance[scene.place, absent] for _, _, true, absent in options]
    best = [option for option, value in zip(options, lean, strict=True) if value == min(lean)]
    named, old, true, absent = best[rng.integers(len(best))]
    balance.update({(scene.place, true): 1})
    balance.subtract({(scene.place, absent): 1})
    # Absent objects are named in the number of what they replace: "Two" would give the chosen answer away.
    number = {absent: next(thing.count for thing in scene.things if thing.name == true)}
    chosen, rejected = ([new if name == old else name for name in named] for new in (true, absent))
    return caption(scene.place, chosen, scene), caption(scene.place, rejected, scene, number)


def sampled_pairs(
    model: Any,
    processor: Any,
    count: int,
    *,
    easy_share: float,
    world_seed: int,
    split: int,
    name: str,
    progress: Progress = silent,
) -> tuple[list[Scene], list[dict[str, Any]]]:
    """The scenes of a split and its pairs as rows: RLAIF-V's columns, and the truth in further ones.

    ``name`` is the directory of the images, relative to the file of the rows.
    """
    from tinyworld.llava import sample_captions

    scenes = draw_scenes(count, world_seed, split)
    chosen = np.random.default_rng((world_seed, split, 5)).integers(len(PROMPTS), size=count)
    prompts = [PROMPTS[i] for i in chosen]
    samples = sample_captions(
        model,
        processor,
        scenes,
        prompts,
        count=SAMPLES,
        seed=world_seed + split,
        progress=progress,
        step=f"tiny world: {name} pairs",
    )
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


def write_images(folder: Path, scenes: Sequence[Scene], rows: Sequence[Mapping[str, Any]]) -> None:
    """The pictures that ``rows`` name, ``folder/<index of the scene>.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in sorted({int(Path(row["image"]).stem) for row in rows}):
        (folder / f"{index}.png").write_bytes(png(scenes[index]))
