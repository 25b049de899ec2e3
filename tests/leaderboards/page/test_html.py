"""The report without a browser: what it holds, from stores that are small, mixed or hostile."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.errors import UsageError
from harness.store import Store
from leaderboards.charts.training import kept_shares, read_evidence
from leaderboards.conclusion import conclusions
from leaderboards.formats.data import to_csv
from leaderboards.formats.html import COPIES
from leaderboards.formats.latex import latex
from leaderboards.formats.markdown import markdown
from leaderboards.notes import a_a_rate
from leaderboards.page.html import render_html, script_json, write_html
from leaderboards.page.ranked import ranked
from leaderboards.page.samples import BAD, FAILED, GOOD, THUMBNAIL, Chunks, pack, thumbnail, verdict_chunk
from leaderboards.provenance import alignment_commands, command_of, condition_key
from leaderboards.rows import build_tables
from leaderboards.snapshot import Snapshot
from leaderboards.text import p_text
from leaderboards.view import View
from tests.leaderboards.fakes import add, answers, example, snapshot, verdict
from tests.leaderboards.stores import answers_of_others, study


class Reader(HTMLParser):
    """Counts elements and collects attributes; a tag that is closed but not open fails."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def page_of(store: Store, **extras: Any) -> str:
    return render_html(View(Snapshot(store), **extras), Chunks(None, 10**7))


