"""Official prompts out of official scripts: here made-up scripts, since the real ones are not part of this project."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import mmhal, object_halbench
from benchmarks.common import files
from benchmarks.common.official import OfficialPrompt, string_literal
from benchmarks.mmhal import MMHal
from benchmarks.object_halbench import ObjectHalBench
from harness.errors import DataError
from harness.evaluation.resolve import make_benchmark
from harness.protocols.official import UNOFFICIAL, differing, level, unofficial
from tests.benchmarks.conftest import write_json, write_jsonl
from tests.benchmarks.test_mmhal import row
from tests.shared import shared

OBJECTS = "Objects?\nQ {question}\nA {answer}\n"
RATING = "Contents {}\nQ {}\nHuman {}\nAnswer {}\n"


def script(variable: str, text: str) -> str:
    return f"import spacy\nraise SystemExit('run')\n{variable} = '''{text}'''\n"


@pytest.fixture
def halbench(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "q.jsonl", [{"question": "What {answer} is it?", "image_id": 1}])
    write_jsonl(tmp_path / "ground_truth.jsonl", [{"image_id": 1, "instances": ["dog"], "captions": []}])
    return tmp_path


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up prompts count as the official ones."""
    for module, text in ((object_halbench, OBJECTS), (mmhal, RATING)):
        found: OfficialPrompt = module.OFFICIAL_PROMPT  # type: ignore[attr-defined]
        digest = hashlib.sha256(text.encode()).hexdigest()
        monkeypatch.setattr(module, "OFFICIAL_PROMPT", OfficialPrompt(found.scripts, found.variable, digest))


@pytest.mark.needs("reference")
def test_the_known_digests_are_those_of_the_official_scripts() -> None:
    for folder, key, module in (
        ("object_halbench", "prompt_template_sha256", object_halbench),
        ("mmhal_bench", "template_sha256", mmhal),
    ):
        expected: dict[str, Any] = json.loads((shared("golden") / folder / "expected.json").read_text())
        assert module.OFFICIAL_PROMPT.sha256 == expected[key]  # type: ignore[attr-defined]


def test_object_halbench_asks_as_the_script_does_and_its_version_says_so(halbench: Path, known: None) -> None:
    (halbench / "eval").mkdir()
    (halbench / "eval" / "eval_gpt_obj_halbench.py").write_text(script("prompt_template", OBJECTS))
    official, own = ObjectHalBench(tagger="lexicon"), ObjectHalBench(tagger="lexicon", prompt="own")
    data = official.load(halbench)
    (sample,) = data.samples
    question = official.judge_prompt(sample, "Assistant: a {question} of dogs ", 0)
    assert question is not None
    # As by str.replace: first the question, whose braces the answer then fills.
    assert question.prompt == "Objects?\nQ What a {question} of dogs is it?\nA a {question} of dogs\n"
    assert "prompt=official-" in data.version and data.info["prompt"]["source"] == "eval_gpt_obj_halbench.py"
    theirs = own.load(halbench)
    assert "prompt=own-objects-1" in theirs.version and "own wording" in theirs.info["prompt"]["source"]
    assert "prompt=auto" in official.version, "loading changes nothing in the benchmark"
    assert official.load(halbench) == data


def test_mmhal_fills_the_four_places_in_order(tmp_path: Path, known: None) -> None:
    write_json(tmp_path / "response_template.json", [row("other", question="What {}?")])
    (tmp_path / "eval_gpt4.py").write_text(script("template", RATING))
    benchmark = MMHal(prompt="official")
    data = benchmark.load(tmp_path)
    question = benchmark.judge_prompt(data.samples[0], "Assistant: {0} ", 0)
    assert question is not None
    assert question.prompt == "Contents Dog, Tree\nQ What {}?\nHuman A dog.\nAnswer {0}\n"
    assert data.version.startswith("mmhal-1 prompt=official-")


def test_a_script_with_another_prompt_is_reported_and_not_used(tmp_path: Path) -> None:
    write_json(tmp_path / "response_template.json", [row("other")])
    (tmp_path / "eval_gpt_mmhal.py").write_text(script("template", "Changed {}{}{}{}"))
    data = MMHal().load(tmp_path)
    assert "prompt=own-rating-1" in data.version
    assert any("eval_gpt_mmhal.py: not the official prompt" in note for note in data.notes)
    with pytest.raises(DataError, match="is not the official prompt"):
        MMHal(prompt="official").load(tmp_path)


