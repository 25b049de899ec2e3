"""A name and an answer with everything in them that a format could obey go through every format as text."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from harness.protocols.benchmark import Sample
from harness.store import Store
from harness.util.visible import UNSEEN, on_one_line
from leaderboards.charts.gap_curves import write_figures
from leaderboards.charts.plots import write_plots
from leaderboards.formats.data import spreadsheet_cell
from leaderboards.formats.latex import latex
from leaderboards.formats.markdown import literal
from leaderboards.formats.registry import FORMATS, format_names
from leaderboards.page.html import write_html
from leaderboards.rows import Table, build_tables
from leaderboards.snapshot import Snapshot
from leaderboards.view import View
from tests.leaderboards.fakes import add, answers, example, snapshot

EVIL = (
    "=HYPERLINK(1) </script><script>alert(1)</script><img src=x onerror=alert(1)> [a](javascript:alert(1)) ![i](x) "
    "`c` **b** __u__ ~~s~~ | \\input{/etc/passwd}\\write18{id} ${7*7}$ {{ 7*7 }} & &lt; # % ^ \" ' http://x.y www.x.y "
    "\u2028\u202e\x1b[31m\r\n\x00 😀 中"
)
SHOWN = on_one_line(EVIL)


def hostile(path: Path) -> Store:
    """The example store with a run, a panel, a judge, a version and answers called EVIL."""
    store = example(path)
    log = store.start_alignment(EVIL, method=EVIL, seed=0, panel=EVIL, key="k", config={"data": EVIL})
    log.log_gaps(1, "train", [(f"p{i}", float(i)) for i in range(6)])
    log.log_hardness("train", {f"p{i}": float(i) for i in range(6)})
    store.finish_alignment(EVIL, status="done", model_dir=EVIL, seconds=1.0)
    add(store, EVIL, answers([1, 0] * 3), info={"notes": [EVIL]})
    add(store, "base", answers([1] * 6), benchmark="mmhal", judge=EVIL, version=EVIL, data_key='../../out"];alert(1)//')
    store.save_samples("d", [Sample(str(i), EVIL, group=EVIL, data={"truth": EVIL}) for i in range(6)])
    with store.db.conn:
        store.db.conn.execute("UPDATE verdict SET answer = ?", [EVIL])
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def tables(store: Store) -> Sequence[Table]:
    return build_tables(snapshot(store), resamples=20)


@pytest.mark.parametrize("kind", format_names())
def test_no_format_writes_what_cannot_be_seen(store: Store, kind: str) -> None:
    text = FORMATS.get(kind)().render(View(Snapshot(store)))
    if kind == "json":  # which quotes it, and is read by programs
        text = "".join(row["method"] for row in json.loads(text) if row["method"] != EVIL)
    assert not UNSEEN.search(text)


def test_markdown_shows_a_name_and_nothing_of_it_is_obeyed(store: Store) -> None:
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    made = page.render(FORMATS.get("markdown")().render(View(Snapshot(store))))
    tags = set(re.findall(r"<(\w+)", made))
    assert tags <= {"h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "code"}
    for table in re.findall(r"<table>.*?</table>", made, re.S):
        assert len({len(re.findall(r"<t[hd]\b", row)) for row in re.findall(r"<tr>.*?</tr>", table, re.S)}) == 1
    cells = ["".join(Reader(cell).texts) for cell in re.findall(r"<td>(.*?)</td>", made, re.S)]
    assert SHOWN.strip() in cells, "the row's name, character for character"


class Reader(HTMLParser):
    """The elements of a page with their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("text", ["object_halbench", "dama lr=1e-05", "CHAIRi ↓", "a (b), c: d; 50 %", "n-1 + 2"])
def test_ordinary_names_stand_in_markdown_as_they_are(text: str) -> None:
    assert literal(text) == text


