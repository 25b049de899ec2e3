"""AMBER against the official scorer's recorded outputs, and cases worked out by hand."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.amber import Amber
from benchmarks.common import amber_words
from benchmarks.common.amber_figures import round1, yes_no_verdict
from benchmarks.common.amber_words import Words, count_caption, exact_similarity, table_similarity
from harness.errors import DataError, UsageError
from harness.evaluation.trivial import trivial_figures
from harness.protocols.benchmark import Sample, Verdict
from tests.benchmarks.conftest import figures, judged, write_json
from tests.shared import shared

COUNTERS = {
    "chair_score": "hallucinated",
    "chair_num": "mentions",
    "safe_cover_score": "covered",
    "safe_cover_num": "truths",
    "hallu_cover_score": "imagined",
    "hallu_cover_num": "imaginable",
    "non_hallu_num": "captions",
}
BLOCKS = {
    "Descriminative Task": "",
    "Exsitence": "existence_",
    "Attribute": "attribute_",
    "State": "state_",
    "Number": "number_",
    "Action": "action_",
    "Relation": "relation_",
}


def tiny(root: Path, annotations: list[dict[str, Any]], relation: Mapping[str, list[str]]) -> Path:
    """A data directory with the given annotations, ids from 1."""
    rows = [{"id": i, **row} for i, row in enumerate(annotations, start=1)]
    queries = [{"id": row["id"], "image": f"AMBER_{row['id']}.jpg", "query": "?"} for row in rows]
    write_json(root / "annotations.json", rows)
    write_json(root / "query" / "query_all.json", queries)
    write_json(root / "relation.json", relation)
    (root / "safe_words.txt").write_text("snack\nline")
    return root


@pytest.fixture(scope="module")
def golden() -> tuple[dict[str, Any], dict[str, Any]]:
    folder = shared("golden/amber")
    return json.loads((folder / "inputs.json").read_text()), json.loads((folder / "expected.json").read_text())


@pytest.fixture
def official(nltk_data: None) -> tuple[Amber, dict[str, Sample]]:
    benchmark = Amber(similarity="exact", tagger="nltk")
    return benchmark, {sample.id: sample for sample in benchmark.load(shared("data/amber")).samples}


@pytest.mark.needs("reference")
@pytest.mark.parametrize("variant", ["exact", "table"])
def test_caption_counters_are_the_official_ones(
    variant: str, golden: tuple[dict[str, Any], dict[str, Any]], nltk_data: None, tmp_path: Path
) -> None:
    inputs, expected = golden
    write_json(tmp_path / "table.json", inputs["similarity_table"])
    similarity = f"table:{tmp_path / 'table.json'}" if variant == "table" else "exact"
    benchmark = Amber(similarity=similarity, tagger="nltk")
    samples = {sample.id: sample for sample in benchmark.load(shared("data/amber")).samples}
    counters = {str(row["id"]): row[variant] for row in expected["generative"]["per_sample_counters_without_0.001"]}
    for row in inputs["generative"]:
        values = judged(benchmark, samples[str(row["id"])], row["response"]).counts
        wanted = counters[str(row["id"])]
        assert {name: values[ours] for name, ours in COUNTERS.items()} == {name: wanted[name] for name in COUNTERS}
        assert 1 - values["hallucinating"] == wanted["non_hallu_score"]


@pytest.mark.needs("reference")
def test_yes_no_figures_are_what_the_official_scorer_prints(
    golden: tuple[dict[str, Any], dict[str, Any]], official: tuple[Amber, dict[str, Sample]]
) -> None:
    inputs, expected = golden
    benchmark, samples = official
    runs = {
        "clean": [(samples[str(row["id"])], row["response"]) for row in inputs["discriminative_clean"]],
        "full14216_all_no": [(s, "No") for s in samples.values() if s.data["kind"] != "generative"],
        "full14216_all_yes": [(s, "Yes") for s in samples.values() if s.data["kind"] != "generative"],
    }
    for name, answers in runs.items():
        values = figures(benchmark, [], [judged(benchmark, sample, answer) for sample, answer in answers])
        for block, printed in expected["discriminative"][name]["printed"].items():
            for figure, value in printed.items():
                stem = BLOCKS[block] + figure.lower()
                assert values[f"official_{stem}"] == value, (name, stem)
                assert values[stem] == pytest.approx(value, abs=0.1), (name, stem)  # the 0.001 can tip a rounding


@pytest.mark.needs("reference")
def test_a_single_sample_shows_the_official_counter_bias(
    golden: tuple[dict[str, Any], dict[str, Any]], official: tuple[Amber, dict[str, Sample]]
) -> None:
    benchmark, samples = official
    for case in golden[1]["edge_single_sample"]:
        values = figures(benchmark, [], [judged(benchmark, samples[str(case["id"])], case["response"])])
        for block, shown in case["printed"].items():
            printed = shown if isinstance(shown, dict) else {block: shown}
            stem = BLOCKS.get(block, "")
            assert {f: values[f"official_{stem}{f.lower()}"] for f in printed} == printed


@pytest.mark.needs("reference")
def test_the_official_files_are_known_as_such(official: tuple[Amber, dict[str, Sample]]) -> None:
    benchmark, samples = official
    assert len(samples) == 15220
    assert benchmark.load(shared("data/amber")).notes == []


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("Yes", "Yes"),
        ("no.", "No"),
        ("There is no dog", "No"),
        ("The answer is no.", "No"),
        ("Nope", "No"),
        ("Not visible", "No"),
        ("There is a dog", "Yes"),
        ("There is a cat", None),
        ("Nothing", None),
        ("", None),
        ("Yes/No", None),
    ],
)
def test_answers_are_read_as_every_benchmark_reads_yes_and_no(answer: str, read: str | None) -> None:
    verdict = yes_no_verdict("existence", True, answer, "Is there a dog in this image?")
    assert (verdict.details["read"], verdict.error) == (read, None)
    assert verdict.counts["existence_unread"] == (read is None)
    assert verdict.counts["official_existence_said_no"] == 0, "officially only No itself is a no"


def test_an_answer_that_cannot_be_read_is_wrong_and_counted(tmp_path: Path) -> None:
    """Truths no, no, yes, yes; answers No / "no, ..." / "Yes." / "Maybe": 3 of 4 right, officially 1.

    Silence buys nothing: two of two no and one of two yes questions are right, balanced accuracy 75. Of the three that
    say yes or no one says yes; one of four says neither.
    """
    rows = [{"type": "discriminative-attribute-state", "truth": truth} for truth in ("no", "no", "yes", "yes")]
    benchmark = Amber(similarity="exact", tagger="lexicon")
    samples = benchmark.load(tiny(tmp_path, rows, {"sky": []})).samples
    answers = ["No", "no, it is not", "Yes.", "Maybe"]
    verdicts = [judged(benchmark, s, a) for s, a in zip(samples, answers, strict=True)]
    assert [verdict.error for verdict in verdicts] == [None] * 4
    values = figures(benchmark, samples, verdicts)
    assert (values["accuracy"], values["precision"], values["recall"]) == (75, 100, 100)
    assert values["f1"] == pytest.approx(100 * 2 / 2.0001)
    assert (values["balanced_accuracy"], values["yes_ratio"], values["unread"]) == (75, pytest.approx(100 / 3), 25)
    assert values["attribute_accuracy"] == values["state_accuracy"] == 75
    assert values["official_accuracy"] == 25.0
    assert values["official_recall"] == 50.0
    assert math.isnan(values["relation_f1"]) and math.isnan(values["official_relation_f1"])
    assert math.isnan(values["chair"]) and math.isnan(values["official_hal"]) and math.isnan(values["amber_score"])


def test_verdicts_of_an_earlier_parser_give_their_figures_and_no_yes_ratio_that_they_did_not_count() -> None:
    """Truths no, yes; answers No and one that said neither, which was wrong then: accuracy 50, recalls 100 and 0."""
    counts = {"state_asked": 1.0, "state_truth_no": 1.0, "state_correct": 1.0, "state_said_no": 1.0, "state_hit": 1.0}
    official = {f"official_{name}": value for name, value in counts.items() if name.endswith(("correct", "no", "hit"))}
    verdicts = [Verdict({**counts, **official}), Verdict({"state_asked": 1.0})]
    values = figures(Amber(similarity="exact", tagger="lexicon"), [], verdicts)
    assert (values["accuracy"], values["balanced_accuracy"], values["official_accuracy"]) == (50, 50, 50.0)
    assert math.isnan(values["yes_ratio"]) and math.isnan(values["unread"])


@pytest.mark.needs("reference")
def test_the_trivial_answers_of_the_official_questions_score_what_the_official_scorer_gives_them(
    official: tuple[Amber, dict[str, Sample]],
) -> None:
    """9,427 of 14,216 are no: always No is right in 66.3 % with recall 100, F1 2 * .663 / 1.663 = 79.7."""
    benchmark, samples = official
    rows = list(samples.values())
    found = trivial_figures(benchmark, rows, benchmark.metrics(rows))
    assert list(found) == ["always Yes", "always No"]
    no, yes = found["always No"], found["always Yes"]
    assert (no["official_f1"], no["official_accuracy"], yes["official_f1"], yes["official_recall"]) == (
        79.7,
        66.3,
        0,
        0,
    )
    assert (no["balanced_accuracy"], yes["balanced_accuracy"]) == (50, 50)
    assert (no["yes_ratio"], yes["yes_ratio"]) == (0, 100)
    assert math.isnan(no["chair"]) and math.isnan(no["existence_balanced_accuracy"])


def test_the_first_association_takes_the_credit_and_duplicates_are_never_covered() -> None:
    """ "tree" is an association of "forest" listed before it: naming it covers "forest", never "tree"."""
    words = Words({"forest": ["tree"], "tree": [], "sky": []}, frozenset({"snack"}), exact_similarity)
    counts = count_caption(["tree", "tree", "Sky"], ["forest", "tree", "sky", "sky"], ["sky"], words)
    assert (counts.mentions, counts.hallucinated, counts.covered, counts.imagined) == (["tree", "tree"], [], 1, 0)
    assert count_caption(["tree", "forest"], ["forest", "tree"], [], words).covered == 1


def test_safe_words_stay_mentions_and_similar_words_are_forgiven() -> None:
    similar = table_similarity({("ship", "boat"): 0.81, ("dog", "cat"): 0.8})
    words = Words({w: [] for w in ("ship", "boat", "dog", "cat", "snack")}, frozenset({"snack"}), similar)
    counts = count_caption(["snack", "boat", "cat"], ["ship"], ["dog", "boat"], words)
    assert counts.hallucinated == ["cat"]  # 0.8 is not above the threshold
    assert (len(counts.mentions), counts.covered, counts.imagined) == (3, 1, 1)


def test_captions_are_scored_without_language_data(tmp_path: Path) -> None:
    """Two captions: mentions {dogs, cat} of which cat is wrong, and {dog}: CHAIR 1/3, Hal 1/2, Cover 2/2, Cog 1/2."""
    rows = [{"type": "generative", "truth": ["dog"], "hallu": ["cat"]}] * 2
    benchmark = Amber(similarity="exact", tagger="lexicon")
    samples = benchmark.load(tiny(tmp_path, rows, {"dog": [], "cat": []})).samples
    answers = ["Two dogs and a cat.", "A dog runs."]
    values = figures(benchmark, samples, [judged(benchmark, s, a) for s, a in zip(samples, answers, strict=True)])
    assert values["chair"] == pytest.approx(100 / 3)
    assert (values["hal"], values["cover"], values["cog"]) == (50, 100, 50)
    assert (values["mentions"], values["words"]) == (1.5, 4)
    assert samples[0].image is not None and samples[0].image.path == tmp_path / "image" / "AMBER_1.jpg"


def test_errors_name_the_file_and_the_row(tmp_path: Path) -> None:
    tiny(tmp_path, [{"type": "generative", "truth": "sky", "hallu": []}], {"sky": []})
    with pytest.raises(DataError, match=r"annotations\.json id 1: field 'truth' should be list"):
        Amber(tagger="lexicon").load(tmp_path)
    (tmp_path / "relation.json").unlink()
    with pytest.raises(DataError, match=r"relation\.json"):
        Amber(tagger="lexicon").load(tmp_path)
    with pytest.raises(UsageError, match="auto, exact, spacy, table:FILE"):
        Amber(similarity="cosine")


def test_spacy_similarity_is_strictly_above_the_threshold_and_asked_once_a_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {frozenset(("ship", "boat")): 0.81, frozenset(("dog", "cat")): 0.8}
    asked = []

    @dataclass
    class Document:
        text: str

        def similarity(self, other: Document) -> float:
            asked.append((self.text, other.text))
            return values.get(frozenset((self.text, other.text)), float(self.text == other.text))

    monkeypatch.setattr(amber_words, "load_spacy", lambda model: Document)
    similar = amber_words.spacy_similarity()
    pairs = (("ship", "boat"), ("boat", "ship"), ("dog", "cat"), ("dog", "dog"))
    assert [similar(*pair) for pair in pairs] == [True, True, False, True]
    similar("ship", "boat")
    assert len(asked) == 4


def test_auto_is_spacy_where_its_vectors_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"spacy", "en_core_web_lg"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in installed else None)
    assert amber_words.find_similarity("auto") == "spacy" == amber_words.find_similarity("spacy")
    installed.clear()
    assert amber_words.find_similarity("auto") == "exact"
    with pytest.raises(UsageError, match="python -m spacy download en_core_web_lg"):
        amber_words.find_similarity("spacy")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.json", '[["ship", "boat", 0.81]]'),
        ("t.jsonl", '{"a": "ship", "b": "boat", "similarity": 0.81}\n'),
        ("t.tsv", "ship\tboat\t0.81\n"),
    ],
)
def test_a_table_is_read_in_three_formats(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    similar = amber_words.load_similarity(f"table:{tmp_path / name}")
    assert similar("boat", "ship") and not similar("boat", "car")
    (tmp_path / name).write_text(text.replace("0.81", '"much"' if name != "t.tsv" else "much"))
    with pytest.raises(DataError, match="row 1: expected"):
        amber_words.load_similarity(f"table:{tmp_path / name}")


def by_the_letter(nouns: list[str], truth: list[str], hallu: list[str], words: Words) -> tuple[list[str], int, int]:
    """AMBER's rule step by step as its scorer walks it: (hallucinated, truth words credited, hallu words credited)."""
    lists = []
    for parents in (truth, hallu):
        entries = [(word, i) for i, parent in enumerate(parents) for word in words.associations[parent]]
        lists.append(entries + [(word, i) for i, word in enumerate(parents)])
    safe, bad = lists
    credited: tuple[set[int], set[int]] = (set(), set())
    hallucinated = []
    for noun in nouns:
        if noun in words.safe:
            continue
        first = next((i for word, i in safe if word == noun), None)
        if first is not None:
            credited[0].add(first)
            continue
        for test in (lambda word, noun=noun: word == noun, lambda word, noun=noun: words.similar(noun, word)):
            found = next((i for word, i in bad if test(word)), None)
            if found is not None:
                credited[1].add(found)
        fine = next((i for word, i in safe if words.similar(noun, word)), None)
        if fine is None:
            hallucinated.append(noun)
        else:
            credited[0].add(fine)
    return hallucinated, len(credited[0]), len(credited[1])