def unpack(packed: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_the_page_is_well_formed_and_asks_for_nothing(tmp_path: Path) -> None:
    page = page_of(example(tmp_path), published="all")
    for tag, attributes in read(page).seen:
        for name in ("src", "href", "srcset", "action", "poster"):
            value = attributes.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, f"<{tag} {name}={value}>"
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|http://|https://", page)
    assert "default-src 'none'" in page


def test_every_section_of_the_report_is_there(tmp_path: Path) -> None:
    page = page_of(example(tmp_path), explain=lambda _: "Why <it> errs.", commit="abc123")
    assert "its training data could not be read" in page and 'class="chosen"' not in page
    for words in ("Ranking", "By how much?", "At what price?", "Why?", "The answers", "Where this comes from"):
        assert words in page
    assert "Why &lt;it&gt; errs." in page and "abc123" in page
    assert "11/12 (1 failed)" in page
    assert "Published figures" not in page, "others' figures are shown on request only"


def test_two_judges_are_two_groups_of_columns(tmp_path: Path) -> None:
    store = example(tmp_path)
    add(store, "base", answers([0, 0]), judge="another")
    groups = [a for tag, a in read(page_of(store)).seen if tag == "th" and a.get("class") == "group"]
    assert ["judge another" in (g["title"] or "") for g in groups].count(True) == 1 and len(groups) == 2


def test_one_sample_zero_variance_and_no_common_samples_break_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    add(store, "base", {"0": answers([2])["0"]})
    add(store, "dpo", {"1": answers([2])["0"]}, alignment=None)
    page = page_of(store)
    read(page)
    assert not re.search(r"\b(nan|inf|None)\b", re.sub(r"<script.*?</script>", "", page, flags=re.S))


def test_names_are_escaped_and_data_cannot_end_its_script(tmp_path: Path) -> None:
    store = example(tmp_path)
    evil = "</script><img src=x onerror=alert(1)>"
    add(store, evil, answers([1] * 6), alignment=None)
    reader = read(page_of(store))
    assert not [a for tag, a in reader.seen if tag == "img"]
    assert json.loads(str(script_json({"a": evil}))) == {"a": evil}
    assert "<" not in script_json({"a": evil})


def test_a_chunk_survives_its_packing() -> None:
    value = {"1": [0, "<b>\u202e \ud800 ü</b>" + "x" * 100_000, [], [], None, {}]}
    assert unpack(pack(value))["1"][1].startswith("<b>\u202e ? ü</b>x")
    assert pack(value) == pack(value)
    assert len(pack(value)) < 2000


def test_what_does_not_fit_is_said_and_the_folder_holds_it(tmp_path: Path) -> None:
    store = example(tmp_path)
    small = Chunks(None, 10)
    page = render_html(View(Snapshot(store)), small)
    kinds = [name[0] for name in small.left_out]
    assert kinds.count("s") + kinds.count("v") == 1 + 5 and "--out DIR" in page, "the samples and five evaluations"
    (index,) = write_html(View(Snapshot(store)), tmp_path / "report")
    scripts = {file.stem: file.read_text() for file in (index.parent / "samples").iterdir()}
    assert {name[0] for name in scripts} == {"v", "s", "p", "r", "t"}
    assert all(re.fullmatch(r'dama\.take\("\w+","[A-Za-z0-9+/=]+"\)\n', text) for text in scripts.values())
    assert "chunk-v" not in index.read_text().replace('"chunk-"', "")


def test_a_file_or_a_folder_in_the_way_is_an_error(tmp_path: Path) -> None:
    store = example(tmp_path)
    (tmp_path / "x.html").mkdir()
    (tmp_path / "plain").write_text("")
    for place in ("x.html", "plain"):
        with pytest.raises(UsageError, match=r"name a file that ends in \.html"):
            write_html(View(Snapshot(store)), tmp_path / place)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(UsageError, match="plain is a file, and a directory is needed there"):
        write_html(View(Snapshot(example(tmp_path))), tmp_path / "plain" / "report.html")


def test_samples_are_good_bad_or_failed_by_their_own_figures(tmp_path: Path) -> None:
    store = example(tmp_path)
    (record,) = store.evaluations(run="dama-s1")
    states = {sample: verdict[0] for sample, verdict in verdict_chunk(Snapshot(store), record).items()}
    assert states == {"0": BAD, "1": GOOD, "2": BAD, "3": GOOD, "4": BAD, "5": FAILED}
    assert verdict_chunk(Snapshot(store), record)["5"][4] == "no reply"


def test_pictures_are_small_and_broken_ones_are_left_out() -> None:
    big = io.BytesIO()
    Image.new("RGB", (2000, 1000), "red").save(big, "PNG")
    assert Image.open(io.BytesIO(thumbnail(big.getvalue))).size == (THUMBNAIL, THUMBNAIL // 2)
    assert thumbnail(lambda: b"not an image") == b""


def test_the_filters_share_is_counted_on_the_probe_pairs(tmp_path: Path) -> None:
    """Six pairs with gaps 0, 1, .. 5 at step 10, R_bar 5, keep 0.5: pairs 5, 4, 3 stay; hard is {0, 1}, easy {4, 5}."""
    store = Store(tmp_path / "r.sqlite")
    log = store.start_alignment("g", method="gap", seed=0, panel="", key="g", config={"objective": {"keep": 0.5}})
    log.log_hardness("train", {f"p{i}": float(i) for i in range(6)})
    log.log_gaps(10, "train", [(f"p{i}", float(i)) for i in range(6)])
    log.log_step(10, {"r_bar": 5.0, "beta_mean": 0.1})
    store.finish_alignment("g", status="done", model_dir="m", seconds=1.0)
    assert kept_shares(read_evidence(Snapshot(store))[""]) == {"gap": {"hard": 0.0, "middle": 0.5, "easy": 1.0}}


def test_the_command_repeats_the_alignment(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    config = {"method": "dama", "model": "my model", "data": "p.jsonl", "seed": 3, "lr": 5e-7, "limit": None,
              "objective": {"beta": 0.2}, "device": "cpu"}  # fmt: skip
    store.start_alignment("it's", method="dama", seed=3, panel="clean", key="k", config=config)
    words = command_of(store.alignments()[0])
    assert words == (
        "python cli.py align --name 'it'\"'\"'s' --method dama --model 'my model' --data p.jsonl --seed 3 "
        "--set panel=clean --set lr=5e-07 --set beta=0.2"
    )


def test_runs_that_differ_in_their_seed_alone_share_a_command(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    for name, seed, lr in (("dpo-s0", 0, 1e-6), ("dpo-s1", 1, 1e-6), ("dpo-s2", 2, 1e-6), ("hot", 0, 1e-5)):
        config = {"method": "dpo", "model": "m", "data": "p.jsonl", "seed": seed, "lr": lr}
        store.start_alignment(name, method="dpo", seed=seed, panel="", key=name, config=config)
    found = alignment_commands(store.alignments())
    assert [c["again"] for c in found] == [["--name dpo-s1 --seed 1", "--name dpo-s2 --seed 2"], []]
    assert [c["command"] for c in found] == [command_of(store.alignments()[i]) for i in (0, 3)]


def test_the_page_says_of_its_price_only_what_it_shows(tmp_path: Path) -> None:
    """Without a coverage curve nothing is said to be drawn as one, and a single row is compared with nothing."""
    page = page_of(example(tmp_path))
    assert "the one that covers more is better" in page and "each method is drawn as a curve" not in page
    assert "A single row is compared with nothing." not in page
    other = Store(tmp_path / "other.sqlite")
    add(other, "base", answers([2] * 6))
    assert "A single row is compared with nothing." in page_of(other)


def test_the_answer_in_words_is_the_first_line_of_every_panel(tmp_path: Path) -> None:
    store = study(tmp_path / "r.sqlite", methods=("dpo", "dama"), seeds=1, panels=("clean", "flipped"), images=12)
    view = View(Snapshot(store))
    page = render_html(view, Chunks(None, 10**7))
    lines = [html.unescape(line) for line in re.findall(r'<p class="answer-line">(.*?)</p>', page)]
    assert [line.replace("\u00a0", " ") for line in lines] == conclusions(view.tables) and len(lines) == 2
    assert "\u00a0%" in lines[0] and " %" not in lines[0], "no line begins with a unit"
    assert page.index('<p class="answer-line">') < page.index('<article class="card') < page.index("<table")


def test_rows_are_ranked_by_the_primary_figure_and_ties_with_the_best_are_marked(tmp_path: Path) -> None:
    """best 0 %, near 4 % (one of 24 mentions), worse 50 %: near is not distinguishable from best on six images."""
    store = Store(tmp_path / "r.sqlite")
    for run, bad in (("worse", [2] * 6), ("near", [1, 0, 0, 0, 0, 0]), ("best", [0] * 6)):
        add(store, run, answers(bad), alignment=None)
    tables = build_tables(snapshot(store))
    rows = ranked(tables)
    assert [(row["label"], row["place"]) for row in rows] == [("best", 1), ("near", 2), ("worse", 3)]
    assert rows[1]["near"] == "not distinguishable from best" and rows[0]["near"] == ""
    cards = re.findall(
        r'<article class="card.*?</svg>(.*?)</h3>', render_html(View(snapshot(store)), Chunks(None, 10**7))
    )
    assert cards == ["best", "near", "worse"]


def test_a_store_without_base_and_dpo_has_cards_differences_and_charts(tmp_path: Path) -> None:
    page = page_of(answers_of_others(tmp_path / "r.sqlite", ["api-one", "api-two", "file-three"], images=12))
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    (panel,) = data["panels"]
    assert panel["reference"] in ("api-one", "api-two", "file-three") and len(panel["parts"]) == 3
    assert len(re.findall(r'<article class="card', page)) == 3
    assert len(re.findall(r'<small class="delta', page)) >= 2 * 7, "two other rows, seven headline metrics"
    assert "difference to " + panel["reference"] in page


def test_every_row_can_be_the_reference(tmp_path: Path) -> None:
    """The part of a reference says the differences of the tables that are made against it, cell by cell."""
    chunks = Chunks(None, 10**7)
    store = study(tmp_path / "r.sqlite", seeds=2, images=12)
    page = render_html(View(Snapshot(store)), chunks)
    (panel,) = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])["panels"]
    parts = dict(panel["parts"])
    assert set(parts) == {"base", "dpo", "hardness", "gap", "dama"}
    part = unpack(chunks.inline[parts["gap"]])
    tables = build_tables(Snapshot(store), short=True, against="gap")
    table = next(t for t in tables if t.condition.benchmark == "mmhal")
    row = next(r for r in table.rows if r.label == "dama")
    found = row.cells["score"].versus["gap"]
    assert f"{found.value:+.2f}" in part["deltas"][f"{condition_key(table.condition)} score dama"]
    assert f"[{found.low:.2f}, {found.high:.2f}]" in part["deltas"][f"{condition_key(table.condition)} score dama"]
    assert not [key for key in part["deltas"] if key.endswith(" gap")], "a row is not compared with itself"
    assert "difference to gap" in part["forests"] and "difference to dpo" not in part["forests"]


def test_what_no_page_has_room_for_cannot_be_chosen(tmp_path: Path) -> None:
    page = render_html(View(Snapshot(example(tmp_path))), Chunks(None, 10))
    assert json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])["panels"][0]["parts"] == []


