"""CHAIR's vocabulary and rules: COCO objects named by synonyms, compounds, and what an image shows.

Sources: LisaAnne/Hallucination (CHAIR, Rohrbach et al. 2018) as changed by RLAIF-V
`eval_gpt_obj_halbench.py` at 83d917b.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.files import read_text
from benchmarks.common.taggers import Tagger
from harness.errors import DataError

# The 80 COCO categories, each with a few obvious other names. Our own, and much shorter than the official
# synonyms_refine.txt (about 400 names), which is read from the data directory where it is there.
BUILT_IN = """
person, man, woman, boy, girl, child, people, player, rider
bicycle, bike
car, taxi, van
motorcycle, motorbike
airplane, plane, jet
bus
train
truck
boat, ship
traffic light, street light
fire hydrant, hydrant
stop sign
parking meter
bench
bird, duck, pigeon
cat, kitten
dog, puppy
horse, pony
sheep, lamb
cow, bull, calf
elephant
bear
zebra
giraffe
backpack
umbrella
handbag, purse
tie, bow tie
suitcase, luggage
frisbee
skis, ski
snowboard
sports ball, ball
kite
baseball bat
baseball glove
skateboard
surfboard
tennis racket, racket
bottle
wine glass
cup
fork
knife
spoon
bowl
banana
apple
sandwich, burger
orange
broccoli
carrot
hot dog
pizza
donut, doughnut
cake, cupcake
chair, seat, stool
couch, sofa
potted plant, houseplant
bed
dining table, table, desk
toilet
tv, television, monitor
laptop, laptop computer
mouse
remote, remote control
keyboard
cell phone, phone, smartphone
microwave
oven, stove
toaster
sink
refrigerator, fridge
book
clock
vase
scissors
teddy bear
hair drier, hairdryer
toothbrush
"""

ANIMALS = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "animal", "cub")
COMPOUNDS = {
    "home plate": "home plate",
    "train track": "train track",  # to themselves, hence outside the vocabulary: neither a plate nor a train
    **{f"{age} {animal}": animal for animal in ANIMALS for age in ("baby", "adult")},
    "passenger jet": "jet",
    "passenger train": "train",
    "bow tie": "tie",
    "toilet seat": "toilet",
    "wine glas": "wine glass",  # an older lemma of "wine glasses"
}


@dataclass(frozen=True)
class Synonyms:
    """The object vocabulary: ``classes`` maps every known name to its COCO category."""

    name: str
    classes: Mapping[str, str]
    doubles: tuple[str, ...] | None = None
    """The two-word names that are read as one word; None: all that the vocabulary has."""

    @functools.cached_property
    def compounds(self) -> Mapping[str, str]:
        """Two-word names that are read as one object, and what they become."""
        doubles = [name for name in self.classes if " " in name] if self.doubles is None else self.doubles
        return {**{name: name for name in doubles}, **COMPOUNDS}


def parse_synonyms(text: str, name: str) -> Synonyms:
    """One class a line: its COCO category name, then synonyms, separated by ", "."""
    classes: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        names = line.split(", ")
        classes.update({other.strip(): names[0].strip() for other in names})
    return Synonyms(name, classes)


def built_in_synonyms() -> Synonyms:
    """The project's own short table."""
    return parse_synonyms(BUILT_IN, f"built-in-{hashlib.sha256(BUILT_IN.encode()).hexdigest()[:8]}")


def read_synonyms(path: Path) -> Synonyms:
    """A table file in the official format."""
    text = read_text(path)
    synonyms = parse_synonyms(text, f"{path.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}")
    if not synonyms.classes:
        raise DataError(f"{path}: no object names; expected one class a line, names separated by commas.")
    return synonyms


OFFICIAL_DOUBLES = (
    *("motor bike", "motor cycle", "air plane", "traffic light", "street light", "traffic signal", "stop light"),
    *("fire hydrant", "stop sign", "parking meter", "suit case", "sports ball", "baseball bat", "baseball glove"),
    *("tennis racket", "wine glass", "hot dog", "cell phone", "mobile phone", "teddy bear", "hair drier"),
    *("potted plant", "laptop computer", "stove top oven"),
)


