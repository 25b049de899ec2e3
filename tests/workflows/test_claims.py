"""Claims as experiments: read from recipes, compared over base models by hand-worked figures, written as a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cli
from harness.errors import UsageError
from harness.protocols.benchmark import Sample, Verdict
from harness.stats import Difference
from harness.store import Store
from leaderboards.crossed import Contrast
from recipes import RECIPES
from tests.leaderboards.fakes import add
from workflows.ablation import Job, jobs, read_ablation
from workflows.ablation_jobs import resolved
from workflows.claims import Claim, Compared, Expected, claim_names, claim_of, crossed_rows, read_claim, results
from workflows.claims_page import anchor, page

IMAGES = 4
HALLUCINATED = {  # of ten mentions, by row, base and seed
    ("dpo", 0): (2, 3), ("dpo", 1): (4, 4), ("dama", 0): (1, 1), ("dama", 1): (3, 5),
}  # fmt: skip
ABLATION: dict[str, Any] = {
    "bases": [0, 1],
    "seeds": [0, 1],
    "panels": [{"name": "clean", "set": {"label_noise": 0.0}}],
    "methods": [{"method": "dpo"}, {"method": "dama"}],
    "benchmarks": ["object_halbench"],
}
VALUES: dict[str, Any] = {
    "title": "Less is more",
    "claim": "DAMA hallucinates less.",
    "figures": ["object_halbench.chair_i", "gap.easy"],
    "comparisons": [
        {"row": "dama", "against": "dpo", "expect": "lower"},
        {"row": "dpo", "expect": "higher", "figure": "gap.easy_less_hard"},
    ],
}


def claim() -> Claim:
    return claim_of(VALUES, ABLATION)


def experiment(path: Path, *, but: str = "") -> Store:
    """The runs of ``claim``, with what they would have been told; all but the one of that name."""
    store = Store(path)
    store.save_samples("d", [Sample(str(i), "What is there?", group=f"image-{i}") for i in range(IMAGES)])
    for job in jobs(read_ablation(claim().ablation), str(path)):
        if job.name != but:
            _run(store, job)
    return store


def _run(store: Store, job: Job) -> None:
    config = resolved(store, job, "auto", built=False).record
    seed, base = job.settings["seed"], job.settings["sft_seed"]
    log = store.start_alignment(
        job.name, method=job.label, seed=seed, panel=job.panel, key=job.name, config={**config, "device": "cuda"}
    )
    log.log_hardness("heldout", {f"p{i}": float(i) for i in range(6)})
    log.log_gaps(0, "heldout", [(f"p{i}", 0.0) for i in range(6)])
    thirds = (-1.0, 0.5, 2.0 + base + seed)
    log.log_gaps(9, "heldout", [(f"p{i}", thirds[i // 2]) for i in range(6)])
    store.finish_alignment(job.name, status="done", model_dir="m", seconds=1.0)
    counts = {"responses": 1.0, "mentions": 10.0, "hallucinated": float(HALLUCINATED[job.label, base][seed])}
    verdicts = {str(i): Verdict({**counts, "recalled": 1.0, "truths": 2.0, "naming": 1.0}) for i in range(IMAGES)}
    add(store, job.name, verdicts, benchmark="object_halbench")


def test_a_difference_counts_once_for_each_base(tmp_path: Path) -> None:
    """CHAIRi of dpo: (20 + 30) / 2 = 25 and 40 from the two bases, of dama 10 and 40: differences -15 and 0.

    All images agree, so the error is the bases' alone: the interaction is 3.75 in each of four cells, with one degree
    of freedom 4 * 3.75^2 = 56.25; 2 / 2 of it is the variance, and the interval +-12.706 * 7.5.
    """
    (found,) = results({"more": claim()}, experiment(tmp_path / "r.sqlite"))
    first = found.tested[0]
    difference = first.contrast.difference
    assert first.contrast.by_base == (-15.0, 0.0)
    assert (difference.value, difference.high) == pytest.approx((-7.5, -7.5 + 12.7062 * 7.5), abs=1e-3)
    assert (difference.df, difference.n, first.verdict) == (1.0, IMAGES, "not shown")
    assert found.runs == (8, 8) and not found.missing


def test_a_row_alone_has_the_spread_of_its_own_bases(tmp_path: Path) -> None:
    """Easy less hard: 2 + base + seed - (-1), over seeds 3.5 and 4.5; their variance 0.5 over two bases."""
    (found,) = results({"more": claim()}, experiment(tmp_path / "r.sqlite"))
    contrast = found.tested[1].contrast
    assert contrast.by_base == (3.5, 4.5)
    assert contrast.difference.value == 4.0 and contrast.against is None
    assert contrast.difference.low == pytest.approx(4 - 12.7062 * 0.5, abs=1e-3)


def test_a_row_is_compared_with_the_base_model_of_each_of_its_runs(tmp_path: Path) -> None:
    """Of the bases 10 and 30 % are hallucinated, of dpo's answers 25 and 40: 15 and 10 more, 12.5 +- 12.706 * 2.5."""
    store = experiment(tmp_path / "r.sqlite")
    values = {**VALUES, "comparisons": [{"row": "dpo", "against": "base", "expect": "lower"}]}
    for base, count in ((0, 1.0), (1, 3.0)):
        model = str(store.alignment(f"dpo-clean-b{base}-s0").config["model"])
        counts = {"responses": 1.0, "mentions": 10.0, "hallucinated": count, "recalled": 1.0, "truths": 2.0}
        verdicts = {str(i): Verdict(counts) for i in range(IMAGES)}
        add(store, f"base-b{base}", verdicts, benchmark="object_halbench", model=f"hf:{model}", alignment=None)
    (found,) = results({"more": claim_of(values, ABLATION)}, store)
    contrast = found.tested[0].contrast
    assert contrast.by_base == (15.0, 10.0) and found.figures["object_halbench.chair_i"].starts == (10.0, 30.0)
    assert contrast.difference.low == pytest.approx(12.5 - 12.7062 * 2.5, abs=1e-3)


