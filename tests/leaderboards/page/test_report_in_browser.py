"""The HTML report in a real browser, with a store made of hostile text."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.protocols.benchmark import Sample, Verdict
from harness.store import Store
from leaderboards.page.html import write_html
from leaderboards.snapshot import Snapshot
from leaderboards.view import View
from tests.leaderboards.browser import Browser
from tests.leaderboards.fakes import add, answers, example
from tests.leaderboards.formats.test_shared_output import EVIL
from tests.leaderboards.formats.test_shared_output import hostile as evil_store

pytestmark = pytest.mark.needs("browser")

NASTY = {
    "0": "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "1": "شجرة خضراء بجانب <b>البحر</b> dog",
    "2": "dog " * 25_000,
    "3": "{{ 7 * 7 }} & &amp; \ud800 \x00 done",
}


def hostile(path: Path) -> Store:
    """The example store with real samples, and two runs whose names, answers and details try to break the page."""
    store = example(path)
    prompts = ["Is there <i>a</i> dog?", *[f"Describe image {i}." for i in range(1, 6)]]
    samples = [
        Sample(str(i), prompt, group=f"image-{i}", data={"kind": "generative"}) for i, prompt in enumerate(prompts)
    ]
    store.save_samples("d", samples)
    for run, bad in (("<b>evil</b>", 2.0), ("plain", 0.0)):
        values = {
            "captions": 1.0,
            "mentions": 4.0,
            "hallucinated": bad,
            "hallucinating": float(bad > 0),
            "covered": 1.0,
            "truths": 2.0,
        }
        verdicts = {
            str(i): Verdict(values, details={"hallucinated": ["dog"], "reply": "<script>1</script>"}) for i in range(5)
        }
        verdicts["5"] = Verdict({}, error="the judge said <nothing>")
        add(store, run, verdicts, alignment=None)
        number = store.evaluations(run=run)[0].id
        with store.db.conn:
            for sample, text in NASTY.items():
                answer = text if run != "plain" else "A dog."
                stored = answer.encode("utf-8", "replace").decode()
                store.db.conn.execute(
                    "UPDATE verdict SET answer=? WHERE evaluation=? AND sample_id=?", [stored, number, sample]
                )
    return store


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module", params=["report.html", "folder"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    (file,) = write_html(View(Snapshot(hostile(root)), published="all"), root / request.param)
    return file


WIDTHS = [(390, 844), (1360, 900)]
ROWS = "[...document.querySelectorAll('table.ranking tbody tr')].filter(r => !r.hidden && r.offsetParent)"
METHODS = f"return {ROWS}.map(r => r.dataset.method)"
DRILL = "[...document.querySelectorAll(\"tr[data-method='<b>evil</b>'] .figure\")].find(f => f.offsetParent).click()"
CARDS = "return document.querySelectorAll('.sample').length"


@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_the_page_works_without_a_network(browser: Browser, page: Path, width: int, height: int) -> None:
    browser.open(page, width, height)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), (
        "nothing but tables scrolls sideways"
    )

    before = browser.run(METHODS)
    head = "table.ranking thead tr:nth-child(2) th:nth-child(2) button"
    browser.run(f"document.querySelector('{head}').click()")
    values = f"return {ROWS}.map(r => r.cells[2].dataset.v).filter(v => v)"
    ascending = [float(v) for v in browser.run(values)]
    assert ascending == sorted(ascending) and len(set(ascending)) > 1
    browser.run(f"document.querySelector('{head}').click()")
    assert [float(v) for v in browser.run(values)] == ascending[::-1]

    browser.press("#filter", "dama")
    assert browser.run(METHODS) == ["dama"] and len(before) > 1
    browser.press("#filter", "\ue003" * 4)
    assert sorted(browser.run(METHODS)) == sorted(before)

    ground = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(ground)
    browser.press("#theme", "\ue007")
    assert browser.run(ground) != light
    browser.press("#theme", "\ue007")
    assert browser.run(ground) == light

    browser.run(DRILL)
    browser.wait(CARDS)
    assert browser.run("return document.querySelector('#d-a').selectedOptions[0].text") == "<b>evil</b> (5/6)"
    addresses = browser.requests()
    assert addresses and all(a.startswith(("file:", "data:")) for a in addresses)
    assert browser.console() == []


def test_hostile_answers_stay_text(browser: Browser, page: Path) -> None:
    browser.open(page, 1360, 900)
    browser.run(DRILL)
    browser.wait(CARDS)
    answers = browser.run("return [...document.querySelectorAll('.side:nth-child(2) .answer')].map(p => p.textContent)")
    assert NASTY["0"] in answers and NASTY["2"] in answers
    assert browser.run("return document.title").startswith("Leaderboard")
    assert browser.run("return document.querySelectorAll('#d-list img, #d-list script, #d-list b').length") == 0
    marked = browser.run("return [...document.querySelectorAll('.side:nth-child(2) mark')].map(m => m.textContent)")
    assert set(marked) == {"dog"}
    assert "the judge said <nothing>" in browser.run("return document.querySelector('#d-list').textContent")
    assert browser.console() == []


ALERTS = "return window.alerts ?? 0"
INJECT = """
    window.alert = () => { window.alerts = (window.alerts ?? 0) + 1; };
    document.body.insertAdjacentHTML('beforeend', arguments[0]);
    document.getElementById('pressed').click();
    document.getElementById('link').click();