def read_synonyms_officially(path: Path) -> Synonyms:
    """A table file as LisaAnne/Hallucination `chair.py` reads it.

    REPRODUCE: a name keeps a blank before it (after two blanks in the file), so that no word of a caption is it; names
    of two words that are not in the script's own list are never joined.
    """
    rows = [line.strip().split(", ") for line in read_text(path).splitlines()]
    return Synonyms(f"{path.name}-official", {name: row[0] for row in rows for name in row}, OFFICIAL_DOUBLES)


def join_compounds(words: Sequence[str], compounds: Mapping[str, str]) -> list[str]:
    """Replace pairs of neighbouring words that are compounds, from left to right; other words stay."""
    joined, at = [], 0
    while at < len(words):
        pair = " ".join(words[at : at + 2])
        if pair in compounds and at + 1 < len(words):
            joined.append(compounds[pair])
            at += 2
        else:
            joined.append(words[at])
            at += 1
    return joined


def drop_toilet_seats(words: Sequence[str]) -> list[str]:
    """REPRODUCE: where a toilet is mentioned, no seat is a chair."""
    both = "toilet" in words and "seat" in words
    return [word for word in words if not (both and word == "seat")]


def caption_words(caption: str, synonyms: Synonyms, tagger: Tagger) -> list[str]:
    """The known object names in a text, in order, repetitions included (no grammar: "orange" is a fruit)."""
    words = drop_toilet_seats(join_compounds(tagger.lemmas(caption.lower()), synonyms.compounds))
    return [word for word in words if word in synonyms.classes]


def first_names(words: Iterable[str], synonyms: Synonyms) -> list[str]:
    """The first name of every object (category) that ``words`` name, in order."""
    first: dict[str, str] = {}
    for word in words:
        first.setdefault(synonyms.classes[word], word)
    return list(first.values())


def refine(objects: Iterable[str], synonyms: Synonyms, tagger: Tagger) -> list[str]:
    """Names listed by a judge as bare nouns ("two red wine glasses" -> "wine glass"), each once, in order.

    A name with a known compound gives that compound only; otherwise every run of nouns is one object, so that
    REPRODUCE: "tennis player" and "clock tower" are not in the vocabulary and count for nothing.
    """
    refined: list[str] = []
    for name in objects:
        refined += _compounds_in(name, synonyms, tagger) or _noun_runs(name, tagger)
    return list(dict.fromkeys(refined))


def _compounds_in(name: str, synonyms: Synonyms, tagger: Tagger) -> list[str]:
    lemmas = [token.lemma for token in tagger.parse(f"a {name}")]
    compounds, at = [], 0
    while at < len(lemmas) - 1:
        pair = f"{lemmas[at]} {lemmas[at + 1]}"
        if pair in synonyms.compounds:
            compounds.append(synonyms.compounds[pair])
            at += 1
        at += 1
    return compounds


def _noun_runs(name: str, tagger: Tagger) -> list[str]:
    runs: list[list[str]] = [[]]
    for token in tagger.parse(f"a {name}"):
        if token.is_noun:
            runs[-1].append(token.lemma)
        elif runs[-1]:
            runs.append([])
    return [" ".join(run) for run in runs if run]


def known_objects(words: Sequence[str], synonyms: Synonyms) -> list[str]:
    """Those of a judge's refined names that the vocabulary knows."""
    return [word for word in drop_toilet_seats(words) if word in synonyms.classes]


def image_truth(instances: Iterable[str], captions: Iterable[str], synonyms: Synonyms, tagger: Tagger) -> list[str]:
    """The COCO categories an image shows: boxes by category name, and what its captions mention; sorted."""
    classes = {synonyms.classes[name] for name in instances if name in synonyms.classes}
    for caption in captions:
        classes.update(synonyms.classes[word] for word in caption_words(caption, synonyms, tagger))
    return sorted(classes)
