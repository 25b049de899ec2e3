"""AMBER: captions scored by word lists, and yes/no questions on existence, attributes and relations. No judge.

Paper: Wang et al., 2023, "AMBER: An LLM-free Multi-dimensional Benchmark for MLLMs Hallucination Evaluation".
Code: junyangwang0410/AMBER at 534babf. Plain metrics differ from the official ones in two ways: answers to yes/no
questions are read by their first word (official: exactly "Yes" or "No"), and nothing is rounded or biased but the
precision and recall inside F1. The official figures stand beside them as ``official_*``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks import files
from benchmarks.amber_words import Words, count_caption, find_similarity, load_similarity
from benchmarks.nouns import Tagger, TaggerName, find_tagger, resolve
from harness.benchmark import (
    BENCHMARKS,
    Decoding,
    Image,
    Metric,
    Question,
    Sample,
    Sums,
    Verdict,
    ratio,
)
from harness.errors import DataError

Array = NDArray[np.float64]

KINDS = {
    "discriminative-hallucination": "existence",
    "discriminative-attribute-state": "state",
    "discriminative-attribute-number": "number",
    "discriminative-attribute-action": "action",
    "discriminative-relation": "relation",
    "relation": "relation",
}
# Each block of yes/no figures pools some kinds; "" is all of them.
BLOCKS = {
    "": ("existence", "state", "number", "action", "relation"),
    "existence": ("existence",),
    "attribute": ("state", "number", "action"),
    "state": ("state",),
    "number": ("number",),
    "action": ("action",),
    "relation": ("relation",),
}
QUERIES = ("query/query_all.json", "query_all.json")
OFFICIAL_FILES = {
    ("annotations.json",): "db22a436c4836fbb295e60b4e80d519573077579fb7032f01b193c1bd022b797",
    QUERIES: "127680ae61f7d4a92d2f7f07a8deaec07f0689b194d2c7c0f41ead7bd2c5bcf5",
    ("relation.json",): "c4c1491e9bbc3209abc1888c12a1bf8413bdbab8a0d8be04b990a2e7680cf23e",
    ("safe_words.txt",): "f92cf1123f4578a2630832fac3e6ac4de36212ea55859d3bed4fd233723f4043",
}
OFFICIAL_ROWS = 15220
DECODING = Decoding(max_new_tokens=1024)  # greedy; the official repository names no settings
COUNTER_START = 0.001  # metrics.txt: every *_num starts here


@dataclass(frozen=True, kw_only=True)
class Amber:
    """AMBER.

    Settings:
        similarity: how two different words are told to mean the same: ``spacy`` (official: en_core_web_lg),
            ``exact`` (never), ``table:FILE`` (pairs worked out elsewhere), ``auto`` (spacy if installed, else exact).
        tagger: what finds the nouns; official is ``nltk``.
    """

    name: ClassVar[str] = "amber"
    paper: ClassVar[str] = "https://arxiv.org/abs/2311.07397"
    needs_judge: ClassVar[bool] = False
    attempts: ClassVar[int] = 1
    judge_runs: ClassVar[int] = 1

    similarity: str = "auto"
    tagger: TaggerName = "auto"
    decoding: Decoding = DECODING
    _read: dict[str, tuple[Words, Tagger]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        find_similarity(self.similarity)  # a wrong setting fails here, not after an hour of answers

    @property
    def version(self) -> str:
        return f"amber-1 tagger={resolve(self.tagger)} similarity={find_similarity(self.similarity).partition(':')[0]}"

    @property
    def mode(self) -> str:
        return f"first-word yes/no, {find_similarity(self.similarity).partition(':')[0]} similarity"

    def samples(self, root: Path) -> list[Sample]:
        """Captions and questions in the order of the query file; ids and images as there.

        Reads annotations.json, query_all.json (or query/query_all.json), relation.json and safe_words.txt.
        """
        annotations = files.need(root, "annotations.json", what="AMBER's annotations")
        queries = files.need(root, *QUERIES, what="AMBER's queries")
        truths = {str(row.get("id")): row for row in files.read_rows(annotations)}
        digest = self._load_words(root)
        folder = root / "image" if (root / "image").is_dir() or not (root / "images").is_dir() else root / "images"
        samples = []
        for number, row in enumerate(files.read_rows(queries)):
            where = f"{queries} row {number}"
            id_ = str(files.field_of(row, "id", (int, str), where))
            if id_ not in truths:
                raise DataError(f"{where}: id {id_} has no row in {annotations}.")
            image = files.field_of(row, "image", str, where)
            data = self._truth(truths[id_], f"{annotations} id {id_}", digest)
            prompt = files.field_of(row, "query", str, where)
            samples.append(Sample(id_, prompt, Image(path=folder / image), data, group=image))
        return samples

    def _load_words(self, root: Path) -> str:
        """Read the word lists; they are remembered under the digest that every caption's sample carries."""
        relation = files.need(root, "relation.json", what="AMBER's associations")
        safe = files.need(root, "safe_words.txt", what="AMBER's safe words")
        associations = files.read_json(relation)
        if not isinstance(associations, dict):
            raise DataError(f"{relation}: expected an object of word -> list of words.")
        associations = {word: files.strings_of(associations, word, str(relation)) for word in associations}
        safe_words = frozenset(files.read_text(safe).split())
        setting = find_similarity(self.similarity)
        kind, _, table = setting.partition(":")
        parts = [files.sha256(relation), files.sha256(safe), kind]
        words = Words(associations, safe_words, load_similarity(setting))
        digest = hashlib.sha256("".join([*parts, files.sha256(Path(table)) if table else ""]).encode()).hexdigest()[:16]
        self._read[digest] = (words, find_tagger(self.tagger, words.vocabulary))
        return digest

    def _truth(self, row: Mapping[str, Any], where: str, digest: str) -> dict[str, Any]:
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

    def question(self, sample: Sample, answer: str, attempt: int) -> Question | None:
        return None

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        if sample.data["kind"] == "generative":
            return self._caption_verdict(sample.data, answer)
        return yes_no_verdict(sample.data["kind"], sample.data["truth"] == "no", answer)

    def _caption_verdict(self, data: Mapping[str, Any], answer: str) -> Verdict:
        words, tagger = self._read[data["words"]]
        counts = count_caption(tagger.nouns(answer), data["truth"], data["hallu"], words)
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

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        return self.verdict(sample, answer, replies)  # no judge, hence nothing to be unreadable

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        return _caption_metrics() + _yes_no_metrics() + _scores() + _lengths()

    def data_notes(self, root: Path) -> list[str]:
        path = files.find(root, *QUERIES)
        rows = len(files.read_rows(path)) if path else 0
        return files.notes(root, OFFICIAL_FILES) + files.count_note("query_all.json", rows, OFFICIAL_ROWS)


