"""AMBER: captions scored by word lists, and yes/no questions on existence, attributes and relations. No judge.

Paper: Wang et al., 2023, "AMBER: An LLM-free Multi-dimensional Benchmark for MLLMs Hallucination Evaluation".
Code: junyangwang0410/AMBER at 534babf. Plain metrics differ from the official ones in two ways: answers to yes/no
questions are read by their first word (official: exactly "Yes" or "No"), and nothing is rounded or biased but the
precision and recall inside F1. The official figures stand beside them as ``official_*``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.common import files
from benchmarks.common.amber_figures import (
    caption_metrics,
    length_metrics,
    score_metrics,
    yes_no_metrics,
    yes_no_verdict,
)
from benchmarks.common.amber_words import Words, count_caption, find_similarity, load_similarity
from benchmarks.common.sources import APACHE, GITHUB
from benchmarks.common.taggers import OFFICIAL_NLTK, Tagger, TaggerName, find_tagger, resolve
from benchmarks.common.yes_no import PARSER
from benchmarks.common.yes_no_figures import BALANCED, TITLES, TRIVIAL_ANSWERS, UNREAD, YES_RATIO
from harness.errors import DataError
from harness.protocols.benchmark import (
    BENCHMARKS,
    Benchmark,
    BenchmarkData,
    Decoding,
    Metric,
    Sample,
    Verdict,
)
from harness.protocols.conversation import Image
from harness.protocols.official import unofficial
from harness.util.digests import sha256
from harness.util.fetching import AnySource, Manual, Source

KINDS = {
    "discriminative-hallucination": "existence",
    "discriminative-attribute-state": "state",
    "discriminative-attribute-number": "number",
    "discriminative-attribute-action": "action",
    "discriminative-relation": "relation",
    "relation": "relation",
}
QUERIES = ("query/query_all.json", "query_all.json")
OFFICIAL_FILES = {
    ("annotations.json",): "text:db22a436c4836fbb295e60b4e80d519573077579fb7032f01b193c1bd022b797",
    QUERIES: "text:127680ae61f7d4a92d2f7f07a8deaec07f0689b194d2c7c0f41ead7bd2c5bcf5",
    ("relation.json",): "text:c4c1491e9bbc3209abc1888c12a1bf8413bdbab8a0d8be04b990a2e7680cf23e",
    ("safe_words.txt",): "text:f92cf1123f4578a2630832fac3e6ac4de36212ea55859d3bed4fd233723f4043",
}
OFFICIAL_ROWS = 15220
DECODING = Decoding(max_new_tokens=1024)  # greedy; the official repository names no settings
REPOSITORY = f"{GITHUB}/junyangwang0410/AMBER/534babf6bbfcce2e735c26289dedfb21cef3c939/data"
SOURCES: tuple[AnySource, ...] = (
    *(Source(names[0], f"{REPOSITORY}/{names[0]}", pin, APACHE) for names, pin in OFFICIAL_FILES.items()),
    Manual(
        "image",
        "the 1,004 images AMBER_1.jpg to AMBER_1004.jpg",
        "https://drive.google.com/file/d/1MaCHgtupcZUjf007anNl4_MV0o4DjXvl",
        "The images are on Google Drive, which gives large files to a browser only.",
    ),
)


@dataclass(frozen=True)
class CaptionRules:
    """What captions are scored by, read with the data; ``digest`` names it in every caption's sample."""

    words: Words
    tagger: Tagger
    digest: str