def test_a_row_that_lacks_a_run_is_said_to_be_not_run_and_compared_with_nothing(tmp_path: Path) -> None:
    """One seed is left to it where the other has two."""
    found = results({"more": claim()}, experiment(tmp_path / "r.sqlite", but="dama-clean-b1-s1"))
    assert found[0].missing == {("clean", "dama"): 3} and found[0].runs == (7, 8)
    assert [each.contrast.label for each in found[0].tested] == ["dpo"]
    written = page(found, "claims")
    assert "**Not run in full**: dama, clean (3 of 4 runs)." in written
    assert max(len(line) for line in written.splitlines() if not line.startswith("|")) <= 120


def test_what_is_to_be_noted_of_many_rows_stands_on_lines_of_a_page(tmp_path: Path) -> None:
    (found,) = results({"more": claim()}, experiment(tmp_path / "r.sqlite"))
    rows = {("easy - hard", f"hardness permuted{'d' * i}"): 3 for i in range(60)}
    written = page([replace(found, missing=rows)], "claims")
    notes = written[written.index("**Not run in full**") :].splitlines()
    assert len(notes) > 40 and f"permuted{'d' * 59}, easy - hard (3 of 4 runs)." in " ".join(notes)
    assert all(len(line) <= 120 and not line.startswith("-") for line in notes)


def test_rows_are_compared_in_the_seeds_that_all_of_them_have_from_every_base() -> None:
    ablation = read_ablation({**ABLATION, "seeds": [0, 1, 2, 3]})
    planned = jobs(ablation, "")
    lacking = {"dpo-clean-b0-s3", "dama-clean-b1-s0"}
    made: dict[str, Any] = {job.name: job.name for job in planned if job.name not in lacking}
    rows, missing, seeds = crossed_rows(ablation, planned, made)
    assert seeds == {"clean": (1, 2)} and missing == {("clean", "dpo"): 7, ("clean", "dama"): 7}
    assert [row.runs[1] for row in rows] == [
        ("dpo-clean-b1-s1", "dpo-clean-b1-s2"),
        ("dama-clean-b1-s1", "dama-clean-b1-s2"),
    ]


