"""`fetch`: a benchmark's data from its official home, into the cache or a directory of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError, unknown_name
from harness.protocols.benchmark import BENCHMARKS
from harness.protocols.progress import Progress, silent
from harness.util.fetching import AnySource, Fetched, fetch
from harness.util.paths import cache_dir

NLP = "nlp"
"""Names no benchmark, but the data of the taggers that benchmarks share."""


def sources_of(name: str) -> Sequence[AnySource]:
    """The files that the benchmark ``name`` declares (``Benchmark.sources``)."""
    sources = BENCHMARKS.get(name).sources
    if not sources:
        raise UsageError(f"fetch {name}: this benchmark names no files of its own; see its documentation.")
    return sources


def named(names: Sequence[str]) -> list[str]:
    """The benchmarks that ``names`` (benchmarks and suites) stand for, each once. Raises UsageError for other names."""
    from workflows.suites import suites

    known = suites()
    members = [member for name in names for member in known.get(name, (name,))]
    for name in members:
        if name != NLP and name not in BENCHMARKS.names():
            raise unknown_name("benchmark or suite", name, {NLP, *BENCHMARKS.names(), *known})
    return list(dict.fromkeys(members))


def fetch_nlp(*, progress: Progress = silent) -> tuple[Path, list[Fetched]]:
    """What taggers need: NLTK's data, to where they are looked for; spaCy's models are named with their command."""
    import importlib.util

    from harness.util import nltk_data
    from workflows.doctor import OPTIONAL

    folder = cache_dir("data") / nltk_data.FOLDER
    states = fetch(nltk_data.SOURCES, folder, progress=progress)
    for module in ("spacy", "en_core_web_trf", "en_core_web_lg"):
        use, command = OPTIONAL[module]
        there = importlib.util.find_spec(module) is not None
        states.append(Fetched(module, "there") if there else Fetched(module, "by hand", f"{use}: {command}"))
    return folder, states


def fetch_benchmark(
    name: str, data_dir: Path | None, *, any_version: bool = False, progress: Progress = silent
) -> tuple[Path, list[Fetched]]:
    """Download the files of a benchmark to ``data_dir``/NAME (default: the cache); files already there are checked.

    Returns the folder and what became of every file.
    """
    sources = sources_of(name)
    folder = (data_dir or cache_dir("data")) / name
    return folder, fetch(sources, folder, any_version=any_version, progress=progress)


def row(file: Fetched) -> dict[str, Any]:
    return {"file": file.path, "state": file.state, "detail": file.detail}
