"""Object HalBench against the official scorer's recorded outputs, and cases worked out by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from benchmarks import object_halbench
from benchmarks.common.chair import built_in_synonyms, caption_words, join_compounds, read_synonyms, refine
from benchmarks.common.object_replies import read_objects, read_objects_officially
from benchmarks.common.taggers import LexiconTagger, NltkTagger, Token
from benchmarks.object_halbench import ObjectHalBench
from harness.errors import DataError, UsageError
from harness.protocols.benchmark import JudgeParseError, Sample, Verdict
from harness.stats.agreement import alpha, coincidences
from tests.benchmarks.conftest import figures, judged, write_json, write_jsonl
from tests.shared import shared

OFFICIAL_NAMES = {"CHAIRs": "chair_s", "CHAIRs_refine": "chair_s_refine", "CHAIRi": "chair_i", "obj_rec": "recall"}


class RecordedTagger(NltkTagger):
    """NLTK, but the parses of a judge's object names are the recorded ones."""

    name = "recorded"

    def __init__(self, parses: dict[str, list[list[str]]]) -> None:
        super().__init__()
        self._parses = parses

    def parse(self, text: str) -> list[Token]:
        recorded = self._parses.get(text)
        return [Token(*token) for token in recorded] if recorded else super().parse(text)


@pytest.fixture(scope="module")
def golden() -> tuple[dict[str, Any], dict[str, Any]]:
    folder = shared("golden/object_halbench")
    return json.loads((folder / "inputs.json").read_text()), json.loads((folder / "expected.json").read_text())


def write_coco(root: Path, truths: Sequence[dict[str, Any]]) -> None:
    """The recorded ground truth as COCO 2014 files, rows with an even index in train, odd ones in val."""
    names = sorted({name for row in truths for name in row["instances"]})
    for split, rows in (("train2014", truths[::2]), ("val2014", truths[1::2])):
        boxes = [(row["image_id"], names.index(name)) for row in rows for name in row["instances"]]
        captions = [(row["image_id"], caption) for row in rows for caption in row["captions"]]
        instances = {
            "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
            "annotations": [{"image_id": image, "category_id": category} for image, category in boxes],
        }
        write_json(root / "annotations" / f"instances_{split}.json", instances)
        texts = {"annotations": [{"image_id": image, "caption": caption} for image, caption in captions]}
        write_json(root / "annotations" / f"captions_{split}.json", texts)


def data_dir(root: Path, inputs: dict[str, Any], single_file: bool) -> Path:
    rows = [{"question": row["prompt"], "image_id": row["image_id"]} for row in inputs["responses"]]
    write_jsonl(root / "questions.jsonl", rows)
    if single_file:
        write_jsonl(root / "ground_truth.jsonl", inputs["ground_truth"])
    else:
        write_coco(root, inputs["ground_truth"])
    (root / "synonyms_refine.txt").write_text(shared("data/object_halbench/synonyms_refine.txt").read_text())
    return root


def score(
    benchmark: ObjectHalBench, samples: Sequence[Sample], inputs: dict[str, Any]
) -> tuple[list[Verdict], dict[str, float]]:
    replies = {caption.replace("Assistant:", "").strip(): r for caption, r in inputs["gpt_replies_by_caption"].items()}
    verdicts = []
    for sample, row in zip(samples, inputs["responses"], strict=True):
        given = replies.get(row["text"].replace("Assistant:", "").strip(), [])
        verdicts.append(judged(benchmark, sample, row["text"], given))
    return verdicts, figures(benchmark, samples, verdicts)


