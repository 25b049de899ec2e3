"""`where`: which rows of the data are trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from pyarrow import feather

from aligners.objective import ALIGNERS
from aligners.pairs.data import load_pairs
from aligners.pairs.reading import Reading
from aligners.pairs.sources import of_hub, open_rows
from aligners.pairs.where import NoSuchRows, matching, parse_condition
from aligners.training.config import AlignConfig
from aligners.training.cost import estimate
from cli import cli
from harness.errors import UsageError
from harness.util.options import build, keyed
from tests.tiny import picture

LLAVA, OTHER = "LLaVA-v1.5-7B", "OmniLMM-12B"
SPLITS: tuple[Any, ...] = (
    json.dumps({"type": "qa", "model": LLAVA, "turn": 1}),
    json.dumps({"type": "qa", "model": OTHER, "turn": 2}),
    json.dumps({"type": "description", "model": LLAVA, "turn": 3}),
    json.dumps({"type": "description", "model": OTHER, "turn": 4}),
)
"""RLAIF-V's origin_split of four rows: texts of JSON."""


def rows(splits: tuple[Any, ...] = SPLITS) -> list[dict[str, Any]]:
    return [
        {"image": "a.png", "question": "what ?", "chosen": str(n), "rejected": "no", "idx": n, "good": n < 2,
         "origin_split": split}
        for n, split in enumerate(splits)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    (tmp_path / "a.png").write_bytes(picture(1))
    return tmp_path


def lines(folder: Path, made: list[dict[str, Any]]) -> Path:
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in made))
    return file


def chosen(source: Path | str, *where: str, limit: int | None = None) -> list[str]:
    return [pair.chosen for pair in load_pairs(source, limit, reading=Reading(where=where)).pairs]


def test_rows_are_chosen_by_a_column_or_one_inside_it_and_all_conditions_hold(folder: Path) -> None:
    file = lines(folder, rows())
    of_model = f"origin_split.model={LLAVA}"
    assert chosen(file, of_model) == ["0", "2"]
    assert chosen(file, of_model, limit=1) == ["0"] and chosen(file, f"origin_split.model={OTHER}", limit=1) == ["1"]
    assert chosen(file, of_model, "origin_split.type=qa") == ["0"]
    assert chosen(file, f"origin_split.model != {LLAVA}") == ["1", "3"]
    assert chosen(file, "origin_split.turn=1,3.0", "good=True") == ["0"]
    assert chosen(file, "idx!=0, 3") == ["1", "2"]
    assert chosen(file, "") == ["0", "1", "2", "3"]
    report = load_pairs(file, 1, reading=Reading(where=(of_model,))).report
    assert report["pairs"] == 1 and report["notes"] == [f"2 of 4 rows match {of_model}"], "counted over all rows"


TABLES = [(suffix, kind) for suffix in ("csv", "parquet", "arrow") for kind in ("text", "python", "object")]


@pytest.mark.parametrize(("suffix", "kind"), [("jsonl", "text"), ("json", "object"), ("jsonl", "mixed"), *TABLES])
def test_every_kind_of_file_gives_the_same_rows_whether_the_column_is_a_text_or_an_object(
    folder: Path, suffix: str, kind: str
) -> None:
    read = [json.loads(text) for text in SPLITS]
    splits = {"text": SPLITS, "object": read, "python": [str(each) for each in read], "mixed": [*SPLITS[:2], *read[2:]]}
    made = rows(tuple(splits[kind]))
    file = folder / f"pairs.{suffix}"
    if suffix == "csv":
        datasets.Dataset.from_list(made).to_pandas().to_csv(file, index=False)
    elif suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(made), file, row_group_size=3)
    elif suffix == "arrow":
        feather.write_feather(pa.Table.from_pylist(made), str(file), compression="uncompressed")
    else:
        file.write_text(json.dumps(made) if suffix == "json" else "\n".join(map(json.dumps, made)))
    assert chosen(file, f"origin_split.model={LLAVA}", "origin_split.turn!=1") == ["2"]


def test_other_columns_of_a_parquet_file_and_of_the_hub_are_not_read_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), folder / "pairs.parquet")
    assert [*open_rows(folder / "pairs.parquet").scan({"idx", "a"})] == [{"idx": n} for n in range(4)]
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda name, subset: ["train"])
    monkeypatch.setattr(datasets, "load_dataset", lambda name, subset, split: datasets.Dataset.from_list(rows()))
    hub = of_hub("a/b", "", "")
    assert [*hub.scan({"idx", "a"})] == [{"idx": n} for n in range(4)]
    kept = matching(hub, "a/b", [f"origin_split.model={OTHER}"])
    assert [row["chosen"] for _, row in kept.rows] == ["1", "3"] and kept.total() == 2
    with pytest.raises(NoSuchRows, match="no row has a column idy; there are image, question, chosen"):
        matching(of_hub("a/b", "", ""), "a/b", ["idy=1"])


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (["origin_split.modle=x"], r"no row has a column origin_split\.modle; there are origin_split\.type"),
        (["model=x"], "no row has a column model; there are image, question, chosen, rejected, idx, good"),
        (["origin_split.model=LLaVA"], rf"no row has origin_split\.model=LLaVA; there are {LLAVA} \(2\), Om"),
        ([f"origin_split.model={LLAVA},Qwen"], r"no row has origin_split\.model=Qwen; there are"),
        (["origin_split.model!=Qwen"], r"no row has origin_split\.model=Qwen; there are"),
        ([f"origin_split={LLAVA}"], r"columns inside it: origin_split\.type, origin_split\.model"),
        (["idx=0", "good=false"], r"no row meets all conditions at once \(idx=0: 1 rows; good=false: 2 rows\)"),
        (["idx!=0,1,2,3"], r"no row meets all conditions at once \(idx!=0,1,2,3: 0 rows\)"),
    ],
)  # fmt: skip
def test_a_condition_that_is_of_no_use_is_refused_with_what_there_is(folder: Path, where: list[str], said: str) -> None:
    with pytest.raises(NoSuchRows, match=said):
        chosen(lines(folder, rows()), *where)