def test_a_file_that_the_user_changed_is_not_the_official_one(tmp_path: Path) -> None:
    """Its digest decides, whatever its name: only then are official figures so in full."""
    path = tmp_path / "synonyms.txt"
    official, other = (hashlib.sha256(text).hexdigest() for text in (b"dog, puppy\n", b"dog, puppy, cat\n"))
    path.write_bytes(b"dog, puppy\r\n")
    pin = f"text:{official}"
    assert unofficial(files.official_part("synonyms", path, pin, path.name, "own")) == {UNOFFICIAL: []}
    path.write_text("dog, puppy, cat\n")
    changed = [f"synonyms: synonyms.txt, sha256 {other[:12]} (officially synonyms.txt)"]
    assert unofficial(files.official_part("synonyms", path, pin, path.name, "own")) == {UNOFFICIAL: changed}
    absent = ["synonyms: own (officially synonyms.txt)"]
    assert unofficial(files.official_part("synonyms", None, pin, path.name, "own")) == {UNOFFICIAL: absent}


GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize(
    ("benchmark", "name", "settings"),
    [
        ("llava_bench", "rule.json", {}),
        ("object_halbench", "synonyms_refine.txt", {"tagger": "lexicon"}),
        ("chair_coco", "synonyms.txt", {"tagger": "lexicon", "images": 8}),
        ("amber", "relation.json", {"tagger": "lexicon", "similarity": "exact"}),
        ("amber", "safe_words.txt", {"tagger": "lexicon", "similarity": "exact"}),
    ],
)
def test_the_invented_files_of_the_goldens_have_official_names_and_are_said_not_to_be_official(
    benchmark: str, name: str, settings: dict[str, Any]
) -> None:
    folder = GOLDEN / benchmark / "data"
    assert (folder / name).is_file()
    info = make_benchmark(benchmark, settings).load(folder).info
    assert level(info) == "rules"
    assert any(f": {name}, sha256 " in each and f"(officially {name})" in each for each in differing(info))


def test_an_official_prompt_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    write_json(tmp_path / "response_template.json", [row("other")])
    with pytest.raises(DataError, match=r"prompt=official needs eval_gpt_mmhal\.py or eval_gpt4\.py"):
        MMHal(prompt="official").load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("template = (", "not a Python file"), ("def f():\n    template = 'x'\n", "no string")]
)
def test_scripts_that_hold_no_such_string(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.py").write_text(text)
    with pytest.raises(DataError, match=message):
        string_literal(tmp_path / "s.py", "template")


@pytest.mark.parametrize(
    ("reply", "strict", "tolerant"),
    [
        ("()", None, []),
        ('```json\n["a", "b"]\n```', None, ["a", "b"]),
        ('["a"]\n\n["b"]', ["b"], ["b"]),
        ('Here you are: ["a"] and that is all.', None, ["a"]),
        ('{"objects": ["a"]}', None, ["a"]),
        ('```json\n{"why": ["b"], "objects": ["a"]}\n```', None, ["a"]),
        ('{"absent": ["b"], "unclear": ["a"]}', None, None),
        ('{"objects": [1]}', None, None),
        ('{"objects": ["a"], "objects": ["b"]}', None, None),
        ('["a", ["b"]]', None, None),
        ("I see (a) nothing", None, None),
        ("['a']", None, None),
        ("[1, 2]", None, None),
        ("[" * 100_000, None, None),
    ],
)
def test_the_tolerant_parser_reads_lists_in_fences_and_prose(
    reply: str, strict: list[str] | None, tolerant: list[str] | None
) -> None:
    assert ObjectHalBench(parser="strict")._read_reply(reply) == strict
    assert ObjectHalBench()._read_reply(reply) == tolerant


def test_the_parser_is_part_of_the_version_and_an_error_tells_of_the_other_one(halbench: Path) -> None:
    benchmark = ObjectHalBench(tagger="lexicon", parser="strict")
    assert benchmark.version != ObjectHalBench(tagger="lexicon").version
    (sample,) = benchmark.load(halbench).samples
    verdict = benchmark.unreadable(sample, "A long enough answer here.", ['```["dog"]```'])
    assert "parser=tolerant would read one" in (verdict.error or "") and not verdict.counts


def test_half_a_character_in_an_official_file_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("template = 'Rate {}\\ud800'\n")
    with pytest.raises(DataError, match=r"script\.py: template is no text: it is no valid Unicode"):
        string_literal(tmp_path / "script.py", "template")
    with pytest.raises(DataError, match=r"rule\.json, a: field 'prompt' is no text"):
        files.field_of({"prompt": "\ud800"}, "prompt", str, "rule.json, a")
    with pytest.raises(DataError, match=r"row 3: field 'words' is no text"):
        files.strings_of({"words": ["dog", "\ud800"]}, "words", "row 3")