def test_a_run_of_other_settings_is_none_of_the_claims(tmp_path: Path) -> None:
    store = experiment(tmp_path / "r.sqlite")
    other = claim_of(VALUES, {**ABLATION, "common": {"epochs": 5}})
    assert results({"more": other}, store)[0].runs == (0, 8)


def test_the_page_is_made_from_the_store_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment(tmp_path / "r.sqlite")
    monkeypatch.setattr("workflows.claims.claim_names", lambda: ["more"])
    monkeypatch.setattr("workflows.claims.read_claim", lambda name: claim())
    arguments = ["claims", "--db", str(tmp_path / "r.sqlite"), "--write-docs", str(tmp_path / "claims.md")]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    text = (tmp_path / "claims.md").read_text()
    row = "| clean | dama | dpo | CHAIRi (Object HalBench) | lower | -7.5 (-102.8, +87.8) | -15.0, +0.0 |"
    assert row in text
    assert "| clean | dpo | 32.5 (25.0, 40.0) | 3.00 (2.50, 3.50) |" in text
    assert "| [Less is more](#less-is-more) | 2 not shown | 8 of 8 |" in text


@pytest.mark.parametrize(
    ("value", "p", "expect", "verdict"),
    [
        (-1.0, 0.01, "lower", "holds"),
        (1.0, 0.01, "lower", "does not hold"),
        (1.0, 0.2, "higher", "not shown"),
        (1.0, 0.2, "not higher", "not contradicted"),
        (1.0, 0.01, "not higher", "does not hold"),
        (-1.0, 0.01, "not higher", "holds"),
        (1.0, 0.01, "not lower", "holds"),
        (1.0, float("nan"), "lower", "not shown"),
    ],
)
def test_the_verdict_says_what_became_of_the_claim(value: float, p: float, expect: Expected, verdict: str) -> None:
    contrast = Contrast("", "dama", "dpo", Difference(value, 0, 0, p, 4), (value,))
    assert Compared("gap.easy", expect, contrast, p).verdict == verdict


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"comparisons": [{"row": "dame", "expect": "lower"}]}, "'dame'.*Did you mean 'dama'"),
        ({"comparisons": [{"row": "dama", "expect": "lower", "panels": ["cleen"]}]}, "'cleen'.*Did you mean 'clean'"),
        ({"comparisons": [{"row": "dama", "expect": "less"}]}, "expect"),
        ({"ablation": {"bases": []}}, "bases: expected at least one"),
    ],
)
def test_a_claim_that_compares_what_it_does_not_run_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        claim_of({**VALUES, **changes}, ABLATION)


def test_claims_that_share_a_run_give_it_the_same_settings() -> None:
    seen: dict[str, Any] = {}
    for name in claim_names():
        ablation = read_ablation(read_claim(name).ablation)
        assert len(ablation.bases) >= 3 and len(ablation.seeds) >= 5
        for job in jobs(ablation, ""):
            settings = (job.settings, job.match, job.label, ablation.benchmarks, ablation.eos_biases, ablation.limit)
            assert seen.setdefault(job.name, settings) == settings, f"{name}: {job.name}"


def test_an_unknown_claim_is_refused_with_the_nearest() -> None:
    found = CliRunner().invoke(cli, ["claims", "gasp"])
    assert found.exit_code == 2 and "gaps" in found.output
    assert (RECIPES / "claims" / "common.yaml").is_file() and "common" not in claim_names()


def test_headings_are_found_by_their_anchor() -> None:
    assert anchor("What does it, the weights or a side effect") == "what-does-it-the-weights-or-a-side-effect"
