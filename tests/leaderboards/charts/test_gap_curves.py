from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from harness.store import Store
from leaderboards.charts.gap_curves import Curve, draw_gaps, gap_curves, write_figures
from leaderboards.charts.plots import save
from leaderboards.formats.markdown import gap_summary
from leaderboards.reward_gaps import terciles
from leaderboards.snapshot import Snapshot
from tests.leaderboards.fakes import example


def test_terciles_are_equal_parts_by_hardness() -> None:
    assert terciles({"a": 3.0, "b": 1.0, "c": 2.0}) == {"b": "hard", "c": "middle", "a": "easy"}
    tied = terciles({f"{i}": 0.0 for i in range(6)})
    assert sorted(tied.values()) == ["easy", "easy", "hard", "hard", "middle", "middle"]


def test_curves_are_means_over_pairs_then_seeds(tmp_path: Path) -> None:
    curves = {(c.method, c.split, c.tercile): c for c in gap_curves(Snapshot(example(tmp_path)))}
    easy = curves["dpo", "heldout", "easy"]  # pairs 4 and 5, hardness taken from dama; seeds add 0 and 1
    assert easy.seeds == 2
    assert easy.steps == (0, 10)
    assert easy.gaps == (0.5, 5.0)
    assert curves["dama", "train", "hard"].gaps == (0.5, 1.0)


def test_permuted_hardness_does_not_say_which_pairs_are_hard(tmp_path: Path) -> None:
    store = example(tmp_path)
    config = {"hardness": {"permute_seed": 0}}
    log = store.start_alignment("control", method="hardness permuted", seed=0, panel="clean", key="c", config=config)
    log.log_gaps(10, "train", [(f"p{i}", float(i)) for i in range(6)])
    log.log_hardness("train", {f"p{i}": -float(i) for i in range(6)})
    store.finish_alignment("control", status="done", model_dir="m", seconds=1.0)
    curves = {(c.method, c.tercile): c.gaps for c in gap_curves(Snapshot(store)) if c.split == "train"}
    assert curves["hardness permuted", "easy"] == (4.5,)


def test_the_svg_is_valid_and_repeatable(tmp_path: Path) -> None:
    store = example(tmp_path)
    curves = gap_curves(Snapshot(store))
    first, again = (save(partial(draw_gaps, curves, "clean"), tmp_path / name) for name in ("first", "again"))
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in again]
    svg = first[0].read_text(encoding="utf-8")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    for word in ("easy pairs", "held-out pairs", "training pairs", "dama", "dpo", "optimiser step"):
        assert word in svg
    assert [file.name for file in write_figures(Snapshot(store), tmp_path / "figures")] == [
        "reward-gaps-clean.svg", "reward-gaps-clean.png",
    ]  # fmt: skip


def test_gaps_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    """A training that diverged has none to show; a probe that failed once leaves its step to the other pairs."""
    store = example(tmp_path)
    log = store.start_alignment("x", method="diverged", seed=0, panel="clean", key="x", config={})
    log.log_gaps(10, "train", [(f"p{i}", math.nan) for i in range(6)])
    store.finish_alignment("x", status="done", model_dir="m", seconds=1.0)
    log = store.start_alignment("y", method="once", seed=0, panel="clean", key="y", config={})
    log.log_gaps(10, "train", [(f"p{i}", math.nan if i == 5 else float(i)) for i in range(6)])
    store.finish_alignment("y", status="done", model_dir="m", seconds=1.0)
    curves = {(c.method, c.tercile): c.gaps for c in gap_curves(Snapshot(store)) if c.split == "train"}
    assert not [method for method, _ in curves if method == "diverged"]
    assert curves["once", "easy"] == (4.0,)
    write_figures(Snapshot(store), tmp_path / "figures")


def test_the_summary_holds_the_end_values(tmp_path: Path) -> None:
    text = gap_summary(gap_curves(Snapshot(example(tmp_path))))
    assert "| clean | dpo | 2 | 5.00 | 3.00 | 1.00 | 5.00 | 3.00 | 1.00 |" in text


def test_a_store_without_curves_has_no_figures(tmp_path: Path) -> None:
    store = Store(tmp_path / "empty.sqlite")
    assert gap_curves(Snapshot(store)) == []
    assert gap_summary([]) == ""
    assert write_figures(Snapshot(store), tmp_path / "figures") == []


def test_many_methods_go_on_below(tmp_path: Path) -> None:
    """Eight methods make two bands of two splits; the places of the second band that are not needed stay empty."""
    steps, gaps = (0, 10), (0.0, 1.0)
    curves = [Curve("", f"m{i}", split, "easy", 1, steps, gaps) for i in range(8) for split in ("train", "heldout")]
    figure = draw_gaps(curves, "")
    assert len(figure.axes) == 16
    assert [axis.get_title() for axis in figure.axes if axis.get_title()] == [f"m{i}" for i in range(8)]
    assert figure.get_size_inches()[0] < 16