@dataclass(frozen=True, kw_only=True)
class Amber(Benchmark):
    """AMBER.

    Settings:
        similarity: what decides that two different words mean the same: ``spacy`` (official: en_core_web_lg),
            ``exact`` (never), ``table:FILE`` (pairs worked out elsewhere), ``auto`` (spacy if installed, else exact).
        tagger: what finds the nouns; official is ``nltk``.
    """

    name: ClassVar[str] = "amber"
    paper: ClassVar[str] = "https://arxiv.org/abs/2311.07397"
    title: ClassVar[str] = "AMBER"
    headline: ClassVar[tuple[str, ...]] = ("chair", "cover", "hal", "cog", "f1", BALANCED, YES_RATIO, "mentions")
    primary: ClassVar[str] = "chair"
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    suites: ClassVar[tuple[str, ...]] = ("hallucination",)
    ability: ClassVar[str] = BALANCED
    tradeoff: ClassVar[tuple[str, str]] = ("chair", "cover")
    metric_titles: ClassVar[Mapping[str, str]] = {"chair": "CHAIR", "f1": "F1", **TITLES, UNREAD: "Unread"}
    trivial_answers: ClassVar[Mapping[str, str]] = TRIVIAL_ANSWERS
    attempts: ClassVar[int] = 1

    similarity: str = "auto"
    tagger: TaggerName = "auto"
    decoding: Decoding = DECODING

    def __post_init__(self) -> None:
        find_similarity(self.similarity)  # a wrong setting fails here, not after an hour of answers

    @property
    def version(self) -> str:
        similarity = find_similarity(self.similarity).partition(":")[0]
        return f"amber-1 {PARSER} tagger={resolve(self.tagger)} similarity={similarity}"

    @property
    def mode(self) -> str:
        return f"yes or no read, neither is wrong, {find_similarity(self.similarity).partition(':')[0]} similarity"

    def load(self, root: Path) -> BenchmarkData:
        """Captions and questions in the order of the query file; ids and images as there.

        Reads annotations.json, query_all.json (or query/query_all.json), relation.json and safe_words.txt.
        """
        annotations = files.need(root, "annotations.json", what="AMBER's annotations")
        queries = files.need(root, *QUERIES, what="AMBER's queries")
        truths = {str(row.get("id")): row for row in files.read_rows(annotations)}
        rules = self._caption_rules(root)
        folder = root / "image" if (root / "image").is_dir() or not (root / "images").is_dir() else root / "images"
        samples = []
        for number, row in enumerate(files.read_rows(queries)):
            where = f"{queries} row {number}"
            id_ = str(files.field_of(row, "id", (int, str), where))
            if id_ not in truths:
                raise DataError(f"{where}: id {id_} has no row in {annotations}.")
            image = files.field_of(row, "image", str, where)
            data = _truth(truths[id_], f"{annotations} id {id_}", rules.digest)
            prompt = files.field_of(row, "query", str, where)
            resources = rules if data["kind"] == "generative" else None
            samples.append(Sample(id_, prompt, Image(path=folder / image), data, image, resources))
        notes = files.notes(root, OFFICIAL_FILES) + files.count_note("query_all.json", len(samples), OFFICIAL_ROWS)
        similarity = find_similarity(self.similarity).partition(":")[0]
        lists = {"associations": "relation.json", "safe words": "safe_words.txt"}
        differing = unofficial(
            ("nouns", rules.tagger.name, OFFICIAL_NLTK),
            ("similarity", similarity, "spacy"),
            *(files.official_part(what, root / name, OFFICIAL_FILES[name,], name, "") for what, name in lists.items()),
        )
        return BenchmarkData(samples, self.version, differing, notes)

    def _caption_rules(self, root: Path) -> CaptionRules:
        """Read the word lists, which are similar as the setting says."""
        relation = files.need(root, "relation.json", what="AMBER's associations")
        safe = files.need(root, "safe_words.txt", what="AMBER's safe words")
        associations = files.read_json(relation)
        if not isinstance(associations, dict):
            raise DataError(f"{relation}: expected an object of word -> list of words.")
        associations = {word: files.strings_of(associations, word, str(relation)) for word in associations}
        safe_words = frozenset(files.read_text(safe).split())
        setting = find_similarity(self.similarity)
        kind, _, table = setting.partition(":")
        digests = [sha256(relation), sha256(safe), kind]
        words = Words(associations, safe_words, load_similarity(setting))
        digest = hashlib.sha256("".join([*digests, sha256(Path(table)) if table else ""]).encode()).hexdigest()[:16]
        return CaptionRules(words, find_tagger(self.tagger, words.vocabulary), digest)

    def part(self, sample: Sample) -> str:
        return str(sample.data["kind"])

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        if sample.data["kind"] == "generative":
            return _caption_verdict(sample.data, sample.resources, answer)
        return yes_no_verdict(sample.data["kind"], sample.data["truth"] == "no", answer, sample.prompt)

    def trivial_verdict(self, sample: Sample, answer: str) -> Verdict | None:
        return self.verdict(sample, answer, []) if sample.data.get("kind") in KINDS.values() else None

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        return caption_metrics() + yes_no_metrics() + score_metrics() + length_metrics()


def _truth(row: Mapping[str, Any], where: str, digest: str) -> dict[str, Any]:
    kind = files.field_of(row, "type", str, where)
    if kind == "generative":
        truth, hallu = files.strings_of(row, "truth", where), files.strings_of(row, "hallu", where)
        return {"kind": "generative", "truth": truth, "hallu": hallu, "words": digest}
    if kind not in KINDS:
        raise DataError(f"{where}: type {kind!r} is not one of AMBER's: generative, {', '.join(KINDS)}.")
    truth = files.field_of(row, "truth", str, where)
    if truth not in ("yes", "no"):
        raise DataError(f'{where}: truth should be "yes" or "no", found {truth!r}.')
    return {"kind": KINDS[kind], "truth": truth}


def _caption_verdict(data: Mapping[str, Any], rules: CaptionRules, answer: str) -> Verdict:
    counts = count_caption(rules.tagger.nouns(answer), data["truth"], data["hallu"], rules.words)
    values = {
        "captions": 1.0,
        "mentions": float(len(counts.mentions)),
        "hallucinated": float(len(counts.hallucinated)),
        "hallucinating": float(bool(counts.hallucinated)),
        "covered": float(counts.covered),
        "truths": float(len(data["truth"])),
        "imagined": float(counts.imagined),
        "imaginable": float(len(data["hallu"])),
        "words": float(len(answer.split())),
    }
    return Verdict(values, details={"mentions": counts.mentions, "hallucinated": counts.hallucinated})


BENCHMARKS.register("amber", Amber)
