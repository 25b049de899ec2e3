from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.store import Store
from leaderboards.formats.latex import latex, published_latex, tex
from leaderboards.formats.markdown import markdown
from leaderboards.published import published_block
from leaderboards.rows import Table, build_tables
from tests.leaderboards.fakes import add, answers, example, one_seed, snapshot


def tables_of(store: Store) -> list[Table]:
    return build_tables(snapshot(store), resamples=100)


def body(text: str) -> list[list[str]]:
    """The cells of the first table's rows, read as a LaTeX reader would: rows end in \\, cells at an unescaped &."""
    rows = text.split(r"\midrule", 1)[1].split(r"\bottomrule", 1)[0].split(r"\\")
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", row)] for row in rows if row.strip()]


def test_methods_stand_by_benchmarks_with_the_best_bold_and_the_second_underlined(tmp_path: Path) -> None:
    clear = {row[0]: row[1:] for row in body(latex(tables_of(one_seed(tmp_path / "one"))))}
    assert clear["base"][0].startswith("50.0") and clear["base"][0].endswith("$^{-*}$"), "worse than dpo"
    assert clear["dama"][0].startswith(r"\textbf{") and clear["dama"][0].endswith("$^{+*}$")
    text = latex(tables_of(example(tmp_path)))
    rows = {row[0]: row[1:] for row in body(text)}
    assert list(rows) == ["base", "dpo", "dama"]
    assert rows["dpo"][0].startswith(r"\underline{37.5}{\scriptsize $\pm$")
    assert r"\multicolumn{" in text and r"\cmidrule(lr){2-" in text
    assert "dama 11/12" in text, "incomplete rows are named"


def test_differences_come_with_interval_and_p_where_asked(tmp_path: Path) -> None:
    tables = tables_of(example(tmp_path))
    text = latex(tables, differences=True)
    assert text.startswith(latex(tables))
    rows = [row for part in text.split(r"\begin{table}")[2:] for row in body(part)]
    assert [row[0] for row in rows] == ["base", "dama", "dpo", "dama"]
    assert rows[3][1] == r"-37.5 {\scriptsize [-75.7, 0.7] $\pm$0.0 $\pm$38.2, p .155}"


def test_both_parts_of_an_interval_stand_in_a_cell_and_in_a_difference(tmp_path: Path) -> None:
    """A figure of +- 3.0 from the samples and +- 4.0 from the seeds, and a difference of +- 1.5 and +- 2.5."""
    (table, *_) = tables_of(example(tmp_path))
    rows = []
    for row in table.rows:
        cell = row.cells["chair"]
        versus = {name: replace(d, samples=1.5, seeds=2.5) for name, d in cell.versus.items()}
        rows.append(replace(row, cells={**row.cells, "chair": replace(cell, samples=3.0, seeds=4.0, versus=versus)}))
    text = latex([replace(table, rows=tuple(rows))], differences=True)
    assert r"{\scriptsize $\pm$3.0$\pm$4.0}" in text and r"$\pm$1.5 $\pm$2.5, p" in text
    assert "±3.0 ±4.0)" in markdown([replace(table, rows=tuple(rows))])


def test_a_caption_says_seeds_and_samples_and_leaves_the_version_to_a_comment(tmp_path: Path) -> None:
    text = latex(tables_of(example(tmp_path)), differences=True)
    captions = re.findall(r"\\caption\{(.*)\}\n", text)
    assert len(captions) == 3 and all("AMBER, 6 samples" in caption for caption in captions)
    assert all("2 seeds: dama, dpo; 1 seed: base." in c or "2 seeds: dpo, dama; 1 seed: base." in c for c in captions)
    assert not any("version" in caption for caption in captions) and "% AMBER: judge none" in text
    assert "version 1" in text.partition(r"\begin{table}")[0]
    assert "checkpoints" not in text
    (tmp_path / "one").mkdir()
    captions = re.findall(r"\\caption\{(.*)\}\n", latex(tables_of(one_seed(tmp_path / "one")), differences=True))
    assert len(captions) == 3 and all("these checkpoints differ, not that the methods do" in c for c in captions)


def test_every_table_has_a_label_of_its_own(tmp_path: Path) -> None:
    """Two judges of one benchmark give two tables of differences to one row."""
    store = example(tmp_path)
    for run, count in (("base", 2.0), ("dpo-s0", 1.0), ("dpo-s1", 1.0)):
        add(store, run, answers([count] * 6), judge="another")
    labels = re.findall(r"\\label\{(.*?)\}", latex(tables_of(store), differences=True))
    assert labels[0] == "tab:clean" and "tab:clean-amber-against-base-2" in labels
    assert len(set(labels)) == len(labels) == latex(tables_of(store), differences=True).count(r"\begin{table}")


def test_every_row_has_as_many_cells_as_the_header_and_groups_close(tmp_path: Path) -> None:
    store = example(tmp_path)
    add(store, "base", answers([0, 1]), benchmark="mmhal", judge="j_1 & co")
    text = latex(tables_of(store))
    assert len({len(row) for row in body(text)}) == 1
    for opening, closing in (("{", "}"), (r"\begin{tabular}", r"\end{tabular}"), (r"\begin{table}", r"\end{table}")):
        assert text.count(opening) == text.count(closing)
    assert r"j\_1 \& co" in text


def test_what_latex_reads_as_commands_is_escaped() -> None:
    assert tex(r"50 % of a_b & c\d ↑") == r"50 \% of a\_b \& c\textbackslash{}d $\uparrow$"


def test_no_evaluations_say_what_to_do() -> None:
    assert "run `bench`" in latex([])


@pytest.mark.needs("tex")
def test_it_compiles(tmp_path: Path) -> None:
    tables = [replace(t, panel="100 % #1_a") for t in tables_of(example(tmp_path))]
    document = [
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}",
        latex(tables, differences=True),
        published_latex(published_block([], (), "all")),
    ]
    (tmp_path / "a.tex").write_text("\n".join([*document, r"\end{document}"]))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"], cwd=tmp_path, check=False
    )
    assert done.returncode == 0
