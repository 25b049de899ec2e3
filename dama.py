"""The harness as a Python library.

    import dama

    run = dama.align("dama", model="llava-hf/llava-1.5-7b-hf", data="pairs.jsonl", settings={"lora_rank": 64})
    figures = dama.bench(model=["hf:llava-hf/llava-1.5-7b-hf", run], data_dir="data", judge="openai:gpt-4o-mini")
    figures.to_pandas()
    dama.compare(run, "base").to_pandas()
    dama.leaderboard().write("leaderboard.html")
    dama.plan("dama", "dpo", benchmark="amber", difference=3)
    dama.agree("openai:gpt-4o", "openai:gpt-4o-mini").to_pandas()
    dama.rejudge("openai:gpt-4o-mini", sample=100).to_pandas()

Arguments are the words of the command line, which calls these functions. Results are frozen, can be looped over, and
become data frames; nothing is printed, progress bars go to stderr or the notebook. Errors are HarnessError.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from harness.errors import DataError, HarnessError, UsageError
from harness.protocols.progress import Progress
from workflows.agreement import Agreements, agree
from workflows.contamination import Contamination, contamination
from workflows.library import align, bench, compare, leaderboard, score
from workflows.objects import Objects, objects
from workflows.opened import Results, Verdicts, open
from workflows.planning import Plan, plan
from workflows.prompts import Prompts, prompts
from workflows.rejudge import Rejudgements, rejudge
from workflows.results import AlignResult, BenchResult, Comparison, Evaluation, Figure, Leaderboard

try:
    __version__ = version("dama-harness")
except PackageNotFoundError:  # a checkout that was not installed
    __version__ = "0+unknown"

__all__ = [
    "Agreements",
    "AlignResult",
    "BenchResult",
    "Comparison",
    "Contamination",
    "DataError",
    "Evaluation",
    "Figure",
    "HarnessError",
    "Leaderboard",
    "Objects",
    "Plan",
    "Progress",
    "Prompts",
    "Rejudgements",
    "Results",
    "UsageError",
    "Verdicts",
    "agree",
    "align",
    "bench",
    "compare",
    "contamination",
    "leaderboard",
    "objects",
    "open",
    "plan",
    "prompts",
    "rejudge",
    "score",
]
