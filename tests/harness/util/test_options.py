from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from harness.errors import UsageError
from harness.util.options import added, build, content_key, keyed, overlay, parse_assignments, read_yaml, unkeyed


@dataclass(frozen=True)
class Settings:
    beta: float = 0.1
    epochs: int = 1
    combine: Literal["product", "mean"] = "product"
    limit: int | None = None
    biases: tuple[float, ...] = ()
    trained: bool = False


def test_assignments_are_read_with_their_types() -> None:
    read = parse_assignments(
        ["lr=5e-7", "epochs=3", "combine=mean", "trained=true", "limit=null", "biases=[-1.5, 1.5]"]
    )
    assert read == {
        "lr": 5e-7, "epochs": 3, "combine": "mean", "trained": True, "limit": None, "biases": [-1.5, 1.5],
    }  # fmt: skip


def test_a_dotted_name_sets_one_value_of_several() -> None:
    read = parse_assignments(["decoding.num_beams=1", "decoding.eos_bias=-0.5", "beta=1"])
    assert read == {"decoding": {"num_beams": 1, "eos_bias": -0.5}, "beta": 1}
    assert parse_assignments(["decoding={num_beams: 3}", "decoding.num_beams=1"]) == {"decoding": {"num_beams": 1}}


def test_layers_are_merged_name_by_name_and_left_as_they_were() -> None:
    lower, upper = {"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "b": {"z": 4}}
    assert overlay(lower, upper) == {"a": {"x": 1, "y": 3}, "b": {"z": 4}}
    assert lower == {"a": {"x": 1, "y": 2}, "b": 1}


def test_a_mapping_changes_what_it_names_of_a_field_and_leaves_the_rest() -> None:
    @dataclass(frozen=True)
    class Outer:
        inner: Settings = Settings(beta=0.5, epochs=3)

    assert build(Outer, {"inner": {"epochs": 4}}, "test").inner == Settings(beta=0.5, epochs=4)
    with pytest.raises(UsageError, match="Did you mean 'epochs'"):
        build(Outer, {"inner": {"epoch": 4}}, "test")


def test_an_assignment_without_a_value_says_what_was_expected() -> None:
    with pytest.raises(UsageError, match="expected key=value"):
        parse_assignments(["beta"])


def test_build_converts_what_is_harmless_and_keeps_the_rest() -> None:
    built = build(Settings, {"beta": 1, "epochs": 2.0, "biases": [-1, 1]}, "test")
    assert built == Settings(beta=1.0, epochs=2, biases=(-1.0, 1.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"betta": 1}, "Did you mean 'beta'"),
        ({"combine": "median"}, "choose one of product, mean"),
        ({"epochs": "many"}, r"epochs='many': expected a whole number\.$"),
        ({"epochs": True}, r"expected a whole number\.$"),
        ({"trained": 1}, r"expected true or false\.$"),
    ],
)
def test_build_refuses_what_it_does_not_know(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(Settings, values, "test")


def test_keys_depend_on_content_and_not_on_order() -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
    assert content_key(Settings()) == content_key(Settings()) != content_key(Settings(beta=0.2))


@dataclass(frozen=True)
class Grown(Settings):
    """``Settings`` of a later version."""

    unit: str = added("words")
    shown: bool = unkeyed(False)


def test_an_added_setting_is_in_a_key_only_where_it_is_changed() -> None:
    assert build(Grown, {}, "test").unit == "words"
    assert content_key(Grown()) == content_key(Settings())
    assert content_key(Grown(unit="tokens")) != content_key(Settings())
    assert content_key(Grown(shown=True)) == content_key(Settings()), "what changes no result is in no key"

    @dataclass(frozen=True)
    class Outer:
        inner: Grown = Grown()

    assert "unit" not in keyed(Outer())["inner"]
    assert keyed(Outer(Grown(unit="tokens")))["inner"]["unit"] == "tokens"


@pytest.mark.parametrize(("text", "value"), [("2e-4", 2e-4), ("1E5", 1e5), ("-.5e3", -500.0)])
def test_a_recipe_may_write_a_number_with_an_exponent_and_no_point(text: str, value: float, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(f"beta: {text}\n")
    assert build(Settings, read_yaml(tmp_path / "recipe.yaml"), "these").beta == value


def test_a_word_is_no_number() -> None:
    with pytest.raises(UsageError, match=r"expected a number\.$"):
        build(Settings, {"beta": "fast"}, "these")


@pytest.mark.parametrize("text", [None, "- a\n", "a: [\n", ""])
def test_a_file_that_cannot_be_read_is_called_what_it_should_be(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=r"price list.*mine\.yaml|mine\.yaml.*price list"):
        read_yaml(path, "price list")


@dataclass(frozen=True)
class Inner:
    a: int = 1
    b: int = 2
    made: str = field(default="", init=False)


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()


def test_a_part_with_a_field_that_is_no_setting_is_changed_by_the_fields_that_are() -> None:
    assert build(Outer, {"inner": {"b": 3}}, "it").inner == Inner(1, 3)
    with pytest.raises(UsageError, match="'made'"):
        build(Outer, {"inner": {"made": "x"}}, "it")