def normalise(answer: str) -> str:
    """ "Yes" or "No" where that is the first word, in any case; else the answer as it is (wrong, and not a "No")."""
    first = re.match(r"\W*(yes|no)\b", answer, re.IGNORECASE)
    return first[1].capitalize() if first else answer


def yes_no_verdict(kind: str, truth_is_no: bool, answer: str) -> Verdict:
    """Counts of one answer, read leniently and as the official scorer does; "No" is the positive class."""
    values = {f"{kind}_asked": 1.0, f"{kind}_truth_no": float(truth_is_no)}
    # REPRODUCE in official_*: only exactly "Yes" and "No" are read.
    for prefix, said in (("", normalise(answer)), ("official_", answer)):
        said_no = said == "No"
        values[f"{prefix}{kind}_correct"] = float(said == ("No" if truth_is_no else "Yes"))
        values[f"{prefix}{kind}_said_no"] = float(said_no)
        values[f"{prefix}{kind}_hit"] = float(said_no and truth_is_no)
    return Verdict(values, details={"read": normalise(answer)})


_round1 = np.vectorize(lambda value: round(value, 1), otypes=[float])  # Python's rounding, as in the official code


def _pooled(sums: Sums, kinds: Sequence[str], counter: str, prefix: str = "") -> Array:
    return np.asarray(sum(sums[f"{prefix}{kind}_{counter}"] for kind in kinds))


def _percent(above: Array, below: Array) -> Array:
    return np.where(below > 0, 100.0 * above / np.where(below > 0, below, 1.0), np.nan)


def _f1(precision: Array, recall: Array, block: str) -> Array:
    """F1 in percent; REPRODUCE: from precision and recall rounded to 0.1 %, with a small number below."""
    p, r = _round1(precision) / 100, _round1(recall) / 100
    return np.asarray(100 * 2 * p * r / (p + r + (0.001 if block == "existence" else 0.0001)))