def test_a_spreadsheet_takes_no_cell_for_a_formula_and_numbers_stay_numbers(store: Store) -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS.get("csv")().render(View(Snapshot(store))))))
    named = [row for row in rows if row["method"].endswith(SHOWN)]
    assert named and all(row["method"] == f"'{SHOWN}" for row in named)
    for row in rows:
        for value in row.values():
            assert value == "" or value[0] not in "=+-@\t\r" or float(value) <= 0
    assert any(value.startswith("-") for row in rows for value in row.values()), "there are negative differences"
    assert spreadsheet_cell(-1.5) == -1.5 and spreadsheet_cell(None) is None
    for beginning in ("=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\x00=1", "\uff1d1"):
        assert spreadsheet_cell(beginning).startswith("'")


def test_latex_has_no_command_but_its_own(tables: Sequence[Table]) -> None:
    own = {
        "begin", "end", "centering", "caption", "label", "resizebox", "linewidth", "toprule", "midrule", "bottomrule",
        "cmidrule",
        "multicolumn", "textbf", "underline", "scriptsize", "pm", "uparrow", "downarrow", "Delta", "cdot", "ldots",
        "textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "usepackage",
    }  # fmt: skip
    text = latex(tables, differences=True)
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= own
    bare = re.sub(r"\\.", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    within = "\n".join(line for line in bare.splitlines() if not line.startswith("% "))
    assert re.findall(r"%.*", within) == ["%"] * text.count(r"\resizebox"), "no name begins a comment"


def test_a_row_called_like_an_argument_is_none(tmp_path: Path) -> None:
    store = example(tmp_path)
    add(store, "[9cm] x", answers([1] * 6), alignment=None)
    add(store, "* y", answers([1] * 6), alignment=None)
    text = latex(build_tables(snapshot(store), resamples=20))
    assert "\n{}[9cm] x &" in text and "\n{}* y &" in text
    assert not re.search(r"\\\\\s*[\[*]", text)


@pytest.mark.parametrize("name", ["page.html", "folder"])
def test_the_page_has_no_element_of_a_name_and_its_policy_allows_its_own_code_alone(
    store: Store, tmp_path: Path, name: str
) -> None:
    (file,) = write_html(View(Snapshot(store), published="all"), tmp_path / name)
    page = file.read_text(encoding="utf-8")
    seen = Reader(page).seen
    assert not [tag for tag, _ in seen if tag in ("img", "iframe", "object", "embed", "form", "base")]
    assert not [attribute for _, attributes in seen for attribute in attributes if attribute.startswith("on")]
    assert {of["href"] for _, of in seen if "href" in of} <= {
        *("data:,", "#help", "#much", "#price", "#why", "#samples", "#from", "#ranking")
    }
    policy = next(of["content"] or "" for tag, of in seen if tag == "meta" and "http-equiv" in of)
    assert "unsafe" not in policy and "http" not in policy and "default-src 'none'" in policy
    assert ("strict-dynamic" in policy) == (name == "folder")
    for tag in ("script", "style"):
        (code,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_no_file_beside_the_page_is_named_by_a_results_file(store: Store, tmp_path: Path) -> None:
    write_html(View(Snapshot(store)), tmp_path / "a" / "b")
    made = sorted(file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file())
    assert len(made) > 5 and all(re.fullmatch(r"a/b/(index\.html|samples/[svprt][\w-]+\.js)", name) for name in made)
    for file in (tmp_path / "a" / "b" / "samples").iterdir():
        assert re.fullmatch(rf'dama\.take\("{file.stem}","[A-Za-z0-9+/=]*"\)\n', file.read_text())


def test_figures_show_names_as_text_and_are_valid_svg(store: Store, tables: Sequence[Table], tmp_path: Path) -> None:
    files = [*write_figures(Snapshot(store), tmp_path), *write_plots(tables[:1], tmp_path)]
    drawn = [file for file in files if file.suffix == ".svg"]
    assert len(drawn) >= 3 and all(file.parent == tmp_path and len(file.name) < 200 for file in files)
    for file in drawn:
        tree = ElementTree.parse(file)
        assert not [e for e in tree.iter() if e.tag.rpartition("}")[2] in ("script", "a", "image", "foreignObject")]
    assert any("${7*7}$" in file.read_text(encoding="utf-8") for file in drawn), "a dollar sign begins no formula"
