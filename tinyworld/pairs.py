"""Preference pairs of the base model's own sampled captions and of yes/no questions, labelled by the scene's truth.

Both responses of a pair mention equally many objects, so that no method gains by saying less. In an easy pair the
rejected response is an answer to another image; in a hard pair the responses differ in one object; in a question's pair
they are "Yes" and "No".
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyworld.language import PROMPTS, caption, existence, mentions
from tinyworld.render import png
from tinyworld.scenes import Scene, is_typical

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
    scenes: Sequence[Scene],
    samples: Sequence[Sequence[str]],
    prompts: Sequence[str],
    *,
    easy_share: float,
    question_share: float,
    seed: int,
) -> list[WorldPair]:
    """One pair of each scene that allows one.

    ``question_share`` of the scenes are asked a yes/no question; of the others ``easy_share`` get an easy pair. Scenes
    that are asked need no samples.
    """
    rng = np.random.default_rng((seed, 3))
    kinds = pair_kinds(len(scenes), easy_share, question_share, seed)
    alike: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)  # by place and number of mentions
    for i, texts in enumerate(samples):
        for text in texts:
            alike[scenes[i].place, len(mentions(text))].append((i, text))
    balance: Counter[tuple[str, str]] = Counter()
    pairs = questioned([i for i, kind in enumerate(kinds) if kind == "question"], scenes, rng)
    for i, (scene, kind) in enumerate(zip(scenes, kinds, strict=True)):
        best = max((t for t in samples[i] if mentions(t)), key=lambda t: merit(t, scene), default=None)
        if best is None or kind == "question":
            continue
        others = [text for j, text in alike[scene.place, len(mentions(best))] if j != i]
        two = _foreign(scene, best, others, rng) if kind == "easy" else _one_changed(scene, samples[i], balance, rng)
        if two is not None:
            chosen, rejected = two
            qualities = quality(chosen, scene), quality(rejected, scene)
            pairs.append(WorldPair(i, kind, prompts[i], chosen, rejected, *qualities))
    return sorted(pairs, key=lambda pair: pair.scene)


def pair_kinds(count: int, easy_share: float, question_share: float, seed: int) -> list[str]:
    """What pair each of ``count`` scenes is for: "question", "easy" or "hard", in these shares."""
    asked = round(question_share * count)
    easy = round(easy_share * (count - asked))
    kinds = np.repeat(["question", "easy", "hard"], [asked, easy, count - asked - easy])
    return [str(kind) for kind in np.random.default_rng((seed, 6)).permutation(kinds)]


def questioned(numbers: Sequence[int], scenes: Sequence[Scene], rng: np.random.Generator) -> list[WorldPair]:
    """A question on existence to each of the scenes of these ``numbers``; the true answer is chosen.

    "Yes" is as often true as "No", of every object in each kind of place: else an answer could be known without a look
    at the image. None is on number, the negative control of AMBER's questions.
    """
    balance: Counter[tuple[str, str]] = Counter()
    pairs = []
    for number in numbers:
        scene = scenes[number]
        usual = [name for name in scene.names if is_typical(scene.place, name)]
        options = [(name, True) for name in usual] + [(name, False) for name in scene.absent_typical]
        lean = [balance[scene.place, name] * (1 if true else -1) for name, true in options]
        best = [option for option, value in zip(options, lean, strict=True) if value == min(lean)]
        name, true = best[rng.integers(len(best))]
        balance[scene.place, name] += 1 if true else -1
        asked = existence(name, true)
        pairs.append(WorldPair(number, "question", asked.question, asked.answer, "No" if true else "Yes", 1.0, 0.0))
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


def prompts_of(count: int, world_seed: int, split: int) -> list[str]:
    """How a caption of each of ``count`` scenes is asked for."""
    chosen = np.random.default_rng((world_seed, split, 5)).integers(len(PROMPTS), size=count)
    return [PROMPTS[i] for i in chosen]


def sampled(
    model_dir: Path, scenes: Mapping[int, Scene], prompts: Mapping[int, str], seed: Sequence[int]
) -> dict[int, list[str]]:
    """``SAMPLES`` captions of each of ``scenes``, by its number; run in a child process."""
    from tinyworld.llava import load, sample_captions

    model, processor = load(model_dir)
    drawn = int(np.random.SeedSequence(seed).generate_state(1)[0])
    asked = [prompts[i] for i in scenes]
    found = sample_captions(model, processor, list(scenes.values()), asked, count=SAMPLES, seed=drawn)
    return dict(zip(scenes, found, strict=True))


def rows_of(pairs: Sequence[WorldPair], name: str) -> list[dict[str, Any]]:
    """``pairs`` as rows: RLAIF-V's columns, and the truth in further ones.

    ``name`` is the directory of the images, relative to the file of the rows.
    """
    return [{"idx": i, "image": f"{name}/{pair.scene}.png", **row_of(pair)} for i, pair in enumerate(pairs)]


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
