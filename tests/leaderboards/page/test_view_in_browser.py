"""The view of the report in a real browser: reference, address, filter, charts, phone and paper."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from PIL import Image

from benchmarks.common.amber_figures import yes_no_verdict
from harness.protocols.benchmark import Verdict
from leaderboards.charts.marks import DARK, LIGHT
from leaderboards.formats.html import COPIES
from leaderboards.page.html import write_html
from leaderboards.snapshot import Snapshot
from leaderboards.view import View
from tests.leaderboards.browser import Browser
from tests.leaderboards.fakes import add
from tests.leaderboards.stores import answers_of_others, study

pytestmark = pytest.mark.needs("browser")

MANY = [f"model-{i:02}" for i in range(20)]
CHOOSE = "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
SHOWN = "[...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length)"
AGAINST = f"return {SHOWN}.map(e => e.textContent)"
AXES = ".forest svg text.axis"


def wait_for_reference(browser: Browser, name: str) -> None:
    """Until every forest that is in sight shows differences to that row."""
    axes = SHOWN.replace("arguments[0]", repr(AXES))
    browser.wait(f"return {axes}.every(e => e.textContent === 'difference to {name}')")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(out, "WEBP")
    return out.getvalue()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two panels of four methods with two seeds, with pictures of the hardest pairs."""
    root = tmp_path_factory.mktemp("study")
    store = study(root / "r.sqlite", seeds=2, panels=("clean", "flipped"), images=14)
    pairs = {"question": "q", "chosen": "good", "rejected": "bad", "picture": picture()}
    view = View(Snapshot(store), examples=lambda alignment, ids: dict.fromkeys(ids, pairs))
    (file,) = write_html(view, root / "report.html", COPIES)
    return file


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty models whose answers were scored from files: no base, no dpo, no training."""
    root = tmp_path_factory.mktemp("many")
    store = answers_of_others(root / "r.sqlite", MANY, images=10)
    (file,) = write_html(View(Snapshot(store)), root / "report.html", COPIES)
    return file


def address(browser: Browser) -> dict[str, str]:
    found = parse_qs(browser.run("return location.hash.slice(1)"), keep_blank_values=True)
    return {name: value for name, (value,) in found.items() if value}


def test_any_row_can_be_the_reference_and_back_undoes_it(browser: Browser, page: Path) -> None:
    browser.open(page, 1440, 900)
    assert set(browser.run(AGAINST, AXES)) == {"difference to dpo"}
    browser.run(CHOOSE, "reference", "gap")
    wait_for_reference(browser, "gap")
    assert address(browser) == {"against": "gap"}
    marked = browser.run(AGAINST, "tr.is-reference th.name")
    assert len(marked) == 1 and "gap" in marked[0]
    assert browser.run(AGAINST, "tr[data-method='gap'] .delta") == [], "a row is not compared with itself"
    assert len(browser.run(AGAINST, "tr[data-method='dama'] .delta")) == 8, (
        "five figures of Object HalBench, three of MMHal"
    )
    ticks = browser.run("""
        const cells = m => [...document.querySelectorAll(`.panel:not([hidden]) tr[data-method='${m}'] .mini`)];
        return cells('dama').map((c, i) => [c.querySelector('.ref').getAttribute('x1'), cells('gap')[i].dataset.x])""")
    assert len(ticks) == 8 and all(tick == at for tick, at in ticks)
    browser.run("history.back()")
    wait_for_reference(browser, "dpo")
    assert address(browser) == {} and browser.run("return document.getElementById('reference').value") == "dpo"
    assert browser.console() == []


def test_an_address_restores_panel_reference_sort_and_filter(browser: Browser, page: Path) -> None:
    browser.open(page, 1440, 900)
    head = ".panel:not([hidden]) thead tr:nth-child(2) .sort"
    browser.run("document.getElementById('tab-1').click()")
    browser.run(CHOOSE, "reference", "base")
    browser.run(f"document.querySelector('{head}').click()")
    browser.press("#filter", "da")
    browser.wait("return location.hash.includes('filter=da')")
    wanted = address(browser)
    assert (wanted["panel"], wanted["against"], wanted["filter"]) == ("1", "base", "da") and wanted["sort"]
    browser.open(page, 1440, 900, browser.run("return location.hash"))
    wait_for_reference(browser, "base")
    assert browser.run("return document.getElementById('tab-1').getAttribute('aria-selected')") == "true"
    assert browser.run("return document.getElementById('reference').value") == "base"
    assert browser.run("return document.getElementById('filter').value") == "da"
    assert (
        browser.run(f"return document.querySelector('{head}').closest('th').getAttribute('aria-sort')") == "ascending"
    )
    names = browser.run(f"return {SHOWN}.map(r => r.dataset.method)", "table.ranking tbody tr")
    assert names == ["dama"]


def test_pair_and_sample_are_in_the_address(browser: Browser, page: Path) -> None:
    browser.open(page, 1440, 900)
    browser.run(f"{SHOWN}[0].click()", "tr[data-method='gap'] .figure")
    browser.wait("return document.querySelectorAll('.sample').length")
    assert (address(browser)["a"], address(browser)["b"]) == ("gap-s0", "dpo-s0")
    link = browser.run("return document.querySelector('.sample[data-sample=\\'7\\'] .what a').getAttribute('href')")
    browser.open(page, 1440, 900, link)
    browser.wait("return document.querySelector('.chosen-sample')?.dataset.sample === '7'")
    place = browser.run("return document.querySelector('.chosen-sample').getBoundingClientRect().top")
    assert 0 <= place <= 900, "the sample is in sight"
    assert browser.run("return document.getElementById('d-a').selectedOptions[0].text").startswith("gap-s0")


def test_a_store_without_base_and_dpo_can_be_compared(browser: Browser, many: Path) -> None:
    browser.open(many, 1440, 900)
    assert len(browser.run(AGAINST, ".card")) == 20
    first = browser.run("return document.getElementById('reference').value")
    assert first in MANY and set(browser.run(AGAINST, AXES)) == {f"difference to {first}"}
    browser.run(CHOOSE, "reference", "model-13")
    wait_for_reference(browser, "model-13")
    assert (
        len(
            browser.run(
                "return [...document.querySelector('.forest svg').querySelectorAll('.row')].map(r => r.dataset.series)"
            )
        )
        == 19
    )


def test_twenty_methods_scroll_under_their_heads(browser: Browser, many: Path) -> None:
    browser.open(many, 1440, 900)
    tops = browser.run("""
        const box = document.querySelector('.ranked');
        box.scrollTop = 400;
        return [box.scrollTop, ...[box, box.querySelector('thead')].map(e => e.getBoundingClientRect().top)]""")
    assert tops[0] == 400 and abs(tops[1] - tops[2]) <= 2
    legend = browser.run(
        "return [...document.querySelectorAll('#price .legend [data-series] svg')].map(s => s.getAttribute('class'))"
    )
    assert len(set(legend)) == 20, "a colour and dash of its own for each"
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


def test_the_filter_reaches_every_chart_and_closes_the_gaps(browser: Browser, many: Path) -> None:
    browser.open(many, 1440, 900)
    height = "return document.querySelector('.forest svg').viewBox.baseVal.height"
    whole = browser.run(height)
    browser.press("#filter", "model-03 model-04")
    kept = browser.run(
        "return [...document.querySelectorAll('svg [data-series]:not([hidden])')].map(e => e.dataset.series)"
    )
    assert set(kept) <= {"model-03", "model-04"} and kept
    assert browser.run(height) < 0.3 * whole
    assert len(browser.run(AGAINST, ".card")) == 2 and len(browser.run(AGAINST, "table.ranking tbody tr")) == 2


def test_a_wide_table_says_what_is_out_of_sight(browser: Browser, page: Path) -> None:
    for width in (1440, 700):
        browser.open(page, width, 900)
        wide, hint = browser.run("""
            const box = document.querySelector('.ranked');
            return [box.scrollWidth > box.clientWidth + 8, box.previousElementSibling.innerText]""")
        assert wide == ("MMHal-Bench" in hint), (width, hint)
    assert wide, "at 700 pixels something is out of sight"


def test_the_demonstrations_three_benchmarks_are_seen_at_once(browser: Browser, tmp_path: Path) -> None:
    """Their 16 columns, with intervals as wide as those of 100 images; in a narrower window the rest is named."""
    store = study(tmp_path / "r.sqlite", images=100)
    for run in ["base", *(alignment.name for alignment in store.alignments())]:
        caption = {"captions": 1.0, "mentions": 8.0, "hallucinating": 1.0, "covered": 5.0, "truths": 8.0}
        caption |= {"imagined": 1.0, "imaginable": 4.0, "words": 20.0}
        yes_no = yes_no_verdict("existence", True, "No", "Is there a dog?").counts
        verdicts = {str(i): Verdict({**caption, **yes_no, "hallucinated": float(i % 4)}) for i in range(100)}
        add(store, run, verdicts, alignment=None if run == "base" else run, settings={"similarity": "exact"})
    (file,) = write_html(View(Snapshot(store)), tmp_path / "report.html")
    browser.open(file, 1440, 900)
    assert browser.run("return document.querySelectorAll('th.group').length") == 3
    assert browser.run("const b = document.querySelector('.ranked'); return b.scrollWidth <= b.clientWidth + 8")
    browser.open(file, 390, 844)
    rest = "the rest of Object HalBench, AMBER, MMHal-Bench"
    browser.wait(f"return document.querySelector('.hint').innerText.includes({rest!r})")


def test_a_line_that_is_pressed_is_hidden_in_all_charts(browser: Browser, page: Path) -> None:
    browser.open(page, 1440, 900)
    count = "return document.querySelectorAll(\"svg [data-series='gap']:not([hidden])\").length"
    assert browser.run(count) > 10
    browser.run(
        f"{SHOWN}[0].dispatchEvent(new MouseEvent('click', {{bubbles: true}}))", ".series[data-series='gap'] path"
    )
    assert browser.run(count) == 0
    assert "off" in browser.run("return document.querySelector(\".legend [data-series='gap']\").className")
    browser.run("document.querySelector(\".legend [data-series='gap']\").click()")
    assert browser.run(count) > 10


def test_the_pointer_reads_the_stored_values(browser: Browser, page: Path) -> None:
    """Mean beta of dama at step 40 is 0.1 + 3 * 40 / 2000 = 0.16, of dpo 0.1."""
    browser.open(page, 1440, 900)
    said = browser.run("""
        const charts = [...document.querySelectorAll('figure.chart')].filter(f => f.getClientRects().length);
        const chart = charts.find(f => f.textContent.startsWith('Mean beta'));
        chart.scrollIntoView({behavior: 'instant', block: 'center'});
        const svg = chart.querySelector('svg'), box = svg.getBoundingClientRect(), scales = scalesOf(svg);
        const at = box.left + scales.x(40) / svg.viewBox.baseVal.width * box.width;
        svg.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: at, clientY: box.top + 60}));
        return [...document.querySelectorAll('#readout p')].map(p => [...p.children].map(c => c.textContent))""")
    assert said[0][0] == "optimiser step 40"
    assert ["dpo", "0.1"] in said and ["dama", "0.16"] in said


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
def test_charts_are_whole_and_can_be_read(browser: Browser, page: Path, width: int, height: int) -> None:
    browser.open(page, width, height)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    outside = browser.run("""
        const drawn = [...document.querySelectorAll('figure.chart svg')].filter(s => s.getClientRects().length);
        return drawn.flatMap(svg => {
            const box = svg.closest('.charts > div').getBoundingClientRect();
            return [...svg.querySelectorAll('text, path, circle, polygon')].map(e => e.getBoundingClientRect())
                .filter(e => e.width && (e.left < box.left - 1 || e.right > box.right + 1));
        }).length""")
    assert outside == 0
    sizes = browser.run("""
        return [...document.querySelectorAll('figure.chart svg')].filter(s => s.getClientRects().length).flatMap(svg =>
            [...svg.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize)
                * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width))""")
    assert len(sizes) > 100 and min(sizes) >= (11 if width == 1440 else 9.5)


def test_both_themes_draw_in_the_colours_that_were_checked(browser: Browser, page: Path) -> None:
    browser.open(page, 1440, 900)
    for theme, palette in (("light", LIGHT), ("dark", DARK)):
        drawn = browser.run("""
            document.documentElement.dataset.theme = arguments[0];
            const first = [0, 1, 2, 3].map(i => document.querySelector(`.legend .c${i}`));
            return first.map(e => getComputedStyle(e).color)""", theme)  # fmt: skip
        assert drawn == [f"rgb({int(c[1:3], 16)}, {int(c[3:5], 16)}, {int(c[5:7], 16)})" for c in palette[:4]]


def test_pictures_enlarge_and_tables_are_copied(browser: Browser, page: Path) -> None:
    browser.open(page, 1440, 900)
    drawn = "[...document.querySelectorAll('.pair .zoom')].filter(e => e.getClientRects().length)"
    browser.wait(f"return {drawn}.length === 6")
    size = browser.run(f"""
        {SHOWN}[0].click();
        const large = document.getElementById('large');
        return [large.open, large.querySelector('img').getBoundingClientRect().width]""",
        ".pair .zoom")  # fmt: skip
    assert size[0] and size[1] > 500
    browser.run("document.getElementById('large').click()")
    assert not browser.run("return document.getElementById('large').open")
    browser.run("document.querySelector('[data-copy=csv]').click()")
    browser.wait("return document.getElementById('copied').textContent === 'copied'")
    saved = browser.run("""
        const chart = [...document.querySelectorAll('.forest figure')].find(f => f.getClientRects().length);
        return standalone(chart.querySelector('svg')).text""")
    assert saved.startswith("<svg") and "difference to dpo" in saved and "data-" not in saved and "class=" not in saved


def test_two_panels_print_on_eight_pages_with_their_commands(browser: Browser, page: Path) -> None:
    browser.open(page, 1440, 900)
    browser.run("addEventListener('beforeprint', () => { window.open_lists = all('[data-print][open]').length; })")
    assert browser.printed() <= 8
    assert browser.run("return window.open_lists") == 2, "both lists of commands are open on paper"
