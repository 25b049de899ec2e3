"""One table a benchmark: a few answers, every metric, and the arithmetic beside it; through `score --json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cli
from tests.benchmarks.conftest import write_json, write_jsonl


def scored(
    root: Path,
    benchmark: str,
    answers: Mapping[str, str],
    replies: Sequence[Mapping[str, Any]] = (),
    settings: Sequence[str] = (),
) -> tuple[dict[str, float | None], tuple[int, int, int]]:
    """Every figure of ``score --json`` on the data in ``root``, and n, n_scored, n_failed."""
    write_jsonl(root / "answers.jsonl", [{"id": id_, "response": text} for id_, text in answers.items()])
    words = ["score", "--benchmark", benchmark, "--data-dir", str(root), "--responses", str(root / "answers.jsonl")]
    if replies:
        write_jsonl(root / "replies.jsonl", replies)
        words += ["--replies", str(root / "replies.jsonl")]
    for setting in settings:
        words += ["--set", setting]
    outcome = CliRunner().invoke(cli, [*words, "--db", str(root / "r.sqlite"), "--json"])
    assert outcome.exit_code in (0, 3), (outcome.output, outcome.exception)
    result = json.loads(outcome.stdout)
    figures = {name: figure["value"] for name, figure in result["metrics"].items()}
    return figures, (result["n"], result["n_scored"], result["n_failed"])


def replies_of(replies: Mapping[str, Sequence[str]], run: int = 0) -> list[dict[str, Any]]:
    return [{"id": id_, "run": run, "reply": reply} for id_, texts in replies.items() for reply in texts]


def test_object_halbench(tmp_path: Path) -> None:
    """Truth: dog, frisbee | toilet | cat | car. Named: dog, cat (wrong) | toilet | nothing | nothing (too short).

    CHAIRs = 100 * 1 / 4, over answers that name something 100 * 1 / 2; CHAIRi = 100 * 1 / 3; recall = 100 * 2 / 5;
    mentions 3 / 4, words (7 + 5 + 4 + 2) / 4. Officially the third judge's dictionary names a cat, which is there:
    100 * 1 / 4, 100 * 1 / 3, 100 * 1 / 4, 100 * 3 / 5.
    """
    truths = [["dog", "frisbee"], ["toilet"], ["cat"], ["car"]]
    write_jsonl(tmp_path / "q.jsonl", [{"question": "Describe.", "image_id": i} for i in range(4)])
    rows = [{"image_id": i, "instances": truth, "captions": []} for i, truth in enumerate(truths)]
    write_jsonl(tmp_path / "ground_truth.jsonl", rows)
    texts = ["There are dogs and a cat here", "A toilet and its seat", "I see nothing here", "A cat"]
    replies = {"0": ['["dogs", "black cat", "dogs"]'], "1": ['["toilet", "seat"]'], "2": ['{"cat": 1}', "[]"]}
    answers = {str(i): text for i, text in enumerate(texts)}
    figures, counts = scored(tmp_path, "object_halbench", answers, replies_of(replies), ["tagger=lexicon"])
    assert counts == (4, 4, 0)
    assert figures == {
        "chair_s": 25,
        "chair_s_refine": 50,
        "chair_i": pytest.approx(100 / 3),
        "recall": 40,
        "nonhal_response": 50,
        "nonhal_mention": pytest.approx(200 / 3),
        "mentions": 0.75,
        "words": 4.5,
        "official_chair_s": 25,
        "official_chair_s_refine": pytest.approx(100 / 3),
        "official_chair_i": 25,
        "official_recall": 60,
        "official_nonhal_response": pytest.approx(200 / 3),
        "official_nonhal_mention": 75,
        "official_unread": 0,
    }


AMBER = [
    # type, truth (and what is often imagined), answer
    ("generative", (["dog", "ball"], ["cat", "bird"]), "Two dogs and a cat."),
    ("generative", (["tree"], ["bird"]), "A tree."),
    ("discriminative-hallucination", "no", "No"),
    ("discriminative-hallucination", "no", "Yes"),
    ("discriminative-attribute-state", "no", "no."),
    ("discriminative-attribute-state", "yes", "Yes"),
    ("relation", "yes", "No"),
]


def amber(root: Path) -> dict[str, float | None]:
    rows: list[dict[str, Any]] = []
    for number, (kind, truth, _) in enumerate(AMBER, start=1):
        said = {"truth": truth} if isinstance(truth, str) else {"truth": truth[0], "hallu": truth[1]}
        rows.append({"id": number, "type": kind, **said})
    write_json(root / "annotations.json", rows)
    queries = [{"id": row["id"], "image": f"AMBER_{row['id']}.jpg", "query": "?"} for row in rows]
    write_json(root / "query_all.json", queries)
    write_json(root / "relation.json", {word: [] for word in ("dog", "ball", "cat", "bird", "tree")})
    (root / "safe_words.txt").write_text("picture\n")
    answers = {str(number): answer for number, (_, _, answer) in enumerate(AMBER, start=1)}
    figures, counts = scored(root, "amber", answers, settings=["similarity=exact", "tagger=lexicon"])
    assert counts == (7, 7, 0)
    return figures


def block(figures: Mapping[str, float | None], stem: str) -> list[float | None]:
    return [figures[stem + name] for name in ("accuracy", "precision", "recall", "f1")]


def test_amber(tmp_path: Path) -> None:
    """Captions mention dog, cat (wrong), tree: CHAIR = 100 * 1 / 3; truth words dog and tree of 3; cat of 3 imagined.

    Of five questions No, no., Yes are right: 60 %; "No" was said three times, rightly twice, and three truths are
    "no", so precision and recall are 2 / 3, and F1 from both rounded to 66.7 % is 2 * 0.667 * 0.667 / (1.334 + 0.0001).
    Existence: one of two right, precision 1 / 1, recall 1 / 2, F1 = 2 * 1 * 0.5 / (1.5 + 0.001). Relation: the one
    truth is "yes", so there is no recall and no F1.
    """
    figures, nothing = amber(tmp_path), [None] * 4
    f1 = 100 * 2 * 0.667 * 0.667 / 1.3341
    plain = {name: figures[name] for name in ("chair", "cover", "hal", "cog", "mentions", "words", "amber_score")}
    assert plain == {
        "chair": pytest.approx(100 / 3),
        "cover": pytest.approx(200 / 3),
        "hal": 50,
        "cog": pytest.approx(100 / 3),
        "mentions": 1.5,
        "words": 3.5,
        "amber_score": pytest.approx((100 - 100 / 3 + f1) / 2),
    }
    assert block(figures, "") == [60, pytest.approx(200 / 3), pytest.approx(200 / 3), pytest.approx(f1)]
    assert block(figures, "existence_") == [50, 100, 50, pytest.approx(100 / 1.501)]
    assert block(figures, "attribute_") == block(figures, "state_") == [100, 100, 100, pytest.approx(200 / 2.0001)]
    assert block(figures, "number_") == block(figures, "action_") == nothing
    assert block(figures, "relation_") == [0, 0, None, None]


def test_amber_officially(tmp_path: Path) -> None:
    """ "no." is read as neither, each denominator is 0.001 too large, and everything is rounded to 0.1.

    All: 2 / 5.001, 1 / 2.001, 1 / 3.001, F1 = 2 * 0.5 * 0.333 / (0.833 + 0.0001). Existence: 1 / 2.001, 1 / 1.001,
    F1 = 2 * 0.999 * 0.5 / (1.499 + 0.001). Attribute: 1 / 2.003. Captions: 1 / 3.001, 2 / 3.001, 100 - 1 / 2.001.
    """
    figures = amber(tmp_path)
    captions = [figures[f"official_{name}"] for name in ("chair", "cover", "hal", "cog", "amber_score")]
    assert captions == [33.3, 66.6, 50.0, 33.3, pytest.approx((100 - 33.3 + 40.0) / 2)]
    assert block(figures, "official_") == [40.0, 50.0, 33.3, 40.0]
    assert block(figures, "official_existence_") == [50.0, 99.9, 50.0, 66.6]
    assert block(figures, "official_attribute_") == [49.9, 0.0, 0.0, 0.0]
    assert block(figures, "official_state_") == [50.0, 0.0, 0.0, 0.0]
    assert block(figures, "official_relation_") == [0.0, 0.0, 0.0, 0.0]
    assert block(figures, "official_number_") == block(figures, "official_action_") == [None] * 4


def test_mmhal(tmp_path: Path) -> None:
    """Ratings 6, 2, 3 and none: score 11 / 3; one of three below 3; informative 3, 2, 0 of 3: 100 * 5 / 9.

    Officially none is 0: score 11 / 4; two of four below 3; informative 100 * 5 / 12.
    """
    kinds = ("attribute", "relation", "relation", "other")
    rows = [
        {"question_type": kind, "question": "What?", "gt_answer": "A dog.", "image_content": ["Dog"]} for kind in kinds
    ]
    write_json(tmp_path / "response_template.json", rows)
    replies = {"0": ["Rating: 6"], "1": ["Rating: 2"], "2": ["Rating: 3"], "3": ["I cannot say.", "No."]}
    figures, counts = scored(tmp_path, "mmhal", {str(i): "A dog." for i in range(4)}, replies_of(replies))
    assert counts == (4, 3, 1)
    unasked = ("adversarial", "comparison", "counting", "environment", "holistic")
    assert figures == {
        "score": pytest.approx(11 / 3),
        "hallucination_rate": pytest.approx(100 / 3),
        "informativeness": pytest.approx(500 / 9),
        "score_attribute": 6,
        "score_relation": 2.5,
        "score_other": None,
        "official_score": 2.75,
        "official_hallucination_rate": 50,
        "official_informativeness": pytest.approx(500 / 12),
        "official_score_attribute": 6,
        "official_score_relation": 2.5,
        "official_score_other": 0,
        **{f"{prefix}score_{kind}": None for prefix in ("", "official_") for kind in unasked},
    }


def test_mm_vet(tmp_path: Path) -> None:
    """Grades of two runs: ocr 0.5, 1; math and ocr 0, 0.5; rec none, 1.

    Total: (0.5 + 0) / 2 = 25 % and (1 + 0.5 + 1) / 3 = 83.3 %, so 54.2 on average and (83.3 - 25) / 2 either side of
    it. Officially none is 0: 0.5 / 3 = 16.7 % and 83.3 %, so 50 and 33.3 either side.
    """
    sets = {"v1_0": ["ocr"], "v1_1": ["ocr", "math"], "v1_2": ["rec"]}
    rows = {
        id_: {"imagename": f"{id_}.png", "question": "?", "answer": "x", "capability": of} for id_, of in sets.items()
    }
    write_json(tmp_path / "mm-vet.json", rows)
    first = {"v1_0": ["0.5"], "v1_1": ["0.0"], "v1_2": ["none"] * 6}
    second = {"v1_0": ["1.0"], "v1_1": ["0.5"], "v1_2": ["1.0"]}
    replies = replies_of(first) + replies_of(second, run=1)
    figures, counts = scored(tmp_path, "mm_vet", dict.fromkeys(sets, "x"), replies)
    assert counts == (3, 2, 1)
    plain = {"ocr": 50, "math": 25, "rec": 100, "set_ocr": 75, "set_math+ocr": 25, "set_rec": 100}
    official = {**plain, "rec": 50, "set_rec": 50}
    empty = ("know", "gen", "spat")
    assert figures == {
        "total": pytest.approx((25 + 250 / 3) / 2),
        "total_std": pytest.approx((250 / 3 - 25) / 2),
        **plain,
        "official_total": pytest.approx(50),
        "official_total_std": pytest.approx(100 / 3),
        **{f"official_{name}": value for name, value in official.items()},
        **{f"{prefix}{name}": None for prefix in ("", "official_") for name in empty},
    }


def test_llava_bench(tmp_path: Path) -> None:
    """Scores of reference and answer: conv 8 6, detail 10 5, complex none.

    All: mean 9 and 5.5, so 100 * 5.5 / 9. Officially none is -1 -1: (8 + 10 - 1) / 3 = 5.667 and 3.333, rounded to
    three decimals before 100 * 3.333 / 5.667.
    """
    kinds = ("conv", "detail", "complex")
    questions = [{"question_id": i, "image": "a.jpg", "category": kind, "text": "?"} for i, kind in enumerate(kinds)]
    write_jsonl(tmp_path / "questions.jsonl", questions)
    write_jsonl(tmp_path / "context.jsonl", [{"image": "a.jpg", "caption": "A hill."}])
    write_jsonl(tmp_path / "answers_gpt4.jsonl", [{"question_id": i, "text": "A hill."} for i in range(3)])
    replies = {"0": ["8 6\nFine."], "1": ["10 5"], "2": ["Both are good.", "Both."]}
    figures, counts = scored(tmp_path, "llava_bench", {str(i): "A hill." for i in range(3)}, replies_of(replies))
    assert counts == (3, 2, 1)
    read = {"conv": 75, "conv_reference": 80, "conv_answer": 60}
    read |= {"detail": 50, "detail_reference": 100, "detail_answer": 50}
    assert figures == {
        "all": pytest.approx(550 / 9),
        "all_std": 0,
        "all_reference": 90,
        "all_answer": 55,
        **read,
        **dict.fromkeys(("complex", "complex_reference", "complex_answer")),
        "official_all": pytest.approx(100 * 3.333 / 5.667, abs=1e-12),
        "official_all_std": 0,
        "official_all_reference": pytest.approx(170 / 3),
        "official_all_answer": pytest.approx(100 / 3),
        **{f"official_{name}": value for name, value in read.items()},
        "official_complex": 100,
        "official_complex_reference": -10,
        "official_complex_answer": -10,
    }


def test_pope(tmp_path: Path) -> None:
    """random: TP 2, FN 2, FP 1, TN 1: F1 = 4 / 7, accuracy 3 / 6, precision 2 / 3, recall 2 / 4, yes 3 / 6.

    popular: TP 1, TN 1, and an answer that says neither, which officially is a false yes: F1 = 2 / 3, accuracy 2 / 3.
    """
    said = {"random": [("yes", "Yes"), ("yes", "Yes."), ("yes", "No"), ("yes", "no"), ("no", "Yes"), ("no", "No")]}
    said["popular"] = [("yes", "Yes"), ("no", "No"), ("no", "Hm")]
    answers: dict[str, str] = {}
    for split, pairs in said.items():
        rows = [{"question_id": i, "image": "a", "text": "?", "label": label} for i, (label, _) in enumerate(pairs)]
        write_jsonl(tmp_path / f"coco_pope_{split}.json", rows)
        answers |= {f"{split}:{i}": answer for i, (_, answer) in enumerate(pairs)}
    figures, counts = scored(tmp_path, "pope", answers)
    assert counts == (9, 8, 1)
    names = ("f1", "accuracy", "precision", "recall", "yes_ratio")
    table = {split: [figures[f"{split}_{name}"] for name in names] for split in (*said, "adversarial")}
    assert table == {
        "random": [pytest.approx(400 / 7), 50, pytest.approx(200 / 3), 50, 50],
        "popular": [100, 100, 100, 100, 50],
        "adversarial": [None] * 5,
    }
    assert figures["f1"] == pytest.approx((400 / 7 + 100) / 2)
    official = [figures[f"official_popular_{name}"] for name in names]
    assert official == [pytest.approx(200 / 3), pytest.approx(200 / 3), 50, 100, pytest.approx(200 / 3)]
    assert [figures[f"official_random_{name}"] for name in names] == table["random"]
    assert figures["official_f1"] == pytest.approx((400 / 7 + 200 / 3) / 2)
