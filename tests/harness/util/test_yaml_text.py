"""YAML of recipes, suites, price lists and `--set`: what it means here, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.util.options import build, parse_assignments, read_yaml
from harness.util.yaml_text import LONGEST, parse_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)


@dataclasses.dataclass(frozen=True)
class Run:
    revision: str = ""
    lr: float = 0.1
    steps: int = 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 1e-6\nepochs: 1\nlr: 2e-6\n", "'lr' is given twice"),
        ("x: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("x: !!set {a, b}", "it holds a set; expected texts"),
        ("x: &a [*a]", "more than 100,000 values or 50 levels"),
        ("[" * 2000, "not valid YAML"),
        ("a: " + "[" * 60 + "]" * 60, "50 levels"),
        (LAUGHS, "aliases .* may stand for many"),
        (MERGES, "it merges too much"),
        ("x: 1\0", "not valid YAML"),
        ("x: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
        ("yes: 1", "reads the name True as a bool; put it in quotes"),
        ("4: {input: 1, output: 2}", "reads the name 4 as a WrittenInt"),
        ("x: " + "y" * LONGEST, "1,000,003 characters"),
    ],
    ids=lambda text: text[:20],
)
def test_what_settings_cannot_be_is_refused_by_file(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UsageError, match=rf"recipe {tmp_path}/recipe\.yaml: .*{message}"):
        read_yaml(tmp_path / "recipe.yaml")


def test_an_anchor_and_a_merge_mean_what_they_mean_elsewhere() -> None:
    text = "base: &b {lr: 1.0, epochs: 2}\nrun: {<<: *b, lr: 2.0}\nsame: *b\n"
    read = parse_yaml(text, "here")
    assert read == {"base": {"lr": 1.0, "epochs": 2}, "run": {"lr": 2.0, "epochs": 2}, "same": {"lr": 1.0, "epochs": 2}}


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\xef\xbb\xbflr: 1.0\n")
    assert read_yaml(tmp_path / "recipe.yaml") == {"lr": 1.0}


@pytest.mark.parametrize(
    "written", ["1.10", "1_000", "0123", "12:30", "12e4567", "2026-01-01", "0x10", "1e5", "1.", "nan", "inf"]
)
def test_a_text_that_looks_like_a_number_stays_as_it_was_written(written: str) -> None:
    """A revision 12e4567 would else be asked for as "inf"."""
    assert build(Run, parse_assignments([f"revision={written}"]), "run").revision == written
    assert build(Run, parse_yaml(f"revision: {written}", "here"), "run").revision == written


@pytest.mark.parametrize(("written", "number"), [("5e-7", 5e-7), ("1_000", 1000.0), ("3", 3.0), ("-.5e1", -5.0)])
def test_a_number_is_a_plain_number(written: str, number: float) -> None:
    lr = build(Run, parse_assignments([f"lr={written}"]), "run").lr
    assert (lr, type(lr)) == (number, float)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("steps=010", "steps='010': expected a whole number"),
        ("steps=1:30", "steps='1:30': expected a whole number"),
        ("steps=9223372036854775808", "expected a whole number up to"),
        ("lr=.nan", "lr=nan: expected a finite number"),
        ("lr=1e999", "lr=inf: expected a finite number"),
        ("revision='a\0b'", "not valid YAML"),
        ("lr=[1", "--set 'lr=\\[1': not valid YAML"),
    ],
)
def test_a_word_that_means_something_else_than_it_says_is_refused(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(Run, parse_assignments([word]), "run")


@pytest.mark.parametrize("text", ["a\0b", "a\ud800"])
def test_a_text_that_no_file_and_no_column_can_hold_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"revision: it (holds a NUL character|is no valid Unicode)"):
        build(Run, {"revision": text}, "run")