def test_any_caption_is_counted_by_the_letter() -> None:
    draw = random.Random(0)
    vocabulary = [f"w{i}" for i in range(14)]
    for _ in range(500):
        associations = {word: draw.choices(vocabulary, k=draw.randrange(3)) for word in vocabulary}
        pairs = {(a, b): draw.choice([0.5, 0.8, 0.81]) for a, b in itertools.combinations(vocabulary, 2)}
        similar = table_similarity({pair: pairs[pair] for pair in draw.sample(sorted(pairs), 6)})
        words = Words(associations, frozenset(draw.sample(vocabulary, 2)), similar)
        truth, hallu = (draw.choices(vocabulary, k=draw.randrange(5)) for _ in range(2))
        nouns = draw.choices(vocabulary, k=draw.randrange(10))
        counts = count_caption(nouns, truth, hallu, words)
        assert (counts.hallucinated, counts.covered, counts.imagined) == by_the_letter(nouns, truth, hallu, words)
        assert counts.mentions == nouns


def test_figures_are_rounded_as_python_rounds() -> None:
    ties = [k / 20 for k in range(2001)]  # 0.05, 0.15, ...: decimal ties that binary fractions only approach
    values = [*ties, *np.random.default_rng(0).uniform(0, 100, 5000).tolist(), 99.95, 66.65, 2.675]
    assert round1(np.array(values)).tolist() == [round(value, 1) for value in values]
    assert float(round1(0.25)) == 0.2 and np.isnan(round1(np.nan))
