"""CHAIR on COCO: objects that a description of a val2014 image mentions and the image does not show, read by rule.

Paper: Rohrbach et al. 2018 (EMNLP), "Object Hallucination in Image Captioning"; asked of vision-language models with
500 images and 64 or 512 new tokens (OPERA, VCD and those after them). Code: LisaAnne/Hallucination `utils/chair.py` at
6e4d33c, and `chair.py` of Maxlinn/CHAIR-metric-standalone at 640c507, the same rules with recall, which is what they
run. Which 500 images is not published: they are drawn with a seed, or named in a file.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from benchmarks.common import files
from benchmarks.common.chair import (
    Synonyms,
    built_in_synonyms,
    caption_words,
    image_truth,
    read_synonyms,
    read_synonyms_officially,
)
from benchmarks.common.chair_figures import chair_metrics, chair_verdict, length_metrics
from benchmarks.common.coco import ANNOTATIONS, IMAGE_FOLDERS, image_folder, image_ids, image_key, read_facts, val_file
from benchmarks.common.llava_protocol import LlavaProtocol
from benchmarks.common.sources import COCO_IMAGES, GITHUB
from benchmarks.common.taggers import Tagger, TaggerName, find_tagger, resolve
from harness.errors import DataError
from harness.protocols.benchmark import BENCHMARKS, Benchmark, BenchmarkData, Decoding, Metric, Sample, Verdict
from harness.protocols.conversation import Image
from harness.protocols.official import unofficial
from harness.util.fetching import AnySource, Listed, Source
from harness.util.ranges import at_least

PROMPT = "Please describe this image in detail."
SYNONYMS = "synonyms.txt"
OFFICIAL_SYNONYMS = "text:b685537b36fe21b791c87151b96a991ceb582edff19f3da204dcc7a7905502f2"
NAMED = ("chair_images.json", "chair_images.txt")
IMAGES = 500
DECODING = Decoding(max_new_tokens=512)
FIGURES = ("chair_s", "chair_i", "recall")


def image_urls(folder: Path) -> dict[str, str]:
    """The homes of the images that the default settings, or the file of ids in ``folder``, ask about."""
    names = [val_file(key) for key in _chosen(folder, IMAGES, 0)]
    return {name: f"{COCO_IMAGES}/val2014/{name}" for name in names}


SOURCES: tuple[AnySource, ...] = (
    Source(
        SYNONYMS,
        f"{GITHUB}/LisaAnne/Hallucination/6e4d33c4bedf6dfcd24c61bf527f40714717be47/data/{SYNONYMS}",
        OFFICIAL_SYNONYMS,
        "BSD-2-Clause",
    ),
    Source(
        "annotations_trainval2014.zip",
        ANNOTATIONS,
        "",
        "CC BY 4.0",
        unpack=tuple((f"*{kind}_val2014.json", "annotations") for kind in ("captions", "instances")),
        gives=tuple(f"annotations/{kind}_val2014.json" for kind in ("captions", "instances")),
    ),
    Listed(IMAGE_FOLDERS[0], "images of COCO val2014", image_urls, IMAGE_FOLDERS[1:]),
)


@dataclass(frozen=True)
class Resources:
    """The vocabularies, ours and the official one, and what reduces words to them."""

    synonyms: Synonyms
    official: Synonyms
    tagger: Tagger


@dataclass(frozen=True, kw_only=True)
class ChairCoco(LlavaProtocol, Benchmark):
    """CHAIR on COCO. The papers' two lengths are ``decoding.max_new_tokens``: 512 and 64.

    Settings:
        images: how many images of val2014 are drawn; all that chair_images.json or .txt in the data directory names,
            where it is there.
        seed: of the draw.
        tagger: reduces words to their singular; officially NLTK's words and pattern's singularize.
    """

    name: ClassVar[str] = "chair_coco"
    paper: ClassVar[str] = "https://arxiv.org/abs/1809.02156"
    title: ClassVar[str] = "CHAIR (COCO)"
    headline: ClassVar[tuple[str, ...]] = (*FIGURES, "mentions", "words")
    primary: ClassVar[str] = "chair_i"
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    tradeoff: ClassVar[tuple[str, str]] = ("chair_i", "recall")
    metric_titles: ClassVar[Mapping[str, str]] = {"chair_s": "CHAIRs", "chair_i": "CHAIRi"}
    attempts: ClassVar[int] = 1

    images: Annotated[int, at_least(1)] = IMAGES
    seed: int = 0
    tagger: TaggerName = "auto"
    decoding: Decoding = DECODING

    @property
    def version(self) -> str:
        return f"chair_coco-1 tagger={resolve(self.tagger)}"

    @property
    def mode(self) -> str:
        return "caption words, no judge"

    def load(self, root: Path) -> BenchmarkData:
        """One question an image, ids as COCO's ("42"); the truth of each image is in its sample's data."""
        keys = _chosen(root, self.images, self.seed)
        facts = read_facts(root, set(keys))
        table = files.find(root, SYNONYMS)
        synonyms = read_synonyms(table) if table else built_in_synonyms()
        official = read_synonyms_officially(table) if table else synonyms
        resources = Resources(synonyms, official, find_tagger(self.tagger, _vocabulary(synonyms)))
        tagger, folder = resources.tagger, image_folder(root)
        digest = hashlib.sha256(f"{synonyms.name} {tagger.name}".encode()).hexdigest()[:16]
        samples = []
        for key in keys:
            if key not in facts:
                raise DataError(f"{root}: image {key} has no ground truth; expected it in COCO's val2014 files.")
            shown = facts[key].instances, facts[key].captions
            truths = [image_truth(*shown, each, tagger) for each in (synonyms, official)]
            data = {"truth": truths[0], "official_truth": truths[1], "synonyms": synonyms.name, "words": digest}
            samples.append(Sample(key, PROMPT, Image(path=folder / val_file(key)), data, key, resources))
        notes = files.count_note("images", len(samples), IMAGES) + files.notes(root, {(SYNONYMS,): OFFICIAL_SYNONYMS})
        differing = unofficial(
            ("words", tagger.name, "nltk-punkt, pattern's singularize"),
            files.official_part("synonyms", table, OFFICIAL_SYNONYMS, SYNONYMS, synonyms.name),
        )
        return BenchmarkData(samples, self.version, differing, notes)

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        official, ours = (
            chair_verdict(caption_words(answer, synonyms, sample.resources.tagger), sample.data[truth], synonyms)
            for truth, synonyms in (
                ("official_truth", sample.resources.official),
                ("truth", sample.resources.synonyms),
            )
        )
        counts = {f"official_{name}": value for name, value in official.counts.items()}
        return Verdict({**ours.counts, **counts, "words": float(len(answer.split()))}, details=ours.details)

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        plain, official = ({metric.name: metric for metric in chair_metrics(prefix)} for prefix in ("", "official_"))
        return [
            *(plain[name] for name in FIGURES),
            *length_metrics(),
            *(official[f"official_{name}"] for name in FIGURES),
        ]


def _chosen(root: Path, count: int, seed: int) -> list[str]:
    """The ids that a file names, in its order, or ``count`` of the images of val2014, in the order of their numbers."""
    named = files.find(root, *NAMED)
    if named is not None:
        return _named(named)
    known = sorted(image_ids(root), key=lambda key: (len(key), key))
    if count > len(known):
        raise DataError(f"{root}: it has {len(known)} images, fewer than images={count}; use a smaller --set images=N.")
    chosen = set(random.Random(seed).sample(known, count))
    return [key for key in known if key in chosen]


def _named(path: Path) -> list[str]:
    """The ids of a JSON list or of a text with one a line: 42, or the file's name."""
    given = files.read_json(path) if path.suffix == ".json" else files.read_text(path).split()
    if not (isinstance(given, list) and given and all(type(each) in (int, str) for each in given)):
        raise DataError(f"{path}: expected COCO image ids or file names, a JSON list or one a line.")
    keys = [image_key(each) for each in given]
    strange = next((key for key in keys if not key.isdecimal()), None)
    twice = next((key for key, count in Counter(keys).items() if count > 1), None)
    if strange is not None or twice is not None:
        fault = f"{strange!r} is no COCO image id" if strange is not None else f"image {twice} stands there twice"
        raise DataError(f"{path}: {fault}.")
    return keys


def _vocabulary(synonyms: Synonyms) -> set[str]:
    """The single words that names of the table are made of."""
    return {word for name in (*synonyms.classes, *synonyms.compounds) for word in name.split()}


BENCHMARKS.register("chair_coco", ChairCoco)