def test_the_tables_of_a_panel_can_be_copied(tmp_path: Path) -> None:
    chunks, view = Chunks(None, 10**7), View(Snapshot(example(tmp_path)))
    page = render_html(view, chunks, COPIES)
    texts = unpack(chunks.inline["t0"])
    assert texts == {"csv": to_csv(view.tables), "md": markdown(view.tables), "tex": latex(view.tables)}
    assert re.findall(r'data-copy="(\w+)"', page) == ["csv", "md", "tex"]


def test_why_says_its_finding_from_the_gaps(tmp_path: Path) -> None:
    """Gaps of pair i are step * i / 10 + seed: after ten steps 4.5, 2.5 and 0.5 in seed 0, one more in seed 1."""
    page = page_of(example(tmp_path))
    assert "dpo 5.00, 3.00 and 1.00 (easy - hard +4.00); dama 5.00, 3.00 and 1.00" in page
    assert "holds under 2 of 2 methods." in page


def test_differences_can_be_read_without_a_pointer(tmp_path: Path) -> None:
    """Interval and p-value of every difference are text of the page, in the ranking, the cards and the forests."""
    page = page_of(example(tmp_path))
    tables = {t.panel: t for t in build_tables(Snapshot(example(tmp_path / "again")))}
    row = next(r for r in tables["clean"].rows if r.label == "dama")
    cell = row.cells["chair"]
    found, p = cell.versus["dpo"], p_text(cell.holm["dpo"]).replace("<", "&lt;")
    span = f"[{found.low:.1f}, {found.high:.1f}]"
    visible = re.sub(r'<title>.*?</title>|\s(title|aria-label)="[^"]*"', "", page)
    assert f'<span class="range">{span} <span class="p">p {p}</span></span>' in visible
    assert 'class="figures"' in visible and f"{found.value:.1f} {span}  p {p}</text>" in visible


