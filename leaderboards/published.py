"""Published figures to stand beside one's own, never among them: evaluators differ from paper to paper."""

from __future__ import annotations

from collections.abc import Collection, Sequence

SOURCE = (
    "PEA-DPO (ACM MM 2026), table 1: one evaluator for all rows; mDPO re-run there, RLAIF-V, OPA-DPO and DAMA from "
    "their authors' checkpoints. mPEA-DPO is shown where a run of its variant, pea-dpo-repo, is. Not measured here, "
    "and not comparable with a small world or another judge."
)
COLUMNS = (
    "CHAIRs, % ↓", "CHAIRi, % ↓", "MMHal score, 0–6 ↑", "MMHal hal. rate, 0–1 ↓",
    "AMBER CHAIR, % ↓", "AMBER Cover, % ↑", "AMBER Hal, % ↓", "AMBER Cog, % ↓",
)  # fmt: skip
"""Object HalBench's CHAIRs is what `chair_s_refine` is here. MMHal's rate is published as a share; this project's
own tables have it in percent.
"""

ROWS: Sequence[tuple[str, tuple[float, ...]]] = (
    ("GPT-4V", (13.6, 7.3, 3.49, 0.28, 4.6, 67.1, 30.7, 2.6)),
    ("LLaVA-1.5-7B", (53.6, 25.2, 2.11, 0.54, 7.8, 51.0, 36.4, 4.2)),
    ("mDPO-7B", (35.7, 9.8, 2.39, 0.54, 4.4, 52.4, 24.5, 2.4)),
    ("RLAIF-V-7B", (16.0, 3.7, 3.00, 0.38, 3.0, 50.4, 16.2, 1.0)),
    ("OPA-DPO-7B", (13.0, 4.3, 2.83, 0.45, 2.2, 47.9, 11.6, 0.9)),
    ("DAMA-7B", (10.3, 5.9, 2.76, 0.41, 3.0, 48.3, 14.8, 1.2)),
    ("DAMA-13B", (7.7, 4.9, 2.89, 0.43, 3.0, 50.5, 14.1, 0.9)),
    ("mPEA-DPO-7B", (4.3, 3.2, 3.02, 0.36, 1.9, 46.7, 10.3, 0.6)),
)

BESIDE = {"mPEA-DPO-7B": "pea-dpo-repo"}
"""Rows that stand only beside a run of the method whose variant they are."""


def rows_beside(methods: Collection[str]) -> list[tuple[str, tuple[float, ...]]]:
    """The rows to show where runs of these ``methods`` are."""
    return [(name, values) for name, values in ROWS if BESIDE.get(name) in (None, *methods)]


def cells(values: Sequence[float]) -> list[str]:
    """The figures as published: two decimals for MMHal, one for the others."""
    return [f"{v:.2f}" if i in (2, 3) else f"{v:.1f}" for i, v in enumerate(values)]