@pytest.mark.parametrize("where", ["a", "=b", "a=", "a=b,,c", ".a=b", "a..b=c", "!=b", "?=b"])
def test_what_is_no_condition_is_refused_before_anything_is_read(where: str) -> None:
    with pytest.raises(UsageError, match="expected COLUMN=VALUE"):
        Reading(where=(where,))


def test_a_value_with_a_comma_stands_in_quotes_and_a_column_may_have_a_dot_in_its_name(folder: Path) -> None:
    assert parse_condition('a="x, y",z').values == ("x, y", "z")
    made = [{**row, "a.b": "x, y" if n == 1 else "z"} for n, row in enumerate(rows())]
    assert chosen(lines(folder, made), 'a.b="x, y"') == ["1"]


def test_whole_numbers_are_compared_digit_by_digit(folder: Path) -> None:
    file = lines(folder, [{**row, "idx": 2**53 + n} for n, row in enumerate(rows())])
    assert chosen(file, f"idx={2**53 + 1}") == ["1"]
    assert chosen(file, f"idx!={2**53 + 1}") == ["0", "2", "3"]
    assert chosen(lines(folder, [{**row, "idx": n / 2} for n, row in enumerate(rows())]), "idx=1,1.50") == ["2", "3"]


def test_rows_without_the_column_meet_no_condition_and_are_counted(folder: Path) -> None:
    file = lines(folder, rows((*SPLITS, None, "{}", "text")))
    read = load_pairs(file, reading=Reading(where=(f"origin_split.model!={OTHER}",)))
    assert [pair.chosen for pair in read.pairs] == ["0", "2"]
    assert read.report["notes"][1] == "3 rows without origin_split.model are among those left out"


def test_an_optional_condition_holds_where_the_data_has_the_column(folder: Path) -> None:
    of_model = f"?origin_split.model={LLAVA}"
    assert chosen(lines(folder, rows()), of_model) == ["0", "2"]
    read = load_pairs(lines(folder, rows(("{}", None))), reading=Reading(where=(of_model, "idx=1")))
    assert [pair.chosen for pair in read.pairs] == ["1"]
    assert read.report["notes"] == [
        "1 of 2 rows match idx=1", f"no row has a column origin_split.model, so that {of_model} leaves out none"
    ]  # fmt: skip
    with pytest.raises(NoSuchRows, match=r"no row has origin_split\.model=Qwen"):
        chosen(lines(folder, rows()), "?origin_split.model=Qwen")


def test_it_is_in_the_key_where_it_is_given_and_is_not_of_held_out_pairs() -> None:
    plain = AlignConfig(model="m", data="d")
    given = build(AlignConfig, {"model": "m", "data": "d", "where": "a=b"}, "align")
    assert "where" not in keyed(plain) and keyed(given)["where"] == ("a=b",)
    assert Reading.of(json.loads(json.dumps({"where": given.where}))).where == given.where
    assert given.of_other_data.where == ()


def test_the_commands_take_it_and_a_recipes_is_of_its_own_data(
    folder: Path, llava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = lines(folder, rows())

    def planned(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(
            cli, ["align", "--method", "dpo", "--model", str(llava), *words, "--dry-run", "--json", "--db", "none"]
        )
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    found = planned("--data", str(file), "--where", "origin_split.type=qa", "--where", "idx!=0")
    assert found["where"] == ["origin_split.type=qa", "idx!=0"] and found["estimate"]["pairs"] == 1
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"data": str(file), "where": "origin_split.model=Qwen"}))
    refused = CliRunner().invoke(cli, ["align", "--model", str(llava), "--recipe", str(recipe), "--dry-run"])
    assert refused.exit_code == 2 and "no row has origin_split.model=Qwen" in refused.output.replace("\n", " ")
    (folder / "own").mkdir()
    (folder / "own/a.png").write_bytes(picture(1))
    own = lines(folder / "own", rows(("{}", "{}")))
    found = planned("--recipe", str(recipe), "--data", str(own))
    assert found["where"] == ["?origin_split.model=Qwen"] and found["estimate"]["pairs"] == 2
    assert "no row has a column origin_split.model" in found["estimate"]["notes"]
    assert planned("--recipe", str(recipe), "--where", "")["estimate"]["pairs"] == 4
    common: list[Any] = []
    monkeypatch.setattr("commands.ablate._show_plan", lambda ablation, *rest: common.append(ablation.common))
    recipe.write_text(yaml.safe_dump({"common": {"lr": 1e-6}, "methods": [{"method": "dpo"}]}))
    done = CliRunner().invoke(cli, ["ablate", "--recipe", str(recipe), "--dry-run", "--where", "idx=0,1"])
    assert done.exit_code == 0 and common == [{"lr": 1e-6, "where": ["idx=0,1"]}], done.output


def test_data_of_the_hub_that_is_there_but_has_no_such_row_is_not_estimated(
    llava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda name, subset: ["train"])
    monkeypatch.setattr(datasets, "load_dataset", lambda name, subset, split: datasets.Dataset.from_list(rows()))
    config = AlignConfig(model=str(llava), data="openbmb/RLAIF-V-Dataset", where=("origin_split.modle=x",))
    with pytest.raises(NoSuchRows, match="no row has a column"):
        estimate(config, ALIGNERS.get("dpo")())