def _figures(sums: Sums, block: str) -> dict[str, Array]:
    """accuracy, precision, recall and f1 of a block; precision is 0 where nobody said "No" (as official)."""
    kinds = BLOCKS[block]
    asked, truth_no = _pooled(sums, kinds, "asked"), _pooled(sums, kinds, "truth_no")
    correct, said_no, hit = (_pooled(sums, kinds, counter) for counter in ("correct", "said_no", "hit"))
    recall = _percent(hit, truth_no)
    precision = np.where((asked > 0) & (said_no == 0), 0.0, _percent(hit, said_no))
    f1 = _f1(precision, recall, block)
    return {"accuracy": _percent(correct, asked), "precision": precision, "recall": recall, "f1": f1}


def _official_figures(sums: Sums, block: str) -> dict[str, Array]:
    """The same as the official scorer prints it.

    REPRODUCE: every denominator starts at 0.001 (the attribute block pools three), every figure is rounded to 0.1.
    """
    kinds = BLOCKS[block]
    start = COUNTER_START * (len(kinds) if block == "attribute" else 1)
    asked, truth_no = _pooled(sums, kinds, "asked"), _pooled(sums, kinds, "truth_no")
    correct, said_no, hit = (_pooled(sums, kinds, counter, "official_") for counter in ("correct", "said_no", "hit"))
    out = {
        "accuracy": _round1(100 * (correct / (asked + start))),
        "precision": _round1(100 * (hit / (said_no + start))),
        "recall": _round1(100 * (hit / (truth_no + start))),
    }
    out["f1"] = _round1(_f1(out["precision"], out["recall"], block))
    return {name: np.where(asked > 0, value, np.nan) for name, value in out.items()}


def _yes_no_metrics() -> list[Metric]:
    metrics = []
    for prefix, figures in (("", _figures), ("official_", _official_figures)):
        for block in BLOCKS:
            stem = prefix + (f"{block}_" if block else "")
            for figure in ("accuracy", "precision", "recall", "f1"):
                metrics.append(Metric(stem + figure, _one_of(figures, block, figure), True))
    return metrics


def _one_of(figures: Callable[[Sums, str], dict[str, Array]], block: str, figure: str) -> Callable[[Sums], Array]:
    return lambda sums: figures(sums, block)[figure]


CAPTION_FIGURES = {
    "chair": ("hallucinated", "mentions", False),
    "cover": ("covered", "truths", True),
    "hal": ("hallucinating", "captions", False),
    "cog": ("imagined", "imaginable", False),
}


def _official_caption(figure: str) -> Callable[[Sums], Array]:
    above, below, _ = CAPTION_FIGURES[figure]

    def of(sums: Sums) -> Array:
        if figure == "hal":  # REPRODUCE: 100 - share of clean captions, so the 0.001 works the other way
            clean = sums["captions"] - sums["hallucinating"]
            value = 100 - 100 * (clean / (sums["captions"] + COUNTER_START))
        else:
            value = 100 * (sums[above] / (sums[below] + COUNTER_START))
        return np.where(sums["captions"] > 0, _round1(value), np.nan)

    return of


def _caption_metrics() -> list[Metric]:
    plain = [Metric(name, ratio(above, below), better) for name, (above, below, better) in CAPTION_FIGURES.items()]
    return plain + [Metric(f"official_{n}", _official_caption(n), up) for n, (_, _, up) in CAPTION_FIGURES.items()]


def _scores() -> list[Metric]:
    """AMBER Score = ((100 - CHAIR) + F1) / 2, F1 over all yes/no questions (the paper; not in the code)."""
    chair, official_chair = ratio("hallucinated", "mentions"), _official_caption("chair")
    return [
        Metric("amber_score", lambda sums: (100 - chair(sums) + _figures(sums, "")["f1"]) / 2, True),
        Metric(
            "official_amber_score",
            lambda sums: (100 - official_chair(sums) + _official_figures(sums, "")["f1"]) / 2,
            True,
        ),
    ]


def _lengths() -> list[Metric]:
    return [Metric(name, ratio(name, "captions", scale=1.0), None, unit="per answer") for name in ("mentions", "words")]


BENCHMARKS.register("amber", Amber)
