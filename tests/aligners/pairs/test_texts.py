"""What is no text is refused with its row, in every column of texts, layout and kind of file."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aligners.pairs.chat_templates import question_of
from aligners.pairs.data import load_pairs
from aligners.pairs.rows import BadRow, Place
from harness.errors import DataError
from tests.tiny import picture

HUMAN, ASSISTANT = {"from": "human", "value": "what ?"}, {"role": "assistant", "content": "a dog"}
ANSWERS = {"chosen": "a dog", "rejected": "a cat"}
LAYOUTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "RLAIF-V": ({"question": "what ?", **ANSWERS}, ("question", "chosen", "rejected")),
    "SENTINEL": ({"question": "what ?", "y_win": "a dog", "y_lose": "a cat"}, ("question", "y_win", "y_lose")),
    "TRL": ({"prompt": "what ?", **ANSWERS}, ("prompt", "chosen", "rejected")),
    "alpaca": ({"instruction": "what ?", **ANSWERS}, ("instruction", "chosen", "rejected")),
    "sharegpt": ({"conversations": [HUMAN], **ANSWERS}, ("chosen", "rejected")),
    "ms-swift": (
        {"messages": [{"role": "user", "content": "what ?"}, ASSISTANT], "rejected_response": "a cat"},
        ("rejected_response",),
    ),
    "LLaVA-RLHF": (
        {"conversations": [HUMAN], "output_1": "a dog", "output_2": "a cat", "preference": 1},
        ("output_1", "output_2"),
    ),
    "VLFeedback": (
        {
            "prompt": "what ?",
            "completions": [
                {"response": "a dog", "annotations": {"A": {"Rating": "5"}}},
                {"response": "a cat", "annotations": {"A": {"Rating": "1"}}},
            ],
        },
        ("prompt",),
    ),
}
"""A row of each layout, and its columns of texts."""
NAN = float("nan")
TEXTS = ["", "  \n", "nul \0 in", "nan", "<NA>", "['a dog']", "['a', None]", "{'a': 1}", "b'a dog'", "<image>"]
VALUES: list[Any] = [
    *TEXTS, "\ud800 half", None, 0, 7.5, NAN, True, False, [], {}, ["a"], [None], [NAN], {"a": 1}, [{}], [[]],
    [{"role": "assistant"}], [{"role": "assistant", "content": None}], [{"role": "assistant", "content": NAN}],
    [{"role": 5, "content": "x"}], [{"role": "assistant", "content": ["x"]}],
    [{"role": "assistant", "content": [{"type": "text", "text": 5}]}], [{"role": "assistant", "content": "x \0"}],
    [{"role": "assistant", "content": "x", "tool_calls": [{"id": 1}]}],
]  # fmt: skip
"""Of every kind, none of which can be trained on."""


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows))
    elif file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif file.suffix == ".arrow":
        datasets.Dataset(pa.Table.from_pylist(rows)).save_to_disk(file)
    else:
        with file.open("w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, [*rows[0]], delimiter="\t" if file.suffix == ".tsv" else ",")
            table.writeheader()
            dumped = [{k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()} for row in rows]
            table.writerows(dumped)
    return file


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_rows_with_values_of_every_kind_only_texts_are_trained_on(tmp_path: Path, layout: str, kind: str) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    good, columns = LAYOUTS[layout]
    good = {**good, "image": "a.png"}
    for column in columns:
        bad = [{**good, column: value} for value in (VALUES if kind.startswith("json") else TEXTS)]
        loaded = load_pairs(write(tmp_path / f"{column}.{kind}", [*bad, good]), skip_bad=True)
        (pair,) = loaded.pairs
        assert (pair.question, pair.chosen, pair.rejected) == ("what ?", "a dog", "a cat")
        assert sum(each["rows"] for each in loaded.report["dropped"].values()) == len(bad)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize("column", ["question", "chosen", "rejected"])
def test_tables_with_types_of_their_own_are_refused_by_row(tmp_path: Path, column: str, kind: str) -> None:
    datasets.disable_progress_bars()
    (tmp_path / "a.png").write_bytes(picture(1))
    good = {"image": str(tmp_path / "a.png"), **LAYOUTS["RLAIF-V"][0]}
    for number, value in enumerate(
        [*TEXTS, 0, 7.5, NAN, True, ["a"], [None], {"a": 1}, b"a dog", b"\xff\0", [ASSISTANT] * 2]
    ):
        file = write(tmp_path / f"{number}.{kind}", [{**good, column: value}])
        with pytest.raises(DataError, match=r"row 0: .*" + ("" if value == "<image>" else column)):
            load_pairs(file)


@pytest.mark.parametrize("value", [[], {}, [1], True, b"1", "\ud800"])
def test_an_id_is_a_number_or_a_text(tmp_path: Path, value: Any) -> None:
    row = {"idx": value, **LAYOUTS["RLAIF-V"][0]}
    file = write(tmp_path / "a.parquet", [row]) if isinstance(value, bytes) else write(tmp_path / "a.jsonl", [row])
    with pytest.raises(DataError, match=r"(line 1|row 0): idx"):
        load_pairs(file)


def test_a_text_of_ten_megabytes_and_one_that_is_json_are_texts(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    row = {"image": "a.png", "question": "what ?", "chosen": "a dog " * 1_700_000, "rejected": '["a cat", [1, 2]]'}
    (pair,) = load_pairs(write(tmp_path / "a.jsonl", [row])).pairs
    assert (len(pair.chosen), pair.rejected) == (len(row["chosen"]) - 1, row["rejected"])


@pytest.mark.parametrize(
    "text", ["USER: ", "USER: ASSISTANT: ", "USER:" + " " * 9, "[INST] ", "### Human: ", "<|im_end|>"]
)
def test_templates_are_looked_for_in_time_proportional_to_the_text(text: str) -> None:
    started = time.monotonic()
    for whole in (text * 50_000, text * 50_000 + "ASSISTANT:", text * 50_000 + "x"):
        try:
            question_of(whole, Place("x", Path(), "1"), unwrap=True)
        except BadRow as error:
            assert "several turns" in str(error)
    assert time.monotonic() - started < 2