def test_a_card_has_a_verdict_against_dpo_and_against_base(tmp_path: Path) -> None:
    page = page_of(example(tmp_path))
    cards = dict(re.findall(r'<article class="card.*?</svg>(.*?)</h3>(.*?)</article>', page, re.S))
    verdicts = {name: re.findall(r'class="verdict \w+">. [\w ]* (\w+)</p>', card) for name, card in cards.items()}
    assert verdicts == {"base": ["dpo"], "dpo": ["base"], "dama": ["dpo", "base"]}


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_card_says_of_one_seed_that_it_is_about_checkpoints(tmp_path: Path, seeds: int) -> None:
    page = page_of(study(tmp_path / "r.sqlite", methods=("dpo", "dama"), seeds=seeds, images=12))
    verdicts = [v for v in re.findall(r'class="verdict \w+">(.*?)</p>', page) if "extrapolated" not in v]
    assert verdicts and [verdict.endswith("(as checkpoints)") for verdict in verdicts] == [seeds == 1] * len(verdicts)
    assert (", as checkpoints</text>" in page) == ("differ, not that the methods do" in page) == (seeds == 1)


def test_a_card_says_of_rows_without_a_common_sample_that_they_cannot_be_compared(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    add(store, "base", {**answers([2, 1, 2])})
    add(store, "other", {"7": verdict(1), "8": verdict(0)}, alignment=None)
    page = page_of(store)
    verdicts = re.findall(r'class="verdict \w+">(.*?)</p>', page)
    assert verdicts == ["· cannot be compared with base"] and "not distinguishable from base" not in page


def test_how_often_seeds_of_one_method_differ_stands_once_below_its_own_panel(tmp_path: Path) -> None:
    store = study(tmp_path / "r.sqlite", methods=("dpo", "dama"), seeds=2, panels=("clean", "flipped"), images=12)
    view = View(Snapshot(store))
    page = render_html(view, Chunks(None, 10**7))
    of_panels = page.partition('<section id="ranking">')[2].split('<div class="panel" data-panel=')[1:3]
    said = [re.findall(r"A/A: (two seeds of one method differ .*?)</p>", panel) for panel in of_panels]
    assert said == [[a_a_rate([t for t in view.tables if t.panel == panel])] for panel in ("clean", "flipped")]
    assert "p is Holm-adjusted over all pairs of rows" in page and "Holm-adjusted over all pairs" in markdown(
        view.tables
    )
    assert page.count("two seeds of one method differ") == 2 == markdown(view.tables).count("A/A (")


def test_methods_beyond_the_colours_have_another_mark(tmp_path: Path) -> None:
    store = example(tmp_path)
    for i in range(18):
        add(store, f"m{i:02}", answers([1] * 6), alignment=None)
    page = page_of(store)
    legend = re.findall(r'<button type="button" data-series="(.*?)".*?<svg class="key (.*?)"', page)
    kinds = {name: kind for name, kind in legend if not name.endswith(" pairs")}
    assert len(kinds) == 21 and len(set(kinds.values())) == 21
    assert kinds["base"] == "c8 m3" and kinds["dpo"] == "c0 m0"


def test_a_training_that_diverged_breaks_no_page(tmp_path: Path) -> None:
    """Its gaps are stored as NULL, its logged values as what JSON makes of them."""
    store = Store(tmp_path / "r.sqlite")
    config = {"objective": {"keep": 0.5}}
    for name, bad in (("good", False), ("bad", True)):
        log = store.start_alignment(name, method=name, seed=0, panel="", key=name, config=config)
        log.log_hardness("train", {f"p{i}": math.nan if bad else float(i) for i in range(6)})
        for step in (0, 10):
            log.log_gaps(step, "train", [(f"p{i}", math.nan if bad else float(i)) for i in range(6)])
        log.log_step(10, {"r_bar": math.nan if bad else 5.0, "beta_mean": math.nan if bad else 0.1})
        store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
    page = page_of(store)
    read(page)
    assert not re.search(r"\b(nan|inf|None)\b", re.sub(r"<script.*?</script>", "", page, flags=re.S))
    assert set(kept_shares(read_evidence(Snapshot(store))[""])) == {"good"}