@pytest.mark.needs("reference")
@pytest.mark.parametrize("single_file", [True, False])
def test_judge_mode_gives_the_official_figures(
    single_file: bool,
    golden: tuple[dict[str, Any], dict[str, Any]],
    nltk_data: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs, expected = golden
    tagger = RecordedTagger(inputs['spacy_parse_of_"a <obj>"'])
    monkeypatch.setattr(object_halbench, "find_name_tagger", lambda name: tagger)
    benchmark = ObjectHalBench()
    samples = benchmark.load(data_dir(tmp_path, inputs, single_file)).samples
    assert {sample.data["image_id"]: sample.data["truth"] for sample in samples} == expected["coco_gt_sets"]
    verdicts, values = score(benchmark, samples, inputs)
    overall = expected["gpt_mode"]["overall_metrics"]
    for theirs, ours in OFFICIAL_NAMES.items():
        assert values[f"official_{ours}"] == pytest.approx(100 * overall[theirs], abs=1e-9)
    assert values["words"] == pytest.approx(overall["avg_word_len"])
    assert values["official_nonhal_response"] == pytest.approx(100 * overall["correct_rate"])
    for sentence, verdict in zip(expected["gpt_mode"]["sentences"], verdicts, strict=True):
        if sentence["index"] != 40:  # {"objects": ["cake"]}: the official code reads the dictionary's keys
            assert verdict.details["mentions"] == [word for word, _ in sentence["mscoco_generated_words"]]
            assert verdict.details["hallucinated"] == [word for word, _ in sentence["mscoco_hallucinated_words"]]
    assert verdicts[40].details["mentions"] == ["cake"]
    assert values["official_unread"] == 0  # a recorded reply in a fence is read, and the one after it officially


@pytest.mark.needs("reference")
def test_text_mode_gives_the_official_figures(
    golden: tuple[dict[str, Any], dict[str, Any]], nltk_data: None, tmp_path: Path
) -> None:
    inputs, expected = golden
    benchmark = ObjectHalBench(extraction="text", tagger="nltk")
    assert not benchmark.needs_judge
    samples = benchmark.load(data_dir(tmp_path, inputs, single_file=True)).samples
    verdicts, values = score(benchmark, samples, inputs)
    overall = expected["text_mode_no_gpt"]["overall_metrics"]
    for theirs, ours in OFFICIAL_NAMES.items():
        assert values[ours] == pytest.approx(100 * overall[theirs], abs=1e-9)
    for sentence, verdict in zip(expected["text_mode_no_gpt"]["sentences"], verdicts, strict=True):
        assert verdict.details["mentions"] == [word for word, _ in sentence["mscoco_generated_words"]]


@pytest.mark.needs("reference")
def test_our_own_parses_agree_with_the_recorded_ones(
    golden: tuple[dict[str, Any], dict[str, Any]], nltk_data: None
) -> None:
    tagger = NltkTagger()
    for text, parse in golden[0]['spacy_parse_of_"a <obj>"'].items():
        assert tagger.parse(text) == [Token(*token) for token in parse], text


@pytest.mark.needs("reference")
def test_the_compound_table_is_the_official_one(golden: tuple[dict[str, Any], dict[str, Any]]) -> None:
    synonyms = read_synonyms(shared("data/object_halbench/synonyms_refine.txt"))
    assert dict(synonyms.compounds) == golden[1]["double_word_dict"]
    assert len(set(synonyms.classes.values())) == 80


@pytest.mark.needs("reference")
def test_replies_are_read_as_officially_but_for_what_is_no_list(
    golden: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for case in golden[1]["parse_object_list"]:
        result = case.get("result")
        strings = isinstance(result, list) and all(isinstance(name, str) for name in result)
        assert read_objects(case["content"]) == (result if strings else None), case
        if isinstance(result, dict):
            assert read_objects_officially(case["content"]) == list(result)


def world(root: Path) -> Sequence[Sample]:
    """Two images: a dog with a frisbee, and a toilet."""
    write_jsonl(root / "q.jsonl", [{"question": "Describe.", "image_id": "7"}, {"question": "And?", "image_id": 8}])
    truths = [
        {"image_id": 7, "instances": ["dog"], "captions": ["A dog leaps for a frisbee."]},
        {"image_id": 8, "instances": ["toilet"], "captions": []},
    ]
    write_jsonl(root / "ground_truth.jsonl", truths)
    return ObjectHalBench(tagger="lexicon").load(root).samples


def test_rates_worked_out_by_hand_without_language_data(tmp_path: Path) -> None:
    """Mentions: dog, cat (wrong) | toilet (its seat is no chair). Recall: 1 of 2 and 1 of 1 classes."""
    world(tmp_path)
    benchmark = ObjectHalBench(tagger="lexicon")
    samples = benchmark.load(tmp_path).samples
    assert [sample.data["truth"] for sample in samples] == [["dog", "frisbee"], ["toilet"]]
    answers = ["There are dogs and a cat here", "A toilet and its seat"]
    replies = ['["dogs", "black cat", "dogs"]', '["toilet", "seat"]']
    verdicts = [judged(benchmark, s, a, [r]) for s, a, r in zip(samples, answers, replies, strict=True)]
    values = figures(benchmark, samples, verdicts)
    assert (values["chair_s"], values["chair_s_refine"]) == (50, 50)
    assert values["chair_i"] == pytest.approx(100 / 3)
    assert values["recall"] == pytest.approx(200 / 3)
    assert values["nonhal_mention"] == pytest.approx(200 / 3)
    assert (values["mentions"], values["words"]) == (1.5, 6)


def test_short_answers_are_not_judged_and_name_nothing(tmp_path: Path) -> None:
    benchmark = ObjectHalBench(tagger="lexicon")
    world(tmp_path)
    sample = benchmark.load(tmp_path).samples[0]
    assert benchmark.judge_prompt(sample, "Assistant: a big cat", 0) is None
    verdict = benchmark.verdict(sample, "a big cat", ())
    assert (verdict.counts["naming"], verdict.counts["responses"]) == (0, 1)
    question = benchmark.judge_prompt(sample, "A cat {answer} sits there", 0)
    assert question is not None and "A cat {answer} sits there" in question.prompt
    assert (question.role, question.temperature, question.top_p, question.max_tokens) == ("system", 0.2, 1.0, 512)


def test_an_unreadable_judge_is_an_error_and_a_later_reply_counts(tmp_path: Path) -> None:
    benchmark = ObjectHalBench(tagger="lexicon")
    world(tmp_path)
    sample = benchmark.load(tmp_path).samples[0]
    with pytest.raises(JudgeParseError):
        benchmark.verdict(sample, "There is a cat here", ["null"])
    failed = judged(benchmark, sample, "There is a cat here", ["A cat.", "null"])
    assert failed.error is not None and not failed.counts
    read = judged(benchmark, sample, "There is a cat here", ["A cat.", '["cat"]'])
    assert read.error is None and read.counts["hallucinated"] == 1
    strict = ObjectHalBench(tagger="lexicon", parser="strict")
    assert judged(strict, sample, "There is a cat here", ["()", '["cat"]']).counts["hallucinated"] == 1
    letters = judged(benchmark, sample, "There is a cat here", ['{"dog": 1}', '["cat"]'])
    assert (letters.counts["hallucinated"], letters.counts["official_hallucinated"]) == (1, 0)


def test_compounds_and_compound_nouns() -> None:
    synonyms, tagger = built_in_synonyms(), LexiconTagger()
    assert len(set(synonyms.classes.values())) == 80
    assert refine(["toilet seat", "red bow tie", "wine glasses"], synonyms, tagger) == ["toilet", "tie", "wine glass"]
    assert refine(["tennis player", "clock tower"], synonyms, tagger) == ["tennis player", "clock tower"]
    assert join_compounds(["train", "track", "and", "train"], synonyms.compounds) == ["train track", "and", "train"]
    assert caption_words("A seat near the toilet; dogs, dogs.", synonyms, tagger) == ["toilet", "dog", "dog"]


def test_images_come_in_base64_by_path_or_not_at_all(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"jpeg bytes").decode()
    given = [{"image": encoded}, {"image_path": "images/7.png"}, {"image": "images/7.png"}, {}]
    rows = [{"question": "?", "image_id": 7, **row} for row in given]
    write_jsonl(tmp_path / "obj_halbench_300_with_image.jsonl", rows)
    write_jsonl(tmp_path / "ground_truth.jsonl", [{"image_id": "7", "instances": [], "captions": []}])
    images = [sample.image for sample in ObjectHalBench(tagger="lexicon").load(tmp_path).samples]
    assert images[0] is not None and images[0].read() == b"jpeg bytes"
    assert images[1] is not None and images[1].path == tmp_path / "images" / "7.png"
    assert images[2] == images[1] and images[3] is None


def test_errors_name_the_file_and_the_row(tmp_path: Path) -> None:
    benchmark = ObjectHalBench(tagger="lexicon")
    with pytest.raises(DataError, match=r"obj_halbench_300_with_image\.jsonl"):
        benchmark.load(tmp_path)
    write_jsonl(tmp_path / "q.jsonl", [{"question": "?", "image_id": 9}])
    with pytest.raises(DataError, match="no ground truth found"):
        benchmark.load(tmp_path)
    write_jsonl(tmp_path / "ground_truth.jsonl", [{"image_id": 1, "instances": [], "captions": []}])
    with pytest.raises(DataError, match=r"q\.jsonl line 1: image 9 has no ground truth"):
        benchmark.load(tmp_path)
    (tmp_path / "q.jsonl").write_text('{"question": "?", "image_id": 1}\nnot json\n')
    with pytest.raises(DataError, match=r"q\.jsonl line 2: not valid JSON"):
        benchmark.load(tmp_path)


@pytest.mark.needs("reference")
def test_unique_objects_of_the_text_are_nearer_to_the_judge_s(
    golden: tuple[dict[str, Any], dict[str, Any]], nltk_data: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the 42 recorded answers: Krippendorff's alpha (interval) of mentions against the judge's, and CHAIRi."""
    inputs, _ = golden
    tagger = RecordedTagger(inputs['spacy_parse_of_"a <obj>"'])
    monkeypatch.setattr(object_halbench, "find_name_tagger", lambda name: tagger)
    root, mentions, chair = data_dir(tmp_path, inputs, single_file=True), {}, {}
    for name, benchmark in {
        "judge": ObjectHalBench(),
        "words": ObjectHalBench(extraction="text", tagger="nltk"),
        "unique": ObjectHalBench(extraction="text", tagger="nltk", count="unique"),
    }.items():
        verdicts, values = score(benchmark, benchmark.load(root).samples, inputs)
        mentions[name], chair[name] = [v.counts["mentions"] for v in verdicts], values["chair_i"]
    agreement = {name: alpha_of(mentions["judge"], mentions[name]) for name in ("words", "unique")}
    assert agreement == pytest.approx({"words": 0.667, "unique": 0.775}, abs=0.001)
    assert chair == pytest.approx({"judge": 27.16, "words": 24.77, "unique": 27.55}, abs=0.01)


def alpha_of(one: Sequence[float], other: Sequence[float]) -> float:
    ratings = np.array([one, other]).T
    values = sorted({*one, *other})
    return float(alpha(coincidences(ratings, values).sum(axis=0), values, "interval"))


def test_an_object_is_counted_once_by_whatever_names(tmp_path: Path) -> None:
    """A man, a woman and a man are one person; two dogs are one, which is not there: 1 of 2 mentions is wrong."""
    write_jsonl(tmp_path / "ground_truth.jsonl", [{"image_id": 1, "instances": ["person"], "captions": []}])
    write_jsonl(tmp_path / "q.jsonl", [{"question": "Describe.", "image_id": 1}])
    answer = "A man and a woman walk a dog. The man looks at the dog."
    found = {}
    counts: tuple[Literal["words", "unique"], ...] = ("words", "unique")
    for count in counts:
        benchmark = ObjectHalBench(extraction="text", tagger="lexicon", count=count)
        (sample,) = benchmark.load(tmp_path).samples
        found[count] = judged(benchmark, sample, answer)
    assert found["words"].details["mentions"] == ["man", "woman", "dog", "man", "dog"]
    assert found["unique"].details["mentions"] == ["man", "dog"]
    assert [found["unique"].counts[name] for name in ("mentions", "hallucinated", "recalled")] == [2, 1, 1]
    words, unique = (ObjectHalBench(extraction="text", tagger="lexicon", count=c).version for c in counts)
    assert unique == f"{words} count=unique"


def test_unique_is_no_way_of_a_judge() -> None:
    with pytest.raises(UsageError, match="count=unique is of extraction=text"):
        ObjectHalBench(count="unique")