"""
CODE = """<img src=x onerror=alert(1)><svg onload=alert(1)></svg><button id=pressed onclick=alert(1)>x</button>
    <a id=link href="javascript:alert(1)">x</a><iframe srcdoc="<script>parent.alert(1)</script>"></iframe>
    <script>alert(1)</script><script src="data:text/javascript,alert(1)"></script>"""


@pytest.mark.parametrize("name", ["evil.html", "evil"])
def test_no_name_and_no_answer_runs_and_the_policy_would_stop_it(browser: Browser, tmp_path: Path, name: str) -> None:
    (file,) = write_html(View(Snapshot(evil_store(tmp_path)), published="all"), tmp_path / name)
    browser.open(file, 1360, 900)  # a dialog of alert() would fail whatever is asked of the browser next
    browser.run("document.getElementById('samples').scrollIntoView({behavior: 'instant'})")
    browser.wait(CARDS)
    assert EVIL.split("</script>")[1].split(" [a]")[0] in browser.run(
        "return document.querySelector('#d-list').textContent"
    )
    assert browser.run("return document.querySelectorAll('main img, #d-list script, a[href^=javascript]').length") == 0
    assert browser.console() == [] and browser.run(ALERTS) == 0
    browser.run(INJECT, CODE)
    assert browser.run(ALERTS) == 0, "even code that came into the page would not run"
    assert all(address.startswith(("file:", "data:")) for address in browser.requests())


def test_only_the_samples_that_differ_are_shown(browser: Browser, page: Path) -> None:
    browser.open(page, 1360, 900)
    browser.run("""
        const choose = (id, wanted) => {
            const select = document.getElementById(id);
            select.value = [...select.options].find(o => o.text.startsWith(wanted)).value;
            select.dispatchEvent(new Event('change'));
        };
        choose('d-a', '<b>evil'); choose('d-b', 'plain'); choose('d-show', 'where the verdicts');""")
    browser.wait("return document.getElementById('d-count').textContent.startsWith('5 of 6')")
    assert browser.run(CARDS) == 5  # sample 5 failed in both
    browser.run("const s = document.getElementById('d-show'); s.value = 'a'; s.dispatchEvent(new Event('change'))")
    browser.wait("return document.getElementById('d-count').textContent.startsWith('0 of 6')")
    browser.run("const s = document.getElementById('d-show'); s.value = 'failed'; s.dispatchEvent(new Event('change'))")
    browser.wait("return document.getElementById('d-count').textContent.startsWith('1 of 6')")


def test_the_samples_load_when_scrolled_to(browser: Browser, page: Path) -> None:
    browser.open(page, 390, 844)
    assert browser.run(CARDS) == 0
    browser.run("document.getElementById('samples').scrollIntoView({behavior: 'instant'})")
    browser.wait(CARDS)


def test_an_empty_store_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    (file,) = write_html(View(Snapshot(Store(tmp_path / "new.sqlite"))), tmp_path / "empty.html")
    browser.open(file, 390, 844)
    assert "python cli.py demo" in browser.run("return document.body.innerText")
    assert browser.console() == []


def panels(path: Path) -> Store:
    """The example store with a second panel of one dpo and two dama seeds, whose samples are stored."""
    store = example(path)
    store.save_samples("d", [Sample(str(i), f"Describe image {i}.") for i in range(6)])
    for name, seed in (("dpo", 0), ("dama", 0), ("dama", 1)):
        run = f"{name}-flipped-s{seed}"
        store.start_alignment(run, method=name, seed=seed, panel="30 % flipped labels", key=run, config={})
        store.finish_alignment(run, status="done", model_dir="m", seconds=1.0)
        add(store, run, answers([1] * 6))
    return store


PRESS = """
    [...document.querySelectorAll(`tr[data-method='${arguments[0]}'] .figure`)].find(f => f.offsetParent).click();
    return ['d-a', 'd-b'].map(id => document.getElementById(id).selectedOptions[0].text.split(' ')[0])"""


def test_a_figure_is_paired_with_a_run_of_the_open_panel(browser: Browser, tmp_path: Path) -> None:
    (file,) = write_html(View(Snapshot(panels(tmp_path))), tmp_path / "two.html")
    browser.open(file, 1360, 900)
    assert browser.run(PRESS, "dama") == ["dama-s0", "dpo-s0"]
    assert browser.run(PRESS, "base") == ["base", "dpo-s0"]
    browser.run("document.getElementById('tab-1').click()")
    assert browser.run(PRESS, "base") == ["base", "dpo-flipped-s0"]
    assert browser.run(PRESS, "dpo") == ["dpo-flipped-s0", "base"]
    assert browser.run(PRESS, "dama") == ["dama-flipped-s0", "dpo-flipped-s0"]
    browser.wait(CARDS)
    assert browser.console() == []


def test_answers_that_were_left_out_are_said_to_be(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = panels(tmp_path)
    store.save_samples("e", [Sample("0", secrets.token_hex(20_000))])
    add(store, "base", answers([1] * 6), judge="other", data_key="e")
    monkeypatch.setattr("leaderboards.page.html.INLINE_LIMIT", 20_000)
    (file,) = write_html(View(Snapshot(store)), tmp_path / "large.html")
    browser.open(file, 1360, 900)
    listed = browser.run("""
        const all = [...document.querySelectorAll("tr[data-method='base'] .figure")].filter(f => f.offsetParent);
        const known = new Set(data.evaluations.map(e => e.condition));
        const missing = all.find(f => !known.has(f.dataset.condition));
        missing.click();
        return known.size""")
    assert listed == 1
    browser.wait("return document.getElementById('d-count').textContent.includes('--out DIR')")
    assert browser.run(CARDS) == 0
    assert browser.run(PRESS, "base") == ["base", "dpo-s0"]
    browser.wait(CARDS)
    assert browser.console() == []


def test_long_names_leave_room_for_the_figures(browser: Browser, tmp_path: Path) -> None:
    """On a phone the column of names scrolls along and nothing but tables is wider than the window."""
    store = Store(tmp_path / "r.sqlite")
    for run in ("base", "dpo", "dama combine combine=data-then-model", "hardness aggregation=softmax"):
        add(store, run, answers([1, 2, 1, 0, 1, 2]), alignment=None)
    (file,) = write_html(View(Snapshot(store)), tmp_path / "report.html")
    browser.open(file, 390, 844)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("return document.querySelector('.ranking tbody .name').offsetWidth") <= 130
    outside = """
        return [...document.querySelectorAll('.forest:not([hidden]) svg')].flatMap(svg => {
            const box = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text')].map(t => t.getBoundingClientRect())
                .filter(t => t.left < box.left - 1 || t.right > box.right + 1);
        }).length"""
    assert browser.run("return document.querySelectorAll('.forest:not([hidden]) svg text').length") > 10
    assert browser.run(outside) == 0
    browser.open(file, 1360, 900)
    assert browser.run(outside) == 0
    height = "return document.querySelector('.delta:not([hidden]) .range').offsetHeight"
    assert browser.run(height) > 0
    browser.run("document.getElementById('details').click()")
    assert browser.run(height) == 0
